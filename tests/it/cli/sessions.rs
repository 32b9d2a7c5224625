//! `relatch session`.

use relatch_testkit::Device;
use serde_json::{Value, json};

use super::{Place, done, failed, on_each_way};

/// Name and state of the sessions that a list shows.
fn states(sessions: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut states: Vec<_> =
        sessions.iter().map(|session| (text(&session["device_name"]), text(&session["state"]))).collect();
    states.sort();
    states
}

async fn two_devices(place: &Place) -> (Device, Device) {
    place.app.user("ada").await;
    (place.app.sign_in_as("ada", "phone").await, place.app.sign_in_as("ada", "laptop").await)
}

on_each_way! {
    async fn sessions_are_listed_with_what_became_of_them(place: Place) {
        let (mut phone, laptop) = two_devices(&place).await;
        let live = place.json(&["session", "list", "ada"]);
        let pair = |name: &str, state: &str| (name.to_owned(), state.to_owned());
        assert_eq!(states(&live), [pair("laptop", "live"), pair("phone", "live")]);
        let shown = live.iter().find(|session| session["session_id"] == phone.session_id.as_str()).unwrap();
        assert_eq!((&shown["user_agent"], &shown["address"]), (&json!("relatch-testkit"), &json!("127.0.0.1")));
        assert!(shown["ended"].is_null(), "{shown}");

        let arguments = ["session", "revoke", &phone.session_id, "--reason", "left in the train"];
        assert_eq!(place.does(&arguments), "1 session ended\n");
        let refused = phone.refresh().await.problem(401, "session_revoked");
        assert_eq!(refused["reason"], "revoked_by_admin");
        laptop.sign_out().await.expect(204);

        assert_eq!(place.json(&["session", "list", "ada"]), Vec::<Value>::new());
        let all = place.json(&["session", "list", "ada", "--all"]);
        assert_eq!(states(&all), [pair("laptop", "ended"), pair("phone", "ended")]);
        let of = |device: &Device| {
            all.iter().find(|session| session["session_id"] == device.session_id.as_str()).unwrap()["ended"].clone()
        };
        assert_eq!((&of(&phone)["reason"], &of(&phone)["note"]), (&json!("revoked_by_admin"), &json!("left in the train")));
        assert_eq!((&of(&laptop)["reason"], &of(&laptop)["address"]), (&json!("signed_out"), &json!("127.0.0.1")));

        let table = place.table(&["session", "list", "ada", "--all"]);
        assert_eq!(
            table[0],
            ["SESSION", "STATE", "DEVICE", "AGENT", "ADDRESS", "SIGNED IN", "LAST SEEN", "ENDED", "REASON", "NOTE"]
        );
        let row = table.iter().find(|row| row[0] == phone.session_id).unwrap();
        assert_eq!(row[1..5], ["ended", "phone", "relatch-testkit", "127.0.0.1"]);
        assert_eq!(row[8..], ["revoked_by_admin", "left in the train"]);
        let header = place.does(&["session", "list", "ada"]);
        assert_eq!(header, "SESSION  DEVICE  AGENT  ADDRESS  SIGNED IN  LAST SEEN\n");
    }

    async fn what_strangers_choose_cannot_harm_the_terminal(place: Place) {
        place.app.user("ada").await;
        place.app.sign_in_as("ada", "exe.\u{202e}gpj\u{2066}\u{200b}").await;
        let table = place.does(&["session", "list", "ada"]);
        assert!(table.contains("exe.\\u{202e}gpj\\u{2066}\\u{200b}"), "{table}");
        let json = place.does(&["session", "list", "ada", "--json"]);
        assert!(json.contains("\"exe.\\u202egpj\\u2066\\u200b\""), "{json}");
        let text = table + &json;
        assert!(text.chars().all(|c| c == '\n' || (c as u32) < 0x7f && !c.is_control()), "{text:?}");
    }

    async fn sessions_are_revoked_by_user_and_by_token(place: Place) {
        let (phone, mut laptop) = two_devices(&place).await;
        // Neither token is an argument, which everybody on the machine could see.
        let by_token = |token: &str| place.relatch(&["session", "revoke", "--token-stdin", "--json"], token);
        let one: Value = serde_json::from_str(&done(by_token(&format!("{}\n", phone.pair.access)))).unwrap();
        assert_eq!(one, json!({ "revoked_sessions": 1 }));
        let again: Value = serde_json::from_str(&done(by_token(&phone.pair.refresh))).unwrap();
        assert_eq!(again, json!({ "revoked_sessions": 0 }));
        laptop.refresh().await.ok();
        for forged in ["rlt1_madeup", "made.up.token", ""] {
            let message = failed(by_token(forged), 1);
            assert_eq!(message, "relatch: this server did not issue the token, or its key is gone\n");
        }
        assert_eq!(place.object(&["session", "revoke", "--user", "ADA"]), json!({ "revoked_sessions": 1 }));
        laptop.refresh().await.problem(401, "session_revoked");
        assert_eq!(place.does(&["session", "revoke", "--user", "ada"]), "no live session; nothing to end\n");
    }

    async fn a_client_s_sessions_end_for_everybody(place: Place) {
        let (mut phone, _) = two_devices(&place).await;
        let unknown = place.fails(&["session", "revoke", "--client", "nobody"], 1);
        assert_eq!(unknown, "relatch: there is no such client\n");
        phone.refresh().await.ok();
        let said = place.does(&["session", "revoke", "--client", "relatch"]);
        assert!(said.starts_with("everyone who signed in by the client relatch before 20"), "{said}");
        let mut refused = phone.refresh().await;
        // A server that was not asked itself follows within a second.
        while refused.status == 200 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            refused = phone.refresh().await;
        }
        assert_eq!(refused.problem(401, "session_revoked")["reason"], "revoked_by_admin");
        let json = place.object(&["session", "revoke", "--client", "relatch"]);
        assert!(json["cutoff"].is_string() && json.as_object().unwrap().len() == 1, "{json}");
    }

    async fn everyone_is_signed_out_by_a_point_in_time(place: Place) {
        let (mut phone, _) = two_devices(&place).await;
        let now = place.app.now().seconds();
        while place.app.now().seconds() <= now {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let everyone = ["session", "revoke", "--signed-in-before"];
        let asked = place.fails(&[&everyone[..], &["now"]].concat(), 2);
        assert!(asked.contains("--yes"), "{asked}");
        let future = place.fails(&[&everyone[..], &["2105-01-01T00:00:00Z", "--yes"]].concat(), 1);
        assert!(future.contains("future"), "{future}");
        for (time, cutoff) in [("00:00:00.5Z", "00:00:00.500Z"), ("00:00:00.5000001Z", "00:00:00.501Z")] {
            let time = format!("2020-01-01T{time}");
            let told = place.object(&[&everyone[..], &[&time, "--yes"]].concat());
            assert_eq!(told, json!({ "cutoff": format!("2020-01-01T{cutoff}") }));
        }
        phone.refresh().await.ok();

        let said = place.does(&[&everyone[..], &["now", "--yes", "--reason", "the backup leaked"]].concat());
        assert!(said.starts_with("everyone who signed in before 20"), "{said}");
        let mut refused = phone.refresh().await;
        // A server that was not asked itself follows within a second.
        while refused.status == 200 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            refused = phone.refresh().await;
        }
        assert_eq!(refused.problem(401, "session_revoked")["reason"], "signed_in_before");
        place.app.sign_in("ada").await;
        let ended = loop {
            let all = place.json(&["session", "list", "ada", "--all"]);
            let ended: Vec<_> = all.into_iter().filter(|session| session["state"] == "ended").collect();
            // The sweep comes after the answer.
            if ended.len() == 2 && ended.iter().all(|session| !session["ended"]["at"].is_null()) {
                break ended;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        for session in ended {
            assert_eq!(session["ended"]["reason"], "signed_in_before");
            assert_eq!(session["ended"]["note"], "the backup leaked");
        }
        assert_eq!(place.json(&["session", "list", "ada"]).len(), 1);
    }

    async fn exactly_one_target_is_named(place: Place) {
        for wrong in [
            &["session", "revoke"][..],
            &["session", "revoke", "AAAA", "--user", "ada"],
            &["session", "revoke", "--user", "ada", "--client", "relatch"],
            &["session", "revoke", "--token-stdin", "--user", "ada"],
            &["session", "revoke", "--signed-in-before", "yesterday", "--yes"],
            &["session", "revoke", "--user", "ada", "--yes"],
            &["session", "list"],
        ] {
            place.fails(wrong, 2);
        }
        let unknown = place.fails(&["session", "revoke", "AAAA"], 1);
        assert_eq!(unknown, "relatch: there is no such session\n");
        let long = place.fails(&["session", "revoke", "--user", "admin", "--reason", &"x".repeat(257)], 1);
        assert_eq!(long, "relatch: a reason has at most 256 characters\n");
    }
}
