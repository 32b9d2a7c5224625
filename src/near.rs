//! Which known word somebody meant who has mistyped it.

/// The word that differs from what was typed in a third of its letters at most (Damerau-Levenshtein), if there is one.
pub(crate) fn nearest<W: AsRef<str>>(typed: &str, words: impl IntoIterator<Item = W>) -> Option<W> {
    let with_distance = |word: W| (strsim::damerau_levenshtein(typed, word.as_ref()), word);
    let nearest = words.into_iter().map(with_distance).min_by_key(|(distance, _)| *distance);
    nearest.filter(|(distance, word)| distance * 3 <= word.as_ref().len()).map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_if_it_is_near() {
        let words = ["username", "password", "delivery"];
        for (typed, meant) in [("userName", Some("username")), ("pasword", Some("password")), ("email", None)]
        {
            assert_eq!(nearest(typed, words), meant, "{typed}");
        }
        assert_eq!(nearest("x", Vec::<String>::new()), None);
    }
}
