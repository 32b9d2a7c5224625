//! Strangers choose device names and agents, and an operator's terminal obeys what it is sent: characters that move the
//! cursor, change colours or turn the line around are written out instead (Unicode TR 36, section 2.9; CWE-150).

use std::fmt::Write as _;

/// Whether a character is not shown but obeyed, or not seen at all.
fn is_unsafe(c: char) -> bool {
    // The second group: bidirectional controls, zero-width characters, line and paragraph separators, tags.
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text as it may stand on a terminal.
pub(in crate::cli) fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

/// A JSON document as it may stand on a terminal, with the same meaning: such characters can only be in its texts, where
/// they may be written as `\u` and four digits (RFC 8259, section 7).
pub(in crate::cli) fn shown_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a text cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_obeys_is_written_out() {
        assert_eq!(shown("Ada’s phone 📱 電話"), "Ada’s phone 📱 電話");
        assert_eq!(shown("\u{1b}[2Jgone\r\n"), "\\u{1b}[2Jgone\\r\\n");
        assert_eq!(shown("\u{9b}31mred"), "\\u{9b}31mred");
        assert_eq!(
            shown("exe.\u{202e}gpj\u{2066}\u{200b}\u{feff}"),
            "exe.\\u{202e}gpj\\u{2066}\\u{200b}\\u{feff}"
        );
        assert_eq!(shown("a\u{e0041}b"), "a\\u{e0041}b");
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left_and_json_means_the_same(text in ".{0,60}") {
            prop_assert!(!shown(&text).chars().any(is_unsafe));
            let json = shown_json(&serde_json::to_string(&text).unwrap());
            prop_assert!(!json.chars().any(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
