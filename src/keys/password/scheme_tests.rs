//! The vectors were made with Python's passlib 1.7.4 over bcrypt 4.0.1: `bcrypt.using(ident=…, rounds=4).hash(…)`,
//! `bcrypt_sha256.using(rounds=4).hash(…)`, for version 1 with `version=1`; where a salt is named, with
//! `salt="..CA.uOD/eaGAOmJB.yMBu"`, the bytes 0 to 15. Those of Argon2 with `argon2.using(type=…, memory_cost=64,
//! rounds=…, parallelism=…).hash(…)` over argon2-cffi 25.1.0; the one of version 16 with that alone.

use super::*;
use crate::keys::password::even::verify_evenly;
use proptest::prelude::*;

const CHEAP: Cost = Cost(4);
const SALT: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn password(text: &str) -> Password {
    Password::parse(text).unwrap()
}

fn verifies(text: &str, hash: &str) -> bool {
    PasswordHash::parse(hash).unwrap().verify(&password(text))
}

/// Passwords with the hashes that passlib made of them.
fn vectors() -> Vec<(String, &'static str)> {
    let plain = "correct horse".to_owned();
    let umlauts = "grüße 🔑".to_owned();
    let long = "long ".repeat(40);
    vec![
        (plain.clone(), "$2a$04$HFw6iL83I9R53zk23.1RaOyAcUk1s2dypjiohwqv/8N.ZZ1CMEozK"),
        (plain.clone(), "$2b$04$gTcuX7skX4o2aE9fsXX6beeJEj9ItIr1ZYNPsG7QnZbxhNBiGAt.2"),
        (plain.clone(), "$2y$04$QXqAMCo48hPO9if5Kw.1IuC4KV0QNOIeodRoSGuk.Gfd849xr0NnW"),
        (umlauts.clone(), "$2b$04$K1WpAJA0fNCyd2ShPx1P5Or9T97Xj/EBO.HrRcEZKiaEm1LT7oKaC"),
        ("x".repeat(71), "$2b$04$WBFwkKgKbcRdxdppiXGKH.sl31sjy0BuHW8cKTG2eHKGRuNCIBpzW"),
        ("x".repeat(72), "$2b$04$WMYp5VVJo9r0Lv653d95v.BSleXy3LywQd.ozlpER5oR3s07zPdYm"),
        (
            plain.clone(),
            "$argon2id$v=19$m=64,t=2,p=2$3puzdm7tPQeAkNL6v1cKQQ$nHkhzVS8ymKSjzEx5BfBOpix83INNb3XvGrS28jjIYQ",
        ),
        (
            plain.clone(),
            "$argon2i$v=19$m=64,t=2,p=2$r1WKsZYSAgDgfI9x7p3z3g$oyPD2+fhJMdvcDkFopsqi+frs1Nk1SWKh0Pta1D25fw",
        ),
        (
            plain.clone(),
            "$argon2d$v=19$m=64,t=2,p=2$GoOwVqrV+l+LEeLc+z8HwA$tK2iQRJMbRo/zHFHGIB1tpshZ4znqOmny97KnoOWdIE",
        ),
        (
            umlauts.clone(),
            "$argon2id$v=19$m=64,t=1,p=1$nRMCYKw1BqD03vu/13pvDQ$KgfX74QNjLkKhv41RLnmNJef20Hw8Tzrhd1sH/EhgF0",
        ),
        (
            long.clone(),
            "$argon2id$v=19$m=64,t=1,p=1$3PufU+odI4TQWqv13ts7xw$NIyJgLuNMu90JWjpizxVpja5P0vTVIsixT2HXBtCFmk",
        ),
        (
            plain.clone(),
            "$argon2id$v=19$m=64,t=1,p=1$835vjVFqDWEspXQuZWxNaW2NUWqtFeK8l1JqjbEWQkg$rhMhSti5r7vbCqiRI9u+jNdYN17EP9IZTjAm03b9mU5rV1isnoQegLEqCCqcbUZOTxf8RiazRFUBJ2wm1CzN6g",
        ),
        (
            plain.clone(),
            "$argon2i$v=16$m=64,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$uTk+XTWXzjOAQ02rWGuR0cfRk0jA7AWFk5S3LCFO7hs",
        ),
        (plain, "$bcrypt-sha256$v=2,t=2b,r=4$u8QNLTafBW14zRKMnCQdE.$EJPhGxfNCgwo4cJ7lqdvRhP7hxpAuKq"),
        (umlauts, "$bcrypt-sha256$v=2,t=2b,r=4$.DugBU3/sScYIQrPYXu8p.$EYn.WFWwvxLgrrPT40t/Zr.V3Mv3ojW"),
        (
            "x".repeat(72),
            "$bcrypt-sha256$v=2,t=2b,r=4$7S6rcPBamZ1eFE/98Zm0QO$NcM0ufBBbh2LUvStMnHp29hDunxi60S",
        ),
        (
            "y".repeat(73),
            "$bcrypt-sha256$v=2,t=2b,r=4$dZ9aVWIxgOokMEWKoHt.vO$CXTQhIvheqab.szbxYIUXIuuTZleRf6",
        ),
        (long.clone(), "$bcrypt-sha256$v=2,t=2b,r=4$wqspuw4wtJooWPdv8B04fu$rmoTnkYNUad20En/mezoi3nHIAGJZHG"),
        (long.clone(), "$bcrypt-sha256$2a,4$w955JczFP.fwnvPFhtyAG.$CG59YZ4VUAr0.7P.wROZubSe1pMQMQ."),
        (long, "$bcrypt-sha256$2b,4$ku4n5oVZyKN/XkTDosVcZu$gwS1UqQ1wJbHSBtAx61XfeMBcotzvfG"),
    ]
}

#[test]
fn passlibs_hashes_verify_for_their_password_and_no_other() {
    for (text, hash) in vectors() {
        assert!(verifies(&text, hash), "{hash}");
        assert!(!verifies(&format!("{text}!"), hash), "{hash} with one character more");
        let one_less: String = text.chars().skip(1).collect();
        assert!(!verifies(&one_less, hash), "{hash} with one character less");
    }
}

#[test]
fn our_hashes_are_the_ones_that_passlib_makes() {
    let make = |text: &str, cost| PasswordHash::make(&password(text), Cost(cost), SALT).unwrap();
    assert_eq!(make("correct horse", 5), "$2b$05$..CA.uOD/eaGAOmJB.yMBuIiq3ZpINtwHaNw18Rp7ZaHcKREQK/g6");
    assert_eq!(make(&"x".repeat(71), 4), "$2b$04$..CA.uOD/eaGAOmJB.yMBuBQw6tmIhRYRioTbpDnI3hv.YzPQ1ROS");
    assert_eq!(
        make(&"x".repeat(72), 5),
        "$bcrypt-sha256$v=2,t=2b,r=5$..CA.uOD/eaGAOmJB.yMBu$eVgc6WLPzC66Lsaed/Vcme.oUSUys.2"
    );
    assert_eq!(
        make(&format!("{}end", "grüße 🔑 ".repeat(12)), 5),
        "$bcrypt-sha256$v=2,t=2b,r=5$..CA.uOD/eaGAOmJB.yMBu$hswJPtZs2n9u59Pg8L89hT8jCdWGeaa"
    );
}

#[test]
fn a_long_password_and_its_first_bytes_never_verify_for_one_another() {
    let base = "p".repeat(72);
    for (longer, shorter) in [(73, 72), (72, 71), (1024, 72), (1024, 1023)] {
        let longer = format!("{base}{}", "q".repeat(952)).get(..longer).unwrap().to_owned();
        let shorter = longer.get(..shorter).unwrap().to_owned();
        let of_longer = PasswordHash::make(&password(&longer), CHEAP, SALT).unwrap();
        let of_shorter = PasswordHash::make(&password(&shorter), CHEAP, SALT).unwrap();
        assert!(verifies(&longer, &of_longer) && verifies(&shorter, &of_shorter));
        assert!(!verifies(&shorter, &of_longer), "{} for {}", shorter.len(), longer.len());
        assert!(!verifies(&longer, &of_shorter), "{} for {}", longer.len(), shorter.len());
    }
}

#[test]
fn what_is_no_hash_is_an_error_that_says_which_and_does_not_show_it() {
    let good = "$2b$04$gTcuX7skX4o2aE9fsXX6beeJEj9ItIr1ZYNPsG7QnZbxhNBiGAt.2";
    let long = "$bcrypt-sha256$v=2,t=2b,r=4$7S6rcPBamZ1eFE/98Zm0QO$NcM0ufBBbh2LUvStMnHp29hDunxi60S";
    let table = [
        (String::new(), UnreadableHash::Unsupported),
        ("$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA".to_owned(), UnreadableHash::Malformed),
        ("$argon2x$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo".to_owned(), UnreadableHash::Unsupported),
        (good.replace("$2b$", "$2x$"), UnreadableHash::Unsupported),
        (good.replace("$2b$", "$2$"), UnreadableHash::Unsupported),
        (long.replace("v=2", "v=3"), UnreadableHash::Unsupported),
        (good.replace("$04$", "$4$"), UnreadableHash::Malformed),
        (good.replace("$04$", "$+4$"), UnreadableHash::Malformed),
        (good.replace("$04$", "$03$"), UnreadableHash::Cost(3)),
        (good.replace("$04$", "$17$"), UnreadableHash::Cost(17)),
        (good.replace("$04$", "$99$"), UnreadableHash::Cost(99)),
        (format!("{good}a"), UnreadableHash::Malformed),
        (good.replace("gTcu", "gT*u"), UnreadableHash::Malformed),
        (good.replace("gTcu", "gTü"), UnreadableHash::Malformed),
        ("$bcrypt-sha256$".to_owned(), UnreadableHash::Malformed),
        (long.replace("r=4", "r=+4"), UnreadableHash::Malformed),
        (long.replace("r=4", "r=31"), UnreadableHash::Cost(31)),
        (long.replace("QO$Nc", "Q$ONc"), UnreadableHash::Malformed),
        (format!("{long}$"), UnreadableHash::Malformed),
        ("$bcrypt-sha256$2y,4$w955JczFP.fwnvPFhtyAG.$CG59".to_owned(), UnreadableHash::Malformed),
    ];
    for (hash, expected) in table {
        let error = PasswordHash::parse(&hash).map(|_| ()).unwrap_err();
        assert_eq!(error, expected, "{hash}");
        assert!(hash.is_empty() || !error.to_string().contains(&hash));
        assert_eq!(verify_evenly(&password("x"), Some(&hash), CHEAP), Err(expected));
        assert!(needs_rehash(&hash, CHEAP));
    }
}

#[test]
fn a_hash_of_another_kind_or_cost_is_made_anew() {
    let ours = PasswordHash::make(&password("correct horse"), CHEAP, SALT).unwrap();
    let long = PasswordHash::make(&password(&"x".repeat(100)), CHEAP, SALT).unwrap();
    assert!(!needs_rehash(&ours, CHEAP));
    assert!(!needs_rehash(&long, CHEAP));
    assert!(needs_rehash(&ours, Cost(5)), "a higher cost was configured");
    assert!(needs_rehash(&ours.replace("$2b$", "$2y$"), CHEAP));
    assert!(needs_rehash(
        "$bcrypt-sha256$2b,4$ku4n5oVZyKN/XkTDosVcZu$gwS1UqQ1wJbHSBtAx61XfeMBcotzvfG",
        CHEAP
    ));
}

#[test]
fn an_argon2_hash_takes_no_more_than_is_spent_on_anybody() {
    let good =
        "$argon2id$v=19$m=64,t=2,p=2$3puzdm7tPQeAkNL6v1cKQQ$nHkhzVS8ymKSjzEx5BfBOpix83INNb3XvGrS28jjIYQ";
    for within in ["m=65536,t=3,p=4", "m=262144,t=4,p=16"] {
        assert!(PasswordHash::parse(&good.replace("m=64,t=2,p=2", within)).is_ok(), "{within}");
    }
    let beyond = [
        "m=262145,t=1,p=1",
        "m=262144,t=5,p=1",
        "m=64,t=16385,p=1",
        "m=256,t=1,p=17",
        "m=4294967295,t=1,p=1",
    ];
    for parameters in beyond {
        let error = PasswordHash::parse(&good.replace("m=64,t=2,p=2", parameters)).map(|_| ()).unwrap_err();
        assert_eq!(error, UnreadableHash::Argon2Cost, "{parameters}");
    }
    for broken in ["m=7,t=1,p=1", "m=64,t=0,p=1", "m=64,t=1,p=0", "m=-1,t=1,p=1", "x=1"] {
        let error = PasswordHash::parse(&good.replace("m=64,t=2,p=2", broken)).map(|_| ()).unwrap_err();
        assert_eq!(error, UnreadableHash::Malformed, "{broken}");
    }
    assert!(needs_rehash(good, CHEAP));
}

#[test]
fn no_hash_and_a_wrong_password_are_the_same_no() {
    let hash = PasswordHash::make(&password("correct horse"), CHEAP, SALT).unwrap();
    assert_eq!(verify_evenly(&password("correct horse"), Some(&hash), Cost(6)), Ok(true));
    assert_eq!(verify_evenly(&password("wrong horse"), Some(&hash), Cost(6)), Ok(false));
    assert_eq!(verify_evenly(&password("correct horse"), None, Cost(6)), Ok(false));
    let (text, argon2) = vectors().into_iter().find(|(_, hash)| hash.starts_with("$argon2id$")).unwrap();
    assert_eq!(verify_evenly(&password(&text), Some(argon2), Cost(6)), Ok(true));
    assert_eq!(verify_evenly(&password("wrong horse"), Some(argon2), Cost(6)), Ok(false));
}

#[test]
fn a_hash_never_shows_in_debug_output() {
    let text = PasswordHash::make(&password("correct horse"), CHEAP, SALT).unwrap();
    assert_eq!(
        format!("{:?}", PasswordHash::parse(&text).unwrap()),
        "PasswordHash { cost: Some(Cost(4)), .. }"
    );
}

proptest! {
    #[test]
    fn whatever_is_stored_nothing_panics(text in ".{0,100}") {
        let _ = PasswordHash::parse(&text);
        let _ = PasswordHash::parse(&format!("$2b${text}"));
        let _ = PasswordHash::parse(&format!("$bcrypt-sha256${text}"));
        let _ = PasswordHash::parse(&format!("$argon2id$v=19$m=64,t=1,p=1${text}"));
    }

    #[test]
    fn a_changed_character_of_a_hash_never_makes_it_verify(at in 0_usize..60, to in "[./A-Za-z0-9$]") {
        let hash = "$2b$04$gTcuX7skX4o2aE9fsXX6beeJEj9ItIr1ZYNPsG7QnZbxhNBiGAt.2";
        let mut changed = hash.to_owned();
        changed.replace_range(at..=at, &to);
        // The letter tells apart implementations, not hashes.
        prop_assume!(changed != hash && at != 2);
        // A higher cost would make the test slow, and is not the same hash either way.
        prop_assume!(!(4..=5).contains(&at));
        let verified = PasswordHash::parse(&changed).is_ok_and(|hash| hash.verify(&password("correct horse")));
        prop_assert!(!verified);
    }
}
