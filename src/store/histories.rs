//! Which lines of the histories of a user's sessions are kept: the rule of the stores that are written in Rust.
//! `redis/scripts/append_history.lua` is the same rule for Redis; the conformance suite compares them.
//!
//! A history is stored as one text: its lines, the earliest first, with a line break between two of them.

/// How many lines of a session's history are kept.
pub const HISTORY_KEEPS: usize = 32;
/// The longest line that is kept, in bytes. A longer one is not written.
pub const HISTORY_LINE: usize = 1024;
/// How many bytes the histories of all sessions of a user take up at most, line breaks included.
pub const HISTORY_BYTES: usize = 200_000;

/// Whether a line can be kept: it is neither empty nor longer than [`HISTORY_LINE`], and has no line break.
pub fn is_line(line: &str) -> bool {
    (1..=HISTORY_LINE).contains(&line.len()) && !line.contains(['\n', '\r'])
}

/// A history with one more line, without the earliest lines that are more than [`HISTORY_KEEPS`].
pub fn with_line(history: &str, line: &str) -> String {
    let lines: Vec<_> = history.lines().chain([line]).collect();
    let surplus = lines.len().saturating_sub(HISTORY_KEEPS);
    lines.get(surplus..).unwrap_or_default().join("\n")
}

/// The history that is to be shortened to its [`later_half`], if all of a user's take up more than [`HISTORY_BYTES`]:
/// the longest, of equals the first. Each comes with its length in bytes. To be asked again until it names none.
///
/// An account that fills the histories of some sessions thereby shortens those, and not the short ones of its others.
pub fn to_shorten<T>(histories: impl IntoIterator<Item = (T, usize)>) -> Option<T> {
    let (mut total, mut longest) = (0, None);
    for (history, length) in histories {
        total += length;
        if longest.as_ref().is_none_or(|(_, most)| length > *most) {
            longest = Some((history, length));
        }
    }
    longest.filter(|_| total > HISTORY_BYTES).map(|(history, _)| history)
}

/// The latest lines of a history that take up no more than half its bytes. Empty if its last line is longer than that.
pub fn later_half(history: &str) -> &str {
    let first = history.len().div_ceil(2);
    // A line begins after a break: one that begins at the middle has its break before it.
    let mut rest = history.bytes().enumerate().skip(first.saturating_sub(1));
    let at = rest.find(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
    at.and_then(|at| history.get(at..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_history_loses_its_earliest_lines() {
        assert_eq!(with_line("", "a"), "a");
        assert_eq!(with_line("a\nb", "c"), "a\nb\nc");
        for (history, half) in [
            ("", ""),
            ("a", ""),
            ("a\nb", "b"),
            ("a\nbbb", ""),
            ("aaa\nb", "b"),
            ("a\nb\nc", "c"),
            ("aa\nb\nc", "b\nc"),
        ] {
            assert_eq!(later_half(history), half, "{history:?}");
        }
    }

    #[test]
    fn the_longest_is_shortened_and_of_equals_the_first() {
        let half = HISTORY_BYTES / 2;
        assert_eq!(to_shorten([('a', half), ('b', half)]), None);
        assert_eq!(to_shorten([('a', half), ('b', half + 1)]), Some('b'));
        assert_eq!(to_shorten([('a', 1), ('b', half), ('c', half)]), Some('b'));
        assert_eq!(to_shorten::<char>([]), None);
    }

    #[test]
    fn a_line_is_short_and_one() {
        for (line, is) in [("", false), ("a", true), ("a\nb", false), ("a\r", false)] {
            assert_eq!(is_line(line), is, "{line:?}");
        }
        assert!(is_line(&"é".repeat(HISTORY_LINE / 2)));
        assert!(!is_line(&"x".repeat(HISTORY_LINE + 1)));
    }

    proptest! {
        #[test]
        fn half_a_history_is_its_last_whole_lines(lines in prop::collection::vec("[a-zé]{1,40}", 0..40)) {
            let mut history = String::new();
            for line in &lines {
                history = with_line(&history, line);
            }
            let kept: Vec<_> = history.lines().collect();
            prop_assert_eq!(&kept[..], &lines[lines.len().saturating_sub(HISTORY_KEEPS)..]);
            let half = later_half(&history);
            prop_assert!(half.len() <= history.len() / 2);
            let later: Vec<_> = half.lines().collect();
            prop_assert!(kept.ends_with(&later));
            // One line more would have been too much.
            let one_more = kept.iter().rev().take(later.len() + 1).map(|line| line.len() + 1).sum::<usize>();
            prop_assert!(history.is_empty() || one_more - 1 > history.len() / 2);
        }
    }
}
