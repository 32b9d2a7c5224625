//! `relatch user`.

use relatch_testkit::PASSWORD;
use serde_json::{Value, json};

use super::{complaints, done, failed, on_each_way, relatch};

#[test]
fn users_are_managed_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let said =
        done(relatch(dir.path(), &["user", "add", "Ada", "--role", "admin"], "correct horse battery\n"));
    assert!(said.starts_with("ada added ("), "{said}");
    let again = failed(relatch(dir.path(), &["user", "add", "ADA"], "correct horse battery\n"), 1);
    assert!(again.contains("another user has this name"), "{again}");
    let weak = failed(relatch(dir.path(), &["user", "add", "bob"], "short\n"), 1);
    assert!(weak.contains("at least 8 characters"), "{weak}");
    done(relatch(dir.path(), &["user", "add", "bob"], "correct horse battery\n"));
    let names = |arguments: &[&str]| -> Vec<String> {
        let table = done(relatch(dir.path(), arguments, ""));
        table.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["user", "list"]), ["NAME", "ada", "bob"]);
    done(relatch(dir.path(), &["user", "disable", "bob"], ""));
    let shown = done(relatch(dir.path(), &["user", "show", "bob"], ""));
    assert!(shown.contains("state         disabled\n"), "{shown}");
    done(relatch(dir.path(), &["user", "delete", "bob", "--yes"], ""));
    assert_eq!(names(&["user", "list"]), ["NAME", "ada"]);
    let unknown = failed(relatch(dir.path(), &["user", "passwd", "eve"], "correct horse battery\n"), 1);
    assert_eq!(unknown, "relatch: there is no user \"eve\"\n");
    let trail = done(relatch(dir.path(), &["audit", "tail", "--event", "user_deleted"], ""));
    assert!(trail.contains("  the operator  "), "{trail}");
}

on_each_way! {
    async fn a_user_is_added_with_roles_and_attributes_and_shown(place: Place) {
        let arguments = ["user", "add", "Ada", "--role", "user", "--role", "billing", "--attribute", "tenant=acme",
            "--attribute", "seats:=25", "--json"];
        let added: Value = serde_json::from_str(&done(place.relatch(&arguments, PASSWORD))).unwrap();
        assert_eq!(added["username"], "ada");
        assert_eq!(added["roles"], json!(["billing", "user"]));
        assert_eq!(added["attributes"], json!({ "tenant": "acme", "seats": 25 }));
        place.app.sign_in("ada").await;

        let id = added["id"].as_str().unwrap();
        for user in ["ada", "ADA", id] {
            let shown = place.object(&["user", "show", user]);
            let mut expected = added.clone();
            expected["live_sessions"] = json!(1);
            assert_eq!(shown, expected);
        }
        let created = added["created_at"].as_str().unwrap();
        let expected = format!(
            "name          ada\nid            {id}\nroles         billing,user\nstate         enabled\n\
             created       {created}\nlive sessions 1\nattribute     seats = 25\nattribute     tenant = \"acme\"\n"
        );
        assert_eq!(place.does(&["user", "show", "ada"]), expected);

        let twice = ["user", "add", "eve", "--attribute", "a=1", "--attribute", "a=2"];
        let twice = failed(place.relatch(&twice, PASSWORD), 2);
        assert_eq!(twice, "relatch: --attribute a is given twice\n");
        place.fails(&["user", "add", "eve", "--attribute", "tenant"], 2);
        let wrong = failed(place.relatch(&["user", "add", "eve", "--attribute", "a b=1"], PASSWORD), 1);
        assert!(wrong.contains("the name of an attribute"), "{wrong}");
        let wrong = failed(place.relatch(&["user", "add", "eve", "--role", "Admin"], PASSWORD), 1);
        assert!(wrong.contains("\"Admin\": a role has"), "{wrong}");
    }

    async fn users_are_listed_by_the_beginning_of_their_names(place: Place) {
        for name in ["adele", "ada", "bob", "\u{96fb}\u{8a71}"] {
            place.app.user(name).await;
        }
        let names = |arguments: &[&str]| -> Vec<String> {
            let users = place.json(&[&["user", "list"], arguments].concat());
            users.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&[]), ["ada", "adele", "admin", "bob", "\u{96fb}\u{8a71}"]);
        assert_eq!(names(&["--query", "AD"]), ["ada", "adele", "admin"]);
        assert_eq!(names(&["--query", "ad", "--limit", "2"]), ["ada", "adele"]);
        assert_eq!(names(&["--query", "zoe"]), Vec::<String>::new());
        assert_eq!(names(&["--query", "a\u{1b}[2J"]), Vec::<String>::new());
        place.fails(&["user", "list", "--limit", "0"], 2);

        let table = place.does(&["user", "list"]);
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[0].starts_with("NAME   ROLES       STATE    CREATED               ID"), "{table}");
        assert!(lines[1].starts_with("ada    user        enabled  20"), "{table}");
        assert!(lines[3].starts_with("admin  admin,user  enabled  20"), "{table}");
        assert!(lines[5].starts_with("\u{96fb}\u{8a71}   user        enabled  20"), "wide characters take two cells: {table}");
        assert_eq!(place.does(&["user", "list", "--query", "zoe"]), "NAME  ROLES  STATE  CREATED  ID\n");
    }

    async fn a_disabled_user_is_out_until_enabled(place: Place) {
        let id = place.app.user("ada").await;
        let mut phone = place.app.sign_in("ada").await;
        place.app.sign_in("ada").await;
        let said = place.does(&["user", "disable", "ada"]);
        assert_eq!(said, format!("ada is disabled and signed out everywhere ({id}); 2 sessions ended\n"));
        phone.refresh().await.problem(401, "user_disabled");
        place.app.login("ada", PASSWORD).await.problem(401, "invalid_credentials");
        let again = place.object(&["user", "disable", "ada"]);
        assert_eq!((&again["disabled"], &again["revoked_sessions"]), (&json!(true), &json!(0)));

        assert_eq!(place.does(&["user", "enable", "ada"]), format!("ada may sign in ({id})\n"));
        let refused = phone.refresh().await.problem(401, "session_revoked");
        assert_eq!(refused["reason"], "user_disabled");
        place.app.sign_in("ada").await;
    }

    async fn a_new_password_ends_all_sessions(place: Place) {
        let id = place.app.user("ada").await;
        let mut phone = place.app.sign_in("ada").await;
        let said = done(place.relatch(&["user", "passwd", "ada"], "another good password\r\n"));
        assert_eq!(said, format!("ada has a new password and is signed out everywhere ({id}); 1 session ended\n"));
        phone.refresh().await.problem(401, "session_revoked");
        place.app.login("ada", PASSWORD).await.problem(401, "invalid_credentials");
        place.app.login("ada", "another good password").await.ok();
        let weak = failed(place.relatch(&["user", "passwd", "ada"], "short\n"), 1);
        assert!(weak.contains("at least 8 characters"), "{weak}");
        place.app.login("ada", "another good password").await.ok();
    }

    async fn a_new_password_makes_strangers_of_all_devices(place: Place) {
        let id = place.app.user("ada").await;
        let phone = place.app.login("ada", PASSWORD).await.ok();
        let again = |password: &str| {
            json!({ "username": "ada", "password": password, "device_token": phone["device_token"] })
        };
        place.app.post_json("/login", &again(PASSWORD)).await.ok();
        done(place.relatch(&["user", "passwd", "ada"], "another good password\n"));
        place.app.post_json("/login", &again("another good password")).await.ok();
        let trail = place.app.admin().await.get(&format!("/admin/audit?event=signed_in&user={id}")).await.ok();
        let known: Vec<_> =
            trail["items"].as_array().unwrap().iter().map(|record| &record["details"]["known_device"]).collect();
        assert_eq!(known, [false, true, false], "the latest first");
    }

    async fn a_user_is_deleted_only_when_somebody_says_so(place: Place) {
        let id = place.app.user("ada").await;
        let mut phone = place.app.sign_in("ada").await;
        let asked = place.fails(&["user", "delete", "ada"], 2);
        assert!(asked.contains("--yes"), "{asked}");
        let unsure = failed(place.relatch(&["user", "delete", "ada"], "ada\n"), 2);
        assert!(unsure.contains("--yes"), "what is piped in is nobody's word: {unsure}");
        phone.refresh().await.ok();
        assert_eq!(place.does(&["user", "delete", &id, "--yes"]), format!("ada deleted ({id})\n"));
        phone.refresh().await.problem(401, "session_revoked");
        assert_ne!(place.app.user("ada").await, id, "the name is free again");
    }

    async fn a_mistyped_name_is_helped(place: Place) {
        place.app.user("ada").await;
        let message = "relatch: there is no user \"adda\"; did you mean \"ada\"?\n";
        for command in [
            &["user", "show", "adda"][..],
            &["user", "disable", "adda"],
            &["user", "enable", "adda"],
            &["user", "delete", "adda", "--yes"],
            &["session", "list", "adda"],
            &["session", "revoke", "--user", "adda"],
            &["audit", "tail", "--user", "adda"],
            &["audit", "tail", "--actor", "adda"],
        ] {
            assert_eq!(place.fails(command, 1), message, "{command:?}");
        }
        let strange = place.fails(&["user", "show", "a\u{1b}[2J\u{202e}b"], 1);
        assert_eq!(strange, "relatch: there is no user \"a\\u{1b}[2J\\u{202e}b\"\n");
    }

    async fn a_lost_password_is_set_anew_by_a_token(place: Place) {
        let id = place.app.user("ada").await;
        let output = place.relatch(&["user", "reset", "ada"], "");
        let said = complaints(output.stderr.clone());
        assert!(said.starts_with("ada can set a new password with this token until 20"), "{said}");
        let token = done(output);
        let of = place.object(&["user", "reset", &id]);
        assert_eq!((&of["id"], of["reset_token"].as_str().map(str::len)), (&json!(id), Some(81)));
        let body = json!({ "reset_token": token.trim_end(), "new_password": "a long walk on the pier" });
        place.app.post_json("/password/reset", &body).await.expect(204);
        place.app.login("ada", "a long walk on the pier").await.ok();
        let nobody = place.fails(&["user", "reset", "eve"], 1);
        assert!(nobody.starts_with("relatch: there is no user \"eve\""), "{nobody}");
    }
}
