//! What is a user name and which are the same (RFC 8265, section 3; RFC 8264 for the classes of characters).

use proptest::prelude::*;

use super::{InvalidUsername, Unfit, Username, enforced, until_stable};

#[track_caller]
fn name(text: &str) -> Username {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is refused"))
}

#[track_caller]
fn refused(text: &str) {
    assert!(text.parse::<Username>().is_err(), "{text:?}");
}

/// Section 3.5, table 1, and the notes below it.
#[test]
fn the_legal_examples_of_the_standard_are_names() {
    for (typed, compared) in [
        ("juliet@example.com", "juliet@example.com"),
        ("fussball", "fussball"),
        ("fu\u{df}ball", "fu\u{df}ball"),
        ("\u{3c0}", "\u{3c0}"),
        ("\u{3a3}", "\u{3c3}"),
        ("\u{3c3}", "\u{3c3}"),
    ] {
        assert_eq!(name(typed).as_str(), compared);
    }
    assert_ne!(name("fussball"), name("fu\u{df}ball"));
    assert_eq!(name("\u{3c3}"), name("\u{3c2}"), "other than in the standard: decision 0029");
}

/// Section 3.5, table 2: a space, nothing at all, a compatibility character, a symbol.
#[test]
fn the_illegal_examples_of_the_standard_are_not() {
    for illegal in ["foo bar", "", "henry\u{2163}", "\u{221e}", "\u{265a}"] {
        refused(illegal);
    }
}

#[test]
fn nobody_is_called_by_an_id() {
    let id = "01a1ff1d-c100-7122-9a39-b880db2bd756";
    refused(id);
    refused(&id.to_uppercase());
    let wide = |c: char| match c {
        '!'..='~' => char::from_u32(u32::from(c) - 0x21 + 0xff01).unwrap(),
        other => other,
    };
    refused(&id.chars().map(wide).collect::<String>());
    for other in ["01a1ff1d-c100-7122-9a39-b880db2bd75", "x01a1ff1d-c100-7122-9a39-b880db2bd756"] {
        assert_eq!(name(other).as_str(), other);
    }
}

#[test]
fn width_does_not_matter() {
    assert_eq!(name("\u{ff21}\u{ff44}\u{ff41}\u{ff11}"), name("ada1"));
    assert_eq!(name("\u{ff21}da\u{ff20}example.org"), name("ada@example.org"));
    // Half-width katakana, its mark apart, and the letter that both are.
    assert_eq!(name("\u{ff76}\u{ff9e}"), name("\u{30ac}"));
}

#[test]
fn case_does_not_matter_in_any_script() {
    for (upper, lower) in [("ADA", "ada"), ("ЖЕНЯ", "женя"), ("ΆΔΑ", "άδα"), ("ÅSE", "åse")] {
        assert_eq!(upper.parse::<Username>(), lower.parse(), "{upper}");
    }
    assert_eq!(name("ЖЕНЯ").as_str(), "женя");
}

#[test]
fn composed_and_decomposed_are_one() {
    assert_eq!(name("Zoe\u{308}"), name("zo\u{eb}"));
    // The sign for ångström is there for old encodings only: no letter of a name, though it looks like one.
    refused("\u{212b}se");
}

/// RFC 5893, section 2.
#[test]
fn the_bidi_rule_holds() {
    for fine in ["\u{5d0}\u{5d3}\u{5d4}", "\u{5d0}\u{5d3}1", "\u{639}\u{644}\u{64a}", "\u{5d0}-\u{5d3}"] {
        name(fine);
    }
    for mixed in ["ada\u{5d0}", "\u{5d0}ada", "1\u{5d0}", "\u{5d0}-", "\u{5d0}\u{661}1"] {
        refused(mixed);
    }
}

#[test]
fn what_looks_alike_is_not_the_same() {
    let look_alikes =
        ["ada", "\u{430}da", "ad\u{430}", "\u{430}d\u{430}", "adα", "a\u{501}a", "ada.", "ad\u{e0}"];
    let names: std::collections::BTreeSet<_> = look_alikes.into_iter().map(name).collect();
    assert_eq!(names.len(), look_alikes.len());
}

#[test]
fn nothing_that_cannot_be_seen_is_in_a_name() {
    for unseen in [
        '\0',
        '\t',
        '\n',
        '\r',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{a0}',
        '\u{ad}',
        '\u{34f}',
        '\u{115f}',
        '\u{180e}',
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{202a}',
        '\u{202d}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{2069}',
        '\u{3000}',
        '\u{3164}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{fffc}',
        '\u{fffd}',
        '\u{e0001}',
        '\u{e000}',
        '\u{fdd0}',
    ] {
        for text in [format!("a{unseen}b"), format!("{unseen}ab"), format!("ab{unseen}"), unseen.to_string()]
        {
            refused(&text);
        }
    }
}

#[test]
fn the_length_is_that_of_the_compared_form() {
    name(&"a".repeat(128));
    refused(&"a".repeat(129));
    name(&"é".repeat(64));
    refused(&"é".repeat(65));
    // 128 letters of three bytes that become letters of one, and of three that are put together to two.
    assert_eq!(name(&"\u{ff21}".repeat(128)).as_str(), "a".repeat(128));
    assert_eq!(name(&"e\u{301}".repeat(64)).as_str(), "é".repeat(64));
}

#[test]
fn names_beyond_all_measure_are_refused_unread() {
    for letter in ["a", "é", "\u{ff21}", "e\u{301}", "\u{5d0}", "🔑"] {
        refused(&letter.repeat(10_000));
        refused(&letter.repeat(1_000_000));
    }
}

/// The joiners have rules of their own: behind a virama they change what is seen (RFC 5892, appendices A.1 and A.2).
#[test]
fn a_joiner_is_taken_behind_a_virama_alone() {
    for joiner in ["\u{200c}", "\u{200d}"] {
        assert_eq!(name(&format!("क्{joiner}ष")).as_str(), format!("क्{joiner}ष"));
        for text in [joiner.to_owned(), format!("a{joiner}b"), format!("a{joiner}"), format!("{joiner}a")] {
            refused(&text);
        }
    }
}

#[test]
fn names_are_compared_without_case_and_width() {
    let ada: Username = "ada".parse().unwrap();
    for same in ["Ada", "ADA", "ａｄａ"] {
        assert_eq!(same.parse(), Ok(ada.clone()));
    }
    assert_eq!("ada@example.org".parse::<Username>().unwrap().as_str(), "ada@example.org");
}

#[test]
fn refuses_what_is_no_name() {
    let long = "a".repeat(Username::MAX_LEN + 1);
    let endless = "a".repeat(10_000);
    for wrong in ["", " ", "ada lovelace", "ada\n", "a\u{202e}b", "a\0", &long, &endless] {
        refused(wrong);
    }
}

#[test]
fn a_beginning_need_not_be_a_name() {
    for (typed, beginning) in [
        ("", ""),
        ("ADA@Ex", "ada@ex"),
        ("ｅ\u{301}", "é"),
        // Between two l a name (RFC 5892, appendix A.3), before the second one a beginning.
        ("L·", "l·"),
        ("א-", "א-"),
        ("<b>", "<b>"),
        ("a\u{202e}", "a\u{202e}"),
    ] {
        assert_eq!(Username::beginning(typed).as_deref(), Some(beginning), "{typed:?}");
    }
    assert_eq!(Username::beginning("ada\0"), None);
    assert_eq!(Username::beginning(&"a".repeat(129)), None);
    assert_eq!(Username::beginning(&"a".repeat(10_000)), None);
}

#[test]
fn names_of_every_script_are_taken() {
    for fine in ["ᏣᎳᎩ", "王鿏", "שָׁלוֹם", "नमस्ते", "ไทย", "한글", "ádám", "ʻokina", "𞤀𞤣𞤤𞤢𞤥"]
    {
        name(fine);
    }
    // The syllables of a keyboard that sends their letters one by one.
    assert_eq!(name("\u{1100}\u{1175}\u{11b7}"), name("김"));
    assert_eq!(name("COL·LECTIU"), name("col·lectiu"));
}

#[test]
fn greek_names_are_compared_without_case() {
    assert_eq!(name("Γιώργος"), name("ΓΙΏΡΓΟΣ"));
    assert_eq!(name("Γιώργος").as_str(), "γιώργοσ");
    // The letter with the mark below, apart and together.
    assert_eq!(name("\u{3b1}\u{345}"), name("\u{1fb3}"));
    assert_ne!(name("ᾳ"), name("αι"));
}

#[test]
fn the_reason_is_the_true_one() {
    use InvalidUsername as No;

    let long = "a".repeat(129);
    for (wrong, reason) in [
        ("", No::Empty),
        (long.as_str(), No::TooLong),
        ("01a1ff1d-c100-7122-9a39-b880db2bd756", No::IsId),
        ("ada lovelace", No::Character(' ', Unfit::Space)),
        ("ada\n", No::Character('\n', Unfit::Control)),
        ("a\u{202e}b", No::Character('\u{202e}', Unfit::Invisible)),
        ("♥ada", No::Character('♥', Unfit::Symbol)),
        ("ada…", No::Character('…', Unfit::Compatibility)),
        ("„ada", No::Character('„', Unfit::Punctuation)),
        ("ⅳ", No::Character('ⅳ', Unfit::Compatibility)),
        ("ᛮada", No::Character('ᛮ', Unfit::OtherLetterOrDigit)),
        ("\u{1100}", No::Character('\u{1100}', Unfit::Jamo)),
        ("\u{640}", No::Character('\u{640}', Unfit::Exception)),
        ("\u{e000}", No::Character('\u{e000}', Unfit::Private)),
        ("\u{378}", No::Character('\u{378}', Unfit::Unassigned)),
        ("a·b", No::Context('·')),
        ("ada\u{5d0}", No::Direction),
    ] {
        assert_eq!(wrong.parse::<Username>(), Err(reason), "{wrong:?}");
    }
    let detail = No::Character('\u{202e}', Unfit::Invisible).to_string();
    assert_eq!(detail, "a user name cannot have U+202E in it: it cannot be seen");
}

proptest! {
    #[test]
    fn the_short_way_of_ascii_leads_where_the_long_one_does(text in "[!-~]{1,40}") {
        let short = text.parse().ok().map(|name: Username| name.as_str().to_owned());
        prop_assert_eq!(until_stable(&text, enforced).ok(), short);
    }

    #[test]
    fn case_and_width_never_make_another_name(text in "[a-z0-9@._-]{1,40}") {
        let wide: String = text.chars().map(|c| char::from_u32(c as u32 + 0xfee0).unwrap()).collect();
        prop_assert_eq!(name(&text.to_uppercase()), name(&text));
        prop_assert_eq!(name(&wide), name(&text));
    }

    #[test]
    fn no_name_holds_space_or_control(text in "\\PC{0,20}[\\x00-\\x20\u{7f}-\u{a0}\u{200b}\u{200e}\u{200f}]\\PC{0,20}") {
        refused(&text);
    }

    #[test]
    fn a_name_is_stable_once_it_is_mapped(text in "\\PC{0,40}") {
        if let Ok(name) = text.parse::<Username>() {
            prop_assert_eq!(name.as_str().parse(), Ok(name.clone()));
        }
    }

    #[test]
    fn a_name_begins_with_each_of_its_beginnings(text in "[a-zA-ZäÖßΣσςＡｂאש·0-9@._-]{1,20}", cut in 0_usize..20) {
        if let Ok(name) = text.parse::<Username>() {
            let beginning: String = text.chars().take(cut).collect();
            let beginning = Username::beginning(&beginning).unwrap();
            prop_assert!(name.as_str().starts_with(&beginning), "{} {}", name, beginning);
            let whole = Username::beginning(&text);
            prop_assert_eq!(whole.as_deref(), Some(name.as_str()));
        }
    }

    #[test]
    fn no_beginning_is_too_much(text in "\\PC{0,2000}") {
        let _ = Username::beginning(&text);
    }
}
