//! `relatch user import` and `relatch user export`.

use std::fmt::Write as _;

use relatch_testkit::PASSWORD;
use serde_json::{Value, json};

use super::{done, failed, on_each_way};

/// passlib's, of "correct horse".
const ARGON2: &str =
    "$argon2id$v=19$m=64,t=2,p=2$3puzdm7tPQeAkNL6v1cKQQ$nHkhzVS8ymKSjzEx5BfBOpix83INNb3XvGrS28jjIYQ";
/// PHP's, of the same.
const PHP: &str = "$2y$04$QXqAMCo48hPO9if5Kw.1IuC4KV0QNOIeodRoSGuk.Gfd849xr0NnW";

/// bcrypt's, of "correct horse" with a no-break space in it.
const NO_BREAK_SPACE: &str = "$2b$04$./MLNhAS0S0WQPv9GKGaE.Gi7i9A.G2.QWvhtuJgShp.5Yicy048m";
/// The same of 100 bytes, of which it has read 72.
const CUT_OFF: &str = "$2b$04$SFI/KH0UJXD1S6OvCzGb3OgKg.sd0MyyFnpsrVYvF2C4NPwChg9Ee";

fn lines(users: &[Value]) -> String {
    let mut text = String::new();
    for user in users {
        writeln!(text, "{user}").unwrap();
    }
    text
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

on_each_way! {
    async fn users_come_with_the_hashes_that_they_have(place: Place) {
        let id = "01a1fdab-6a07-786f-997e-d0ae0e2646b6";
        let file = lines(&[
            json!({ "username": "Ada", "password_hash": ARGON2, "id": id, "roles": ["billing", "user"],
                    "attributes": { "tenant": "acme" } }),
            json!({ "username": "bob", "password_hash": PHP }),
            json!({ "username": "eve", "password_hash": PHP, "disabled": true, "created_at": "2020-01-01T00:00:00Z" }),
            json!({ "username": "zoe" }),
        ]);
        let would = done(place.relatch(&["user", "import", "-", "--dry-run"], &file));
        let kinds = "hashes that the next sign-in replaces: 1 argon2, 2 bcrypt\n";
        assert_eq!(would, format!("4 users would be added, 0 already there, 0 refused\n{kinds}"));
        assert_eq!(place.json(&["user", "list"]).len(), 1, "only the administrator");
        let said = done(place.relatch(&["user", "import", "-"], &file));
        assert_eq!(said, format!("4 users added, 0 already there, 0 refused\n{kinds}"));

        let ada = place.object(&["user", "show", "ada"]);
        assert_eq!((&ada["id"], &ada["roles"], &ada["attributes"]), (&json!(id), &json!(["billing", "user"]), &json!({ "tenant": "acme" })));
        assert_eq!(place.object(&["user", "show", "bob"])["roles"], json!(["user"]));
        let hash_of = |name: &str| {
            let all = objects(&place.does(&["user", "export"]));
            let hash = &all.iter().find(|user| user["username"] == name).unwrap()["password_hash"];
            hash.as_str().unwrap().to_owned()
        };
        assert_eq!((hash_of("ada"), hash_of("bob")), (ARGON2.to_owned(), PHP.to_owned()));
        for name in ["ada", "bob"] {
            place.app.login(name, "wrong horse").await.problem(401, "invalid_credentials");
            place.app.login(name, "correct horse").await.ok();
        }
        // At the first sign-in they have become ours, whatever they were.
        for name in ["ada", "bob"] {
            assert!(hash_of(name).starts_with("$2b$04$"), "{name}");
            place.app.login(name, "correct horse").await.ok();
        }
        for name in ["eve", "zoe"] {
            place.app.login(name, "correct horse").await.problem(401, "invalid_credentials");
        }
        done(place.relatch(&["user", "passwd", "zoe"], PASSWORD));
        place.app.sign_in("zoe").await;

        let trail = place.json(&["audit", "tail", "--event", "users_imported"]);
        assert_eq!(trail.len(), 1, "nothing is told of what was only tried");
        assert_eq!((&trail[0]["actor"]["kind"], &trail[0]["details"]), (&json!("operator"), &json!({ "users": 4 })));
    }

    async fn a_table_with_hashes_of_passwords_as_they_were_typed_is_imported(place: Place) {
        let path = place.dir.path().join("users.csv");
        let table = format!(
            "\u{feff}username,attr.note,password_hash,roles,disabled\r\n\
             ada,\"two\r\nlines\",{NO_BREAK_SPACE},billing user,no\r\n\
             md5,,$1$abc$def,,\r\n\
             bob,,\"{ARGON2}\",,\r\n\
             eve,,{CUT_OFF},,maybe\r\n\
             eve,,{CUT_OFF},,\r\n\
             a b,,,,"
        );
        std::fs::write(&path, table).unwrap();
        let output = place.relatch(&["user", "import", path.to_str().unwrap()], "");
        let said = String::from_utf8(output.stdout.clone()).unwrap();
        assert_eq!(failed(output, 1), "relatch: 3 lines refused\n");
        let lines: Vec<_> = said.lines().collect();
        let beginnings = [
            "line 4: md5: the stored password hash is of a kind that is not supported; supported are bcrypt",
            "line 6: disabled: neither true nor false", "line 8: a b: username: ",
            "3 users added, 0 already there, 3 refused", "hashes that the next sign-in replaces: 1 argon2, 2 bcrypt",
        ];
        assert_eq!(lines.len(), beginnings.len(), "{said}");
        for (line, beginning) in lines.into_iter().zip(beginnings) {
            assert!(line.starts_with(beginning), "{line}");
        }
        let ada = place.object(&["user", "show", "ada"]);
        assert_eq!((&ada["roles"], &ada["attributes"]), (&json!(["billing", "user"]), &json!({ "note": "two\r\nlines" })));
        let hash_of = |name: &str| {
            let all = objects(&place.does(&["user", "export"]));
            all.iter().find(|user| user["username"] == name).unwrap()["password_hash"].as_str().unwrap().to_owned()
        };
        assert_eq!((hash_of("ada"), hash_of("eve")), (NO_BREAK_SPACE.to_owned(), CUT_OFF.to_owned()));
        let long = "long ".repeat(20);
        for (name, password, wrong) in [("ada", "correct\u{a0}horse", "wrong\u{a0}horse"), ("eve", &long, "long ")] {
            place.app.login(name, wrong).await.problem(401, "invalid_credentials");
            place.app.login(name, password).await.ok();
            let ours = hash_of(name);
            assert!(ours != NO_BREAK_SPACE && ours != CUT_OFF);
            place.app.login(name, password).await.ok();
            assert_eq!(hash_of(name), ours, "made anew once");
        }
        // The first 72 bytes were the password of the other system; they are not ours.
        place.app.login("eve", &long[..72]).await.problem(401, "invalid_credentials");
        // Ours takes the normal form, in whatever way it is typed.
        place.app.login("ada", "correct horse").await.ok();
    }

    async fn an_import_can_be_repeated(place: Place) {
        let file = lines(&[
            json!({ "username": "ada", "password_hash": PHP, "id": "01a1fdab-6a07-786f-997e-d0ae0e2646b6" }),
            json!({ "username": "bob", "password_hash": PHP }),
        ]);
        done(place.relatch(&["user", "import", "-"], &file));
        // With an id the same user is known whatever has become of them.
        done(place.relatch(&["user", "passwd", "ada"], PASSWORD));
        for arguments in [&["user", "import", "-", "--json"][..], &["user", "import", "-", "--json", "--dry-run"]] {
            let summary = &objects(&done(place.relatch(arguments, &file)))[0];
            assert_eq!((&summary["added"], &summary["already_there"]), (&json!(0), &json!(2)));
        }
        place.app.sign_in("ada").await;
        assert_eq!(place.json(&["user", "list"]).len(), 3);
    }

    async fn what_is_refused_is_listed_and_the_rest_goes_on(place: Place) {
        let taken = place.app.user("taken").await;
        let mut file = lines(&[
            json!({ "username": "taken", "password_hash": PHP }),
            json!({ "username": "a b" }),
            json!({ "username": "md5", "password_hash": "$1$abc$def" }),
            json!({ "username": "same-id", "id": taken }),
            json!({ "username": "good-1" }),
            json!({ "username": "nobody", "id": "42" }),
            json!({ "username": "x", "password": PASSWORD }),
            json!({ "username": "many", "roles": (0..33).map(|n| format!("r{n}")).collect::<Vec<_>>() }),
        ]);
        writeln!(file, "\n{{\"username\":\"{}\"}}\nnot json\n{}", "x".repeat(20_000), json!({ "username": "GOOD-1" })).unwrap();
        write!(file, "{}", json!({ "username": "good-2" })).unwrap();
        let arguments = ["user", "import", "-", "--json"];
        for (dry_run, more) in [(true, vec!["--dry-run"]), (false, vec![])] {
            let output = place.relatch(&[&arguments[..], &more].concat(), &file);
            let said = objects(&String::from_utf8(output.stdout.clone()).unwrap());
            assert_eq!(failed(output, 1), "relatch: 10 lines refused\n");
            let (summary, refused) = said.split_last().unwrap();
            assert_eq!((&summary["added"], &summary["refused"], &summary["dry_run"]), (&json!(2), &json!(10), &json!(dry_run)));
            let refused: Vec<_> = refused.iter().map(|refused| (refused["line"].as_u64().unwrap(), refused["why"].as_str().unwrap())).collect();
            let beginnings = [
                (1, "another user has this name"), (2, "username: "), (3, "the stored password hash is of a kind"),
                (4, "another user has this id"), (6, "id: not a UUID"), (7, "not a user: unknown field `password`"),
                (8, "roles: at most 32"), (10, "longer than 16384 bytes"), (11, "not a user: "),
                (12, "an earlier line has the same name"),
            ];
            for ((line, why), (expected_line, beginning)) in refused.iter().zip(beginnings) {
                assert!(*line == expected_line && why.starts_with(beginning), "{line}: {why}");
            }
        }
    }

    async fn a_long_file_goes_on_from_a_line(place: Place) {
        let users: Vec<_> = (0..1000).map(|number| json!({ "username": format!("user-{number:04}"), "password_hash": PHP })).collect();
        let path = place.dir.path().join("users.jsonl");
        std::fs::write(&path, lines(&users)).unwrap();
        let file = path.to_str().unwrap();
        assert_eq!(place.does(&["user", "import", file, "--from-line", "301"]), "700 users added, 0 already there, 0 refused\nhashes that the next sign-in replaces: 700 bcrypt\n");
        assert_eq!(place.does(&["user", "import", file]), "300 users added, 700 already there, 0 refused\nhashes that the next sign-in replaces: 300 bcrypt\n");
        assert_eq!(place.json(&["user", "list"]).len(), 1001);
        place.app.login("user-0999", "correct horse").await.ok();
    }

    async fn what_was_exported_can_be_imported(place: Place) {
        place.app.user("ada").await;
        place.app.sign_in("ada").await;
        let arguments = ["user", "add", "bob", "--role", "billing", "--attribute", "seats:=25"];
        done(place.relatch(&arguments, PASSWORD));
        place.does(&["user", "disable", "bob"]);
        let before = place.does(&["user", "export"]);
        let told = place.json(&["audit", "tail", "--event", "users_exported"]);
        assert_eq!((told.len(), &told[0]["actor"]["kind"]), (1, &json!("operator")));

        let other = crate::cli::Place::redis_itself().await;
        other.does(&["user", "delete", "admin", "--yes", "--force"]);
        let said = done(other.relatch(&["user", "import", "-"], &before));
        assert_eq!(said, "3 users added, 0 already there, 0 refused\nhashes that the next sign-in replaces: 3 bcrypt\n");
        let without_time = |text: &str| -> Vec<Value> {
            let mut all = objects(text);
            for user in &mut all {
                user.as_object_mut().unwrap().remove("created_at").unwrap();
            }
            all
        };
        let after = other.does(&["user", "export"]);
        assert_eq!(without_time(&after), without_time(&before));
        assert_eq!(objects(&before)[2]["attributes"], json!({ "seats": 25 }));
        other.app.sign_in("ada").await;
        other.app.login("bob", PASSWORD).await.problem(401, "invalid_credentials");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_said_to_be_not_there() {
    let place = super::Place::embedded().await;
    let said = place.fails(&["user", "import", "no/such.jsonl"], 1);
    assert!(said.starts_with("relatch: no/such.jsonl: cannot be read: "), "{said}");
}
