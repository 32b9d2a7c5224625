//! The list of common passwords. Where it comes from is told beside it.

use std::cmp::Ordering;

/// Lower case, one a line, in byte order.
const LIST: &str = include_str!("../../data/common-passwords.txt");

/// Whether a word, in lower case, stands in the list.
pub(super) fn is_listed(word: &str) -> bool {
    // Places where a line begins: the word can only be in between.
    let (mut low, mut high) = (0, LIST.len());
    while low < high {
        let before = LIST.get(..low.midpoint(high)).unwrap_or_default();
        let begin = before.rfind('\n').map_or(0, |end| end + 1);
        let line = LIST.get(begin..).and_then(|rest| rest.split('\n').next()).unwrap_or_default();
        match line.cmp(word) {
            Ordering::Equal => return true,
            Ordering::Less => low = begin + line.len() + 1,
            Ordering::Greater => high = begin,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_long_enough() {
        let words: Vec<_> = LIST.lines().collect();
        assert!(words.windows(2).all(|pair| pair[0] < pair[1]), "sorted, each once");
        assert!(words.iter().filter(|word| word.len() >= 8).count() >= 10_000);
        for word in &words {
            assert!(word.len() >= 4 && word.is_ascii() && **word == word.to_lowercase(), "{word}");
        }
        assert!(LIST.ends_with('\n') && !LIST.contains('\r'));
    }

    #[test]
    fn every_word_is_found_and_its_neighbours_are_not() {
        let words: std::collections::BTreeSet<_> = LIST.lines().collect();
        for word in &words {
            assert!(is_listed(word), "{word}");
            for near in [format!("{word}\0"), word[..word.len() - 1].to_owned()] {
                assert_eq!(is_listed(&near), words.contains(near.as_str()), "{near}");
            }
        }
        for stranger in ["", "\0", "\n", "password\n", "123456\n1234567", "~~~~~~~~~", "\u{10ffff}"] {
            assert!(!is_listed(stranger), "{stranger:?}");
        }
    }
}
