//! Characters that are in names between certain others alone (RFC 5892, appendix A).

use icu_properties::CodePointMapData;
use icu_properties::props::{CanonicalCombiningClass, JoiningType, Script};

use super::InvalidUsername;

/// Refuses each of them where it does not belong.
pub(super) fn check(text: &str) -> Result<(), InvalidUsername> {
    // Most names have none of them, and then nothing is kept.
    if !text.contains(has_rule) {
        return Ok(());
    }
    let name: Vec<char> = text.chars().collect();
    let misplaced = name.iter().enumerate().find(|(at, c)| {
        let (before, rest) = name.split_at(*at);
        !is_allowed(&name, before, **c, rest.get(1..).unwrap_or_default())
    });
    misplaced.map_or(Ok(()), |(_, c)| Err(InvalidUsername::Context(*c)))
}

fn has_rule(c: char) -> bool {
    matches!(
        c,
        '\u{200c}' | '\u{200d}' | '\u{b7}' | '\u{375}' | '\u{5f3}' | '\u{5f4}' | '\u{30fb}'
            | '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}'
    )
}

fn is_allowed(name: &[char], before: &[char], c: char, after: &[char]) -> bool {
    let is = |c: Option<&char>, script| c.is_some_and(|c| script_of(*c) == script);
    match c {
        // A.1
        '\u{200c}' => follows_virama(before) || breaks_a_join(before, after),
        // A.2
        '\u{200d}' => follows_virama(before),
        // A.3
        '\u{b7}' => before.last() == Some(&'l') && after.first() == Some(&'l'),
        // A.4
        '\u{375}' => is(after.first(), Script::Greek),
        // A.5 and A.6
        '\u{5f3}' | '\u{5f4}' => is(before.last(), Script::Hebrew),
        // A.7
        '\u{30fb}' => {
            name.iter().any(|c| [Script::Hiragana, Script::Katakana, Script::Han].contains(&script_of(*c)))
        }
        // A.8
        '\u{660}'..='\u{669}' => !name.iter().any(|c| ('\u{6f0}'..='\u{6f9}').contains(c)),
        // A.9
        '\u{6f0}'..='\u{6f9}' => !name.iter().any(|c| ('\u{660}'..='\u{669}').contains(c)),
        _ => true,
    }
}

fn script_of(c: char) -> Script {
    CodePointMapData::<Script>::new().get(c)
}

fn follows_virama(before: &[char]) -> bool {
    let class = |c: &char| CodePointMapData::<CanonicalCombiningClass>::new().get(*c);
    before.last().map(class) == Some(CanonicalCombiningClass::Virama)
}

/// Whether the letters around would join: one that joins to its left and one that joins to its right, with any number
/// of transparent ones between.
fn breaks_a_join(before: &[char], after: &[char]) -> bool {
    let joining = |c: &char| CodePointMapData::<JoiningType>::new().get(*c);
    let visible = |joining: &JoiningType| *joining != JoiningType::Transparent;
    let left = before.iter().rev().map(joining).find(visible);
    let right = after.iter().map(joining).find(visible);
    matches!(left, Some(JoiningType::LeftJoining | JoiningType::DualJoining))
        && matches!(right, Some(JoiningType::RightJoining | JoiningType::DualJoining))
}
