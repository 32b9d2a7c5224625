//! `relatch audit tail`.

use std::io::{BufRead as _, BufReader};

use relatch_testkit::PASSWORD;
use serde_json::{Value, json};

use super::{done, failed, on_each_way, relatch};

/// The events of some records.
fn events(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["event"].as_str().unwrap()).collect()
}

on_each_way! {
    async fn the_trail_says_who_did_what_to_whom_and_from_where(place: Place) {
        done(place.relatch(&["user", "add", "ada"], PASSWORD));
        let phone = place.app.sign_in_as("ada", "phone").await;
        place.app.login("ada", "wrong").await.problem(401, "invalid_credentials");
        place.does(&["session", "revoke", &phone.session_id, "--reason", "lost"]);

        let trail = place.json(&["audit", "tail", "--user", "ada"]);
        assert_eq!(events(&trail), ["user_created", "signed_in", "sign_in_failed", "session_ended"]);
        assert_eq!(trail[0]["actor"], json!({ "kind": "operator" }));
        assert_eq!(trail[0]["username"], "ada");
        assert_eq!((&trail[1]["actor"]["username"], &trail[1]["address"]), (&json!("ada"), &json!("127.0.0.1")));
        assert_eq!((&trail[2]["actor"]["kind"], &trail[2]["details"]), (&json!("anonymous"), &json!({ "reason": "wrong_password" })));
        assert_eq!(trail[3]["session"], phone.session_id.as_str());
        assert_eq!((&trail[3]["actor"]["kind"], &trail[3]["details"]["reason"]), (&json!("operator"), &json!("revoked_by_admin")));

        let table = place.table(&["audit", "tail", "--user", "ada"]);
        assert_eq!(table[0], ["TIME", "EVENT", "WHO", "WHOM", "FROM", "DETAILS"]);
        let session = format!("session={}", phone.session_id);
        assert_eq!(table[1][1..], ["user_created", "the operator", "ada", "-", "-"]);
        let signed_in = format!("known_device=false {session}");
        assert_eq!(table[2][1..], ["signed_in", "ada", "ada", "127.0.0.1", &signed_in]);
        assert_eq!(table[3][1..], ["sign_in_failed", "not signed in", "ada", "127.0.0.1", "reason=wrong_password"]);
        let ended = format!("reason=revoked_by_admin {session}");
        assert_eq!(table[4][1..], ["session_ended", "the operator", "ada", "-", &ended]);
        assert_eq!(table[4][0], trail[3]["at"].as_str().unwrap());
    }

    async fn of_a_deleted_user_the_name_is_still_told(place: Place) {
        let id = place.app.user("ada").await;
        place.does(&["user", "delete", "ada", "--yes"]);
        let trail = place.json(&["audit", "tail", "--user", &id]);
        assert_eq!(events(&trail), ["user_created", "user_deleted"]);
        for record in &trail {
            assert_eq!((&record["username"], &record["details"]), (&json!("ada"), &json!({ "username": "ada" })));
        }
        let table = place.table(&["audit", "tail", "--user", &id]);
        assert_eq!(table[2][1..], ["user_deleted", "the operator", "ada", "-", "-"]);
    }

    async fn filters_and_the_number_of_records_hold(place: Place) {
        place.app.user("ada").await;
        place.app.user("bob").await;
        for _ in 0..3 {
            place.app.sign_in("bob").await;
        }
        let tail = |arguments: &[&str]| place.json(&[&["audit", "tail"], arguments].concat());
        assert_eq!(events(&tail(&["--user", "bob", "-n", "2"])), ["signed_in", "signed_in"]);
        assert_eq!(events(&tail(&["--event", "signed_in", "--actor", "bob"])).len(), 3);
        assert_eq!(events(&tail(&["--event", "user_created", "--actor", "admin"])).len(), 2);
        assert_eq!(events(&tail(&["--event", "user_created", "--actor", "server"])).len(), 1);
        assert_eq!(tail(&["-n", "0"]), Vec::<Value>::new());
        let unknown = place.fails(&["audit", "tail", "--event", "singed_in"], 1);
        assert_eq!(unknown, "relatch: there is no event \"singed_in\"; did you mean \"signed_in\"?\n");
    }

    async fn what_is_new_follows(place: Place) {
        place.app.user("ada").await;
        let arguments = ["audit", "tail", "--follow", "--event", "signed_in", "--user", "ada", "-n", "1", "--json"];
        place.app.sign_in("ada").await;
        let second = place.app.sign_in("ada").await;
        let mut child = place.command(&arguments).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut session = || -> Value {
            let record: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            record["session"].clone()
        };
        assert_eq!(session(), second.session_id.as_str(), "the latest one at first");
        for _ in 0..2 {
            let next = place.app.sign_in("ada").await;
            assert_eq!(session(), next.session_id.as_str());
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn without_a_server_nothing_can_follow() {
    let dir = tempfile::tempdir().unwrap();
    let message = failed(relatch(dir.path(), &["audit", "tail", "--follow"], ""), 1);
    assert!(message.contains("no server is running"), "{message}");
}
