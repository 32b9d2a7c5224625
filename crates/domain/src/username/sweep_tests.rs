//! Every code point of Unicode in names and passwords: how many are taken. The counts stand in `docs/text.md`.

use std::collections::BTreeMap;

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

use unicode_normalization::UnicodeNormalization;

use super::{InvalidUsername, Username};
use crate::password_rules::Password;
use crate::unicode::UNICODE_VERSION;

/// What stands around a code point: first what most are tried in, then what the rules of context and direction ask for.
const FRAMES: [(&str, &str); 7] =
    [("a", "a"), ("א", "א"), ("l", "l"), ("a", "α"), ("ア", "ア"), ("क\u{94d}", "ष"), ("ب", "ب")];

fn is_name(c: char, (before, after): (&str, &str)) -> Result<Username, InvalidUsername> {
    let text = format!("{before}{c}{after}");
    let name: Username = text.parse()?;
    let decomposed: String = text.nfd().collect();
    // Not of those without a capital of their own, like ß and ı.
    let capital: String = c.to_uppercase().collect();
    let capital = if capital.to_lowercase() == c.to_string() { capital } else { c.to_string() };
    let others = [&format!("{before}{capital}{after}"), &decomposed, name.as_str()];
    for same in others.into_iter().filter(|other| *other != text) {
        assert_eq!(same.parse().as_ref(), Ok(&name), "{same:?}");
    }
    Ok(name)
}

/// What becomes of the code point in a name, in words of the table.
fn in_name(c: char) -> String {
    let (first, others) = FRAMES.split_first().unwrap();
    match is_name(c, *first) {
        Ok(_) => "taken".to_owned(),
        Err(_) if others.iter().any(|frame| is_name(c, *frame).is_ok()) => {
            "taken beside certain others".to_owned()
        }
        Err(InvalidUsername::Character(_, unfit)) => format!("refused: {unfit}"),
        Err(other) => format!("refused: {other}"),
    }
}

fn in_password(c: char) -> String {
    let text = format!("{c}a{c}");
    match Password::parse_new(&text) {
        Ok(password) => {
            let forms: [String; 4] =
                [text.nfc().collect(), text.nfd().collect(), text.nfkc().collect(), text.nfkd().collect()];
            for form in forms.into_iter().filter(|form| *form != text) {
                assert_eq!(Password::parse(&form).as_ref(), Ok(&password), "{form:?}");
            }
            "taken".to_owned()
        }
        Err(error) => format!("refused: {}", error.to_string().split(',').next().unwrap_or_default()),
    }
}

fn counts(of: impl Fn(char) -> String) -> BTreeMap<String, usize> {
    let categories = CodePointMapData::<GeneralCategory>::new();
    let assigned = ('\0'..=char::MAX).filter(|c| categories.get(*c) != GeneralCategory::Unassigned);
    assigned.fold(BTreeMap::new(), |mut counts, c| {
        *counts.entry(of(c)).or_default() += 1;
        counts
    })
}

fn with_points(number: usize) -> String {
    let digits = number.to_string();
    let chunks: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|chunk| std::str::from_utf8(chunk).unwrap()).collect();
    chunks.join(",")
}

#[test]
fn the_table_of_the_documentation_is_what_a_sweep_finds() {
    let documentation = include_str!("../../../../docs/text.md");
    let (major, minor, _) = UNICODE_VERSION;
    assert!(documentation.contains(&format!("Unicode {major}.{minor}")), "the version");
    let mut missing = Vec::new();
    for (kind, counts) in [("name", counts(in_name)), ("password", counts(in_password))] {
        for (what, count) in counts {
            let row = format!("| {kind} | {what} | {} |", with_points(count));
            if !documentation.contains(&row) {
                missing.push(row);
            }
        }
    }
    assert!(missing.is_empty(), "docs/text.md lacks:\n{}", missing.join("\n"));
}
