//! Hashes of other systems. The vectors were made by passlib 1.7.4 over bcrypt 4.0.1 and argon2-cffi 25.1.0, Django 5.2.19 and
//! Werkzeug 3.1.9 with as little work as they allow; those of ASP.NET Core Identity with Python's hashlib after the layout that its
//! `PasswordHasher` documents; Firebase's is the example of its own scrypt tool.

use relatch_domain::password_rules::Password;

use crate::keys::password::even::{thread_time, verify_evenly};
use crate::keys::password::{Cost, PasswordHash, UnreadableHash, as_exported, as_imported, needs_rehash};

const HORSE: &str = "correct horse";

fn password(text: &str) -> Password {
    Password::parse(text).unwrap()
}

fn cost(cost: u32) -> Cost {
    Cost::new(cost).unwrap()
}

fn verifies(text: &str, hash: &str) -> bool {
    PasswordHash::parse(&as_imported(hash).unwrap()).unwrap().verify(&password(text))
}

/// Hashes of passwords that a system has taken as they were typed: a no-break space, decomposed letters, a tab, and more than the
/// 72 bytes that bcrypt reads.
const AS_TYPED: [(&str, &str); 14] = [
    ("correct\u{a0}horse", "$2y$04$jViy79OHvfxVrzH3I6aUwuzioMMtdWmHFvTZNNTPXpzoavHcrpmsC"),
    ("correct\u{a0}horse", "$2b$04$./MLNhAS0S0WQPv9GKGaE.Gi7i9A.G2.QWvhtuJgShp.5Yicy048m"),
    (
        "correct\u{a0}horse",
        "$bcrypt-sha256$v=2,t=2b,r=4$Wro6V9oCiLpiCYA1iBJpJ.$vFp36Gc1Xx0Ke/gPh0onqAeJwB3tT0a",
    ),
    (
        "correct\u{a0}horse",
        "$argon2id$v=19$m=64,t=1,p=1$E0KIcS5lrBXC2JtzLkVoTQ$ry9qQrCUHE6CzaG3zL2u9ERd/tb3rvAePZAiHUeeD3I",
    ),
    ("gru\u{308}ße cafe\u{301}", "$2y$04$PLbxqoUStOib3g5/clWDB.owerhznvX03Xw8xfnOuxorwRaAVTRpW"),
    ("gru\u{308}ße cafe\u{301}", "$2b$04$U46epQAnTN7YrANfFt83A.bLmy8O8rPmGyP2kbQ.Ryg57ZiphsJbi"),
    (
        "gru\u{308}ße cafe\u{301}",
        "$bcrypt-sha256$v=2,t=2b,r=4$cqKFC5ZHWdihU2pqRoLb8.$N/SKwYrp/55b9SYDDBqP7YwD6us/KJS",
    ),
    (
        "gru\u{308}ße cafe\u{301}",
        "$argon2id$v=19$m=64,t=1,p=1$fQ+BECKEMCZkzFnL+X8PwQ$+6xux2L5YjXSocLD3gvTydUblppXfQN96Bts31e29X4",
    ),
    ("correct\thorse", "$2y$04$ppO19AeV8iHPCLXxBWOiXuosi9PpJYqBC8tjfJHDVwqMZVr9Ntm96"),
    ("correct\thorse", "$2b$04$1dBaCFRttpwvLMSBUNCCouJWDNneATYk8mtkZsi7U0VvtS0BPPfHu"),
    ("correct\thorse", "$bcrypt-sha256$v=2,t=2b,r=4$VoUx3BSWC5FDgfsEYi55P.$wU/lKAXvWRbGNLDu0ElOM.XTGqkVyjy"),
    (
        "correct\thorse",
        "$argon2id$v=19$m=64,t=1,p=1$6b3X+p/TulfKuTemNKa0Vg$SSs/5JW1EGYV6s9NjEQsAzS/hRGwR4ZxNhlTy1BaDT0",
    ),
    (
        "long long long long long long long long long long long long long long long long long long long long ",
        "$2y$04$BR653i9Ucq73E2hHOq2kK.clNfU.nX4YT1YxzWHP2BhWHXSg2FpEO",
    ),
    (
        "long long long long long long long long long long long long long long long long long long long long ",
        "$2b$04$SFI/KH0UJXD1S6OvCzGb3OgKg.sd0MyyFnpsrVYvF2C4NPwChg9Ee",
    ),
];

/// Hashes of each kind, of [`HORSE`].
const OF_EACH_KIND: [(&str, &str); 18] = [
    ("pbkdf2", "$pbkdf2-sha256$10$4HxPiXHuHWMMwXiPkVIqpQ$jsw/i9XLSiWCB4gXpKWNTEm/Tum8QP/Nktdco904cCI"),
    ("pbkdf2", "$pbkdf2$10$ASAEIESIsTaG0DqnFEKoFQ$8yybdKKFX5yWSsEhwZxa05XxiYU"),
    (
        "pbkdf2",
        "$pbkdf2-sha512$10$WMv5f0/J.T8nhPB.b815rw$Zu70bxPvVf6kIIq.swqiZm2jEM4onSQ6rrAxV.l4YEiui8cifCc1CRB.JcFgCzwCtmmFz0A.0yIaCNWnQyNStA",
    ),
    ("scrypt", "$scrypt$ln=4,r=8,p=1$IkRojXEOgTDmfG8N4fxfyw$tXBBaXX0yU1ispM99w/eU1hfYEQza/mJtkBQlv899uU"),
    ("pbkdf2", "pbkdf2:sha1:10$3V5S3igKV6BlHtAv$01e1f52542ee95fb5d4979130a0e55d58143cbf6"),
    (
        "pbkdf2",
        "pbkdf2:sha256:10$sYDNnr0DQ84RQAJ9$22a5f6efbfd28e32d1ea805c2b220878872ec9d36dee01787de1497d48c355ef",
    ),
    (
        "pbkdf2",
        "pbkdf2:sha512:10$VN3fJBqZvsenB4J1$0f11762025dad7b9ec67dd8d6ccfafb9eec7bb664f95a27eeba5faaba9465769243284e8c8f4be97f57aee293d88d3fea9927b2c7abe1f85e2a031518d7de5f6",
    ),
    (
        "scrypt",
        "scrypt:1024:8:1$r8mXLNtvEqtdLX6d$75f2539b849bbf7dcea37abb738b4613d94daaaa9feb5c3cdbd4898e4d5bfd89a9e7ee4d29d9955868afb92261a08eac891295de753fd93b74ef0b66f12a8fba",
    ),
    ("pbkdf2", "pbkdf2_sha256$10$g9YWeILDm85zTzeNDbwZRG$YL+jWENJp00ecgDtZulu4nqqLpWmYrFz2JsGtop1h7I="),
    ("pbkdf2", "pbkdf2_sha1$10$PrkDUpseZ3rb0xwvAwJaPz$dbJmFVcMWGfEhYwjj7JT+7P9Oq4="),
    (
        "scrypt",
        "scrypt$1024$Kju7rdlyz6CkMroVqjD6JK$8$5$e/IZJr28djez0sFko/7df+p1m4as4iP4Xz4qO7qCRy/6cQwP19QZUxr84JiunhvejH81qpjvtRK9Wt1A480X2Q==",
    ),
    ("bcrypt-sha256", "bcrypt_sha256$$2b$04$Zk8/Q59JPlq4PUbt0gMeU.WGFXq5Qsgm2G0INzZt9nT6pWWx2g4cK"),
    ("bcrypt", "bcrypt$$2b$04$AhWuvc.hmDOtN4YFYDsGuOShDMwwWe0IbALi3XzoYoLqxwrKLz1MW"),
    (
        "argon2",
        "argon2$argon2id$v=19$m=64,t=1,p=1$UGN3a3BkM1REeWVjSVM5djVwM2RnUA$Z8d7dkvwvGKcg7iokCG74sxwzyPj0Og66JD8C4ROnag",
    ),
    ("pbkdf2", "AAABAgMEBQYHCAkKCwwNDg+d2FbDdriytxO2vgdAVMuIpGVW4BGF6o0NJn8znGUhaQ=="),
    ("pbkdf2", "AQAAAAAAAAAKAAAAEAABAgMEBQYHCAkKCwwNDg983l80AchFJcmK2zjIYiPXGbjYyiTJgxXXlkco5LZ+eg=="),
    ("pbkdf2", "AQAAAAEAAAAKAAAAEAABAgMEBQYHCAkKCwwNDg9E22CPEl7Tk6Rm7M8igv/KFzdaNec8fR35gKEFcicIjA=="),
    ("pbkdf2", "AQAAAAIAAAAKAAAAEAABAgMEBQYHCAkKCwwNDg+1Tc+f9EDprC6VQHpaUtKvIRoUW8azXdxY2YY7rSkeoQ=="),
];

/// Firebase's own example, of "user1password".
const FIREBASE: &str = "$firescrypt$ln=14,r=8,p=1$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==$Bw==$jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==";

#[test]
fn a_foreign_hash_verifies_for_what_was_typed_and_for_its_normal_form() {
    for (text, hash) in AS_TYPED {
        assert!(verifies(text, hash), "{text:?}: {hash}");
        assert!(!verifies(&format!("!{text}"), hash), "{text:?}: {hash}");
        let imported = as_imported(hash).unwrap();
        assert!(needs_rehash(&imported, cost(4)), "{hash}");
        assert_eq!(as_exported(&imported), hash);
        assert_eq!(as_imported(&imported).unwrap(), imported, "marked once");
    }
    // Made of the normal form, typed in another.
    let (normal, hash) = (HORSE, "$2b$04$gTcuX7skX4o2aE9fsXX6beeJEj9ItIr1ZYNPsG7QnZbxhNBiGAt.2");
    assert!(verifies(normal, hash) && verifies("correct\u{a0}horse", hash));
}

#[test]
fn a_hash_of_ours_is_checked_once_and_never_for_a_part_of_the_password() {
    let (text, hash) =
        AS_TYPED.iter().find(|(text, hash)| text.len() > 72 && hash.starts_with("$2b$")).unwrap();
    assert!(!PasswordHash::parse(hash).unwrap().verify(&password(text)), "not imported");
    let ours = PasswordHash::make(&password("correct\u{a0}horse"), cost(4), [7; 16]).unwrap();
    let ours = PasswordHash::parse(&ours).unwrap();
    assert_eq!(ours.candidates(&password("correct\u{a0}horse")), [HORSE.as_bytes()]);
    for typed in [HORSE, "correct\u{a0}horse"] {
        assert!(ours.verify(&password(typed)));
    }
}

#[test]
fn at_most_two_forms_are_tried() {
    let foreign =
        PasswordHash::parse("$2y$04$QXqAMCo48hPO9if5Kw.1IuC4KV0QNOIeodRoSGuk.Gfd849xr0NnW").unwrap();
    let long = "x".repeat(72);
    let table = [
        (HORSE.to_owned(), 1),
        ("a\u{a0}b".to_owned(), 2),
        (format!("{long}\u{a0}"), 1),
        (format!("\u{a0}{long}"), 2),
    ];
    for (text, count) in table {
        assert_eq!(foreign.candidates(&password(&text)).len(), count, "{text}");
    }
}

#[test]
fn hashes_of_each_kind_verify_for_their_password_and_no_other() {
    for (kind, hash) in OF_EACH_KIND.into_iter().chain([("scrypt", FIREBASE)]) {
        let right = if hash == FIREBASE { "user1password" } else { HORSE };
        assert_eq!(PasswordHash::parse(hash).unwrap().kind(), kind, "{hash}");
        assert!(verifies(right, hash), "{hash}");
        for wrong in [&format!("{right} "), "Correct horse", "x"] {
            assert!(!verifies(wrong, hash), "{hash}");
        }
        assert!(needs_rehash(hash, cost(4)));
        assert_eq!(as_imported(hash).unwrap(), hash, "needs no mark");
        let evenly = |text| verify_evenly(&password(text), Some(hash), cost(6));
        assert_eq!((evenly(right), evenly("x")), (Ok(true), Ok(false)), "{hash}");
    }
}

#[test]
fn what_takes_too_much_is_refused_before_it_is_computed() {
    let salt_and_output = "$YWFhYWFhYWFhYWFhYWFhYQ$YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE";
    let hex = "ab".repeat(32);
    let identity = |rounds: u32| {
        use base64::Engine as _;
        let head = [&[1, 0, 0, 0, 1][..], &rounds.to_be_bytes(), &16_u32.to_be_bytes()].concat();
        base64::engine::general_purpose::STANDARD.encode([head, vec![7; 48]].concat())
    };
    let within = [
        format!("$pbkdf2-sha256$5000000{salt_and_output}"),
        format!("pbkdf2:sha1:2500000$salt${hex}"),
        identity(5_000_000),
        format!("$scrypt$ln=18,r=8,p=4{salt_and_output}"),
        format!("scrypt:131072:16:4$salt${hex}"),
    ];
    for hash in within {
        assert!(PasswordHash::parse(&hash).is_ok(), "{hash}");
    }
    let beyond = [
        (format!("$pbkdf2-sha256$5000001{salt_and_output}"), UnreadableHash::Pbkdf2Cost),
        (format!("pbkdf2:sha1:2500001$salt${hex}"), UnreadableHash::Pbkdf2Cost),
        (format!("pbkdf2:sha1:9999999999$salt${hex}"), UnreadableHash::Pbkdf2Cost),
        (identity(5_000_001), UnreadableHash::Pbkdf2Cost),
        (identity(u32::MAX), UnreadableHash::Pbkdf2Cost),
        (format!("$scrypt$ln=19,r=8,p=1{salt_and_output}"), UnreadableHash::ScryptCost),
        (format!("$scrypt$ln=64,r=8,p=1{salt_and_output}"), UnreadableHash::ScryptCost),
        (format!("$scrypt$ln=63,r=8,p=1{salt_and_output}"), UnreadableHash::ScryptCost),
        (format!("$scrypt$ln=18,r=8,p=5{salt_and_output}"), UnreadableHash::ScryptCost),
        (format!("$scrypt$ln=4,r=8,p=17{salt_and_output}"), UnreadableHash::ScryptCost),
        (format!("scrypt:8589934592:8:1$salt${hex}"), UnreadableHash::ScryptCost),
        (format!("scrypt:2:9999999999:1$salt${hex}"), UnreadableHash::ScryptCost),
    ];
    for (hash, expected) in beyond {
        assert_eq!(PasswordHash::parse(&hash).map(|_| ()), Err(expected), "{hash}");
    }
}

#[test]
fn what_is_damaged_is_refused() {
    let hex = "ab".repeat(32);
    let (damaged, length) = (UnreadableHash::Malformed, UnreadableHash::Length);
    let table = [
        (format!("pbkdf2:sha256:0$salt${hex}"), damaged),
        (format!("pbkdf2:sha256:+9$salt${hex}"), damaged),
        (format!("pbkdf2:sha256:9$salt${hex}a"), damaged),
        (format!("pbkdf2:sha256:9$salt${hex}$"), damaged),
        (format!("pbkdf2:sha256$salt${hex}"), damaged),
        (format!("pbkdf2:md5:9$salt${hex}"), UnreadableHash::Unsupported),
        ("pbkdf2:sha256:9$salt$".to_owned(), length),
        (format!("pbkdf2:sha256:9$salt${}", "ab".repeat(15)), length),
        (format!("pbkdf2:sha256:9$salt${}", "ab".repeat(65)), length),
        (format!("pbkdf2:sha256:9$${hex}"), length),
        (format!("pbkdf2:sha256:9${}${hex}", "s".repeat(129)), length),
        (format!("scrypt:1000:8:1$salt${hex}"), damaged),
        (format!("scrypt:1:8:1$salt${hex}"), damaged),
        (format!("scrypt:1024:0:1$salt${hex}"), damaged),
        (format!("scrypt:1024:8:0$salt${hex}"), damaged),
        (format!("scrypt:1024:8$salt${hex}"), damaged),
        (format!("scrypt:1024:8:1$salt${}", "ab".repeat(8)), length),
        (FIREBASE.replace("$Bw==$jx", "$Bw==$"), damaged),
        (FIREBASE.replace("$Bw==$", "$"), damaged),
        ("AAAA".to_owned(), damaged),
        (
            "AQAAAAMAAAAKAAAAEAABAgMEBQYHCAkKCwwNDg9E22CPEl7Tk6Rm7M8igv/KFzdaNec8fR35gKEFcicIjA==".to_owned(),
            UnreadableHash::Unsupported,
        ),
        (
            "AQAAAAEAAAAKAAAA8AABAgMEBQYHCAkKCwwNDg9E22CPEl7Tk6Rm7M8igv/KFzdaNec8fR35gKEFcicIjA==".to_owned(),
            damaged,
        ),
        ("imported:".to_owned(), UnreadableHash::Unsupported),
        (
            "imported:imported:$2b$04$gTcuX7skX4o2aE9fsXX6beeJEj9ItIr1ZYNPsG7QnZbxhNBiGAt.2".to_owned(),
            UnreadableHash::Unsupported,
        ),
        ("bcrypt$$argon2id$".to_owned(), UnreadableHash::Unsupported),
    ];
    for (hash, expected) in table {
        assert_eq!(PasswordHash::parse(&hash).map(|_| ()), Err(expected), "{hash}");
    }
}

/// Where what was typed has two forms, every refusal takes the work of two hashes: how many are computed must not tell whether there
/// is such an account, nor whether it was imported.
#[test]
fn a_refusal_takes_the_same_work_with_one_form_or_two() {
    let hashes = [
        None,
        Some("$2b$04$gTcuX7skX4o2aE9fsXX6beeJEj9ItIr1ZYNPsG7QnZbxhNBiGAt.2"),
        Some("imported:$2b$04$gTcuX7skX4o2aE9fsXX6beeJEj9ItIr1ZYNPsG7QnZbxhNBiGAt.2"),
        Some("pbkdf2:sha1:10$3V5S3igKV6BlHtAv$01e1f52542ee95fb5d4979130a0e55d58143cbf6"),
    ];
    for (typed, forms) in [("wrong horse", 1.0), ("wrong\u{a0}horse", 2.0)] {
        let times = hashes.map(|hash| {
            let begun = thread_time();
            assert_eq!(verify_evenly(&password(typed), hash, cost(9)), Ok(false));
            thread_time().saturating_sub(begun).as_secs_f64()
        });
        let begun = thread_time();
        crate::keys::password::even::spend(9);
        let one = thread_time().saturating_sub(begun).as_secs_f64();
        for (time, hash) in times.iter().zip(hashes) {
            let ratio = time / (one * forms);
            assert!((0.7..1.4).contains(&ratio), "{typed:?}, {hash:?}: {ratio}");
        }
    }
}
