//! The mappings of width, case and normalisation (RFC 8265, section 3.3.2).

use icu_casemap::CaseMapper;
use unicode_normalization::UnicodeNormalization;

/// Width, form NFC, case, and form NFC again: case is folded alike for texts that are canonically the same.
pub(super) fn mapped(text: &str) -> String {
    text.chars().map(width).nfc().flat_map(case).nfc().collect()
}

/// Full-width and half-width characters as what they stand for.
pub(super) fn without_width(text: &str) -> String {
    text.chars().map(width).collect()
}

/// The decomposition mappings `<wide>` and `<narrow>`, but for those that lead to what no name has either: Hangul letters,
/// the full-width macron and the half-width light vertical.
fn width(c: char) -> char {
    match c {
        '\u{3000}' => ' ',
        '\u{ff01}'..='\u{ff9f}' | '\u{ffe0}'..='\u{ffe2}' | '\u{ffe4}'..='\u{ffe6}' => {
            std::iter::once(c).nfkc().next().unwrap_or(c)
        }
        other => other,
    }
}

/// Lower case, then simple case folding. `İ` is the one letter whose lower case is two.
fn case(c: char) -> impl Iterator<Item = char> {
    let (first, second) = match c {
        'İ' => ('i', Some('\u{307}')),
        // A mark, which folding would make a letter that no longer composes (Unicode, section 3.13).
        '\u{345}' => (c, None),
        _ => {
            let cases = CaseMapper::new();
            (cases.simple_fold(cases.simple_lowercase(c)), None)
        }
    };
    std::iter::once(first).chain(second)
}
