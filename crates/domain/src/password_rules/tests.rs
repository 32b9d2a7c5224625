use proptest::prelude::*;

use super::*;

fn rules() -> PasswordRules {
    PasswordRules::new(8, "login.example.com")
}

fn checked(text: &str) -> Result<(), WeakPassword> {
    checked_for("ada", text)
}

fn checked_for(name: &str, text: &str) -> Result<(), WeakPassword> {
    rules().check(&Password::parse(text).unwrap(), Some(&name.parse().unwrap()))
}

#[test]
fn the_same_characters_are_the_same_password() {
    let composed = Password::parse("caf\u{e9}").unwrap();
    let decomposed = Password::parse("cafe\u{301}").unwrap();
    assert_eq!(composed, decomposed);
    assert_ne!(composed, Password::parse("Caf\u{e9}").unwrap());
}

/// RFC 8265, section 4.3, tables 3 and 4.
#[test]
fn the_examples_of_the_standard_hold() {
    for legal in
        ["correct horse battery staple", "Correct Horse Battery Staple", "π\u{df}\u{e5}", "Jack of ♦s"]
    {
        assert_eq!(Password::parse(legal).unwrap().as_bytes(), legal.as_bytes());
    }
    assert_eq!(Password::parse("foo\u{1680}bar"), Password::parse("foo bar"));
    assert_eq!(Password::parse_new(""), Err(InvalidPassword::Empty));
    assert_eq!(Password::parse_new("my cat is a \tby"), Err(InvalidPassword::Control('\t')));
}

#[test]
fn length_counts_characters_not_bytes() {
    assert_eq!(checked("🔑🔑🔑🔑🔑🔑🔑"), Err(WeakPassword::TooShort(8)));
    assert_eq!(checked("🔑🔑🔑🔑🔑🔑🔑🔑"), Ok(()));
    // What is typed as two code points counts as the one that it becomes.
    assert_eq!(checked(&"e\u{301}".repeat(7)), Err(WeakPassword::TooShort(8)));
    let fifteen = PasswordRules::new(15, "localhost");
    let check = |text: &str| fifteen.check(&Password::parse(text).unwrap(), None);
    assert_eq!(check("tangled fjords"), Err(WeakPassword::TooShort(15)));
    assert_eq!(check("tangled fjords!"), Ok(()));
}

#[test]
fn long_ones_are_whole_or_refused() {
    let long = "correct horse battery staple ".repeat(10);
    assert_eq!(Password::parse(&long).unwrap().as_bytes(), long.as_bytes());
    assert_eq!(Password::parse(&"x".repeat(1025)), Err(InvalidPassword::TooLong));
    assert_eq!(Password::parse(""), Err(InvalidPassword::Empty));
}

#[test]
fn a_control_character_is_for_passwords_of_other_systems() {
    for control in ["tab\tbed", "line\n", "nul\0", "next\u{85}line"] {
        assert_eq!(Password::parse(control).unwrap().typed(), control);
        assert!(matches!(Password::parse_new(control), Err(InvalidPassword::Control(_))), "{control:?}");
    }
    let detail = InvalidPassword::Control('\t').to_string();
    assert_eq!(detail, "a new password has no control characters, but this one has U+0009");
}

#[test]
fn a_password_is_kept_as_typed_beside_its_normal_form() {
    let typed = "cafe\u{301}\u{a0}１";
    let password = Password::parse(typed).unwrap();
    assert_eq!(password.typed(), typed);
    assert_eq!(password.as_bytes(), "caf\u{e9} 1".as_bytes());
}

#[test]
fn a_password_never_shows_in_debug_output() {
    assert_eq!(format!("{:?}", Password::parse("hunter2hunter2").unwrap()), "Password(…)");
}

#[test]
fn common_passwords_are_refused() {
    for common in ["password", "12345678", "iloveyou", "qwertyuiop", "trustno1", "p@ssw0rd", "baseball1"] {
        assert_eq!(checked(common), Err(WeakPassword::Common), "{common}");
        assert_eq!(checked(&common.to_uppercase()), Err(WeakPassword::Common), "{common}, in capitals");
    }
}

#[test]
fn common_passwords_with_little_done_to_them_are_refused() {
    for derived in [
        "passwordpassword",
        "Password Password",
        "DragonDragonDragon",
        "dragon2024",
        "2024-dragon!",
        "Summer-2024!",
        "Pass-Word-1",
        "q w e r t y u i o p",
        "monkey1monkey1",
        "letmeinletmein99",
        "password€",
        "hunter2hunter2",
    ] {
        assert_eq!(checked(derived), Err(WeakPassword::Common), "{derived}");
    }
}

#[test]
fn what_is_made_of_names_is_refused() {
    for name in [
        "relatch",
        "Relatch-1",
        "relatchrelatch",
        "login.example.com",
        "example.com!",
        "Example2024",
        "loginexample",
    ] {
        let password = format!("{name:!<8}");
        assert_eq!(checked(&password), Err(WeakPassword::Context), "{password}");
    }
    for (name, password) in [
        ("lovelace", "lovelace"),
        ("lovelace", "LoveLace2024"),
        ("lovelace", "Lovelace-2024!"),
        ("lovelace", "lovelacelovelace"),
        ("ada@example.org", "ada@example.org"),
        ("lovelace@example.org", "1lovelace!"),
        ("ada", "adaadaada"),
        ("ada", "relatchada24"),
        ("grüße", "GRÜßE2024"),
    ] {
        assert_eq!(checked_for(name, password), Err(WeakPassword::Context), "{name}: {password}");
    }
    assert_eq!(checked_for("ada", "lovelace2024x"), Ok(()));
    assert_eq!(rules().check(&Password::parse("lovelacexyz").unwrap(), None), Ok(()));
}

#[test]
fn a_name_in_a_long_password_does_no_harm() {
    for (name, password) in [
        ("ada", "ada walks on the pier"),
        ("al", "alalalal"),
        ("com", "community garden"),
        ("ada", "canada-goose-7"),
        ("ada", "ada%&/()=?!$+*"),
    ] {
        assert_eq!(checked_for(name, password), Ok(()), "{name}: {password}");
    }
}

#[test]
fn ordinary_passwords_of_any_characters_are_accepted() {
    for good in [
        "correct horse battery staple",
        "a long walk on the pier",
        "gx7 q2pL",
        "4829175036",
        "        9",
        "пароль для примера",
        "安全なパスワードです",
        "tr0ub4dor&3x",
        "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    ] {
        assert_eq!(checked(good), Ok(()), "{good}");
    }
    for long in ["x".repeat(64), "🔑".repeat(64), "x".repeat(1024)] {
        assert_eq!(checked(&long), Ok(()), "{} bytes", long.len());
    }
}

#[test]
fn a_host_of_one_name_is_a_name_and_a_domain_is_everybodys() {
    let check =
        |host: &str, text: &str| PasswordRules::new(8, host).check(&Password::parse(text).unwrap(), None);
    assert_eq!(check("localhost", "Localhost1"), Err(WeakPassword::Context));
    assert_eq!(check("acme.museum", "acmeacme1"), Err(WeakPassword::Context));
    assert_eq!(check("acme.museum", "museum-xqz"), Ok(()));
    assert_eq!(check("[::1]", "x0[::1]y0"), Err(WeakPassword::Context));
    assert_eq!(check("", "tangled fjords"), Ok(()));
}

proptest! {
    #[test]
    fn every_text_is_judged_and_the_same_each_time(text in "\\PC{1,80}", name in "[a-z]{1,12}") {
        if let Ok(password) = Password::parse(&text) {
            let name: Username = name.parse().unwrap();
            let judged = rules().check(&password, Some(&name));
            prop_assert_eq!(judged, rules().check(&password, Some(&name)));
            if password.typed.nfc().count() < 8 {
                prop_assert_eq!(judged, Err(WeakPassword::TooShort(8)));
            }
        }
    }

    #[test]
    fn a_common_word_is_refused_whatever_few_signs_stand_around_it(
        before in "[0-9!-]{0,4}", after in "[0-9!-]{0,4}", times in 2_usize..5,
    ) {
        let password = format!("{before}{}{after}", "dragon".repeat(times));
        prop_assert_eq!(checked(&password), Err(WeakPassword::Common));
    }
}
