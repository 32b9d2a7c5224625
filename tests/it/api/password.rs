//! `PUT /password`.

use relatch_testkit::{Device, On, PASSWORD};
use serde_json::{Value, json};

const NEW: &str = "a long walk on the pier";

fn change(current: &str, new: &str) -> Value {
    json!({"current_password": current, "new_password": new})
}

on_both_stores! {
    async fn the_new_password_holds_and_the_other_devices_are_signed_out(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        app.user("bob").await;
        let mut phone = app.sign_in("ada").await;
        let mut laptop = app.sign_in("ada").await;
        let mut bob = app.sign_in("bob").await;
        phone.put("/password", &change(PASSWORD, NEW)).await.ok();

        app.login("ada", PASSWORD).await.problem(401, "invalid_credentials");
        app.login("ada", NEW).await.ok();
        let body = laptop.refresh().await.problem(401, "session_revoked");
        assert_eq!(body["reason"], "password_changed");
        laptop.get("/sessions").await.problem(401, "session_revoked");
        phone.refresh().await.ok();
        phone.get("/me").await.ok();
        // Nobody else is touched.
        bob.refresh().await.ok();
        app.sign_in("bob").await;
    }

    async fn a_wrong_current_password_changes_nothing(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        let mut other = app.sign_in("ada").await;
        for wrong in ["wrong", "", "tab\tbed", "Correct horse battery staple", &"x".repeat(1025), NEW] {
            device.put("/password", &change(wrong, NEW)).await.problem(401, "invalid_credentials");
        }
        // Another user's password does not help either.
        app.user_with_password("bob", "tangled fjords of norway").await;
        device.put("/password", &change("tangled fjords of norway", NEW)).await.problem(401, "invalid_credentials");
        app.login("ada", PASSWORD).await.ok();
        other.refresh().await.ok();
    }

    async fn a_sign_in_of_long_ago_is_not_enough(on: On) {
        let app = on.with_clock().set("password.reauthentication_age", "10m").start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        app.clock().advance_secs(9 * 60);
        device.refresh().await.ok();
        device.put("/password", &change("wrong", NEW)).await.problem(401, "invalid_credentials");
        app.clock().advance_secs(60);
        // A refresh is no sign-in: the pair is young, the session is not.
        device.refresh().await.ok();
        for current in [PASSWORD, "wrong"] {
            let answer = device.put("/password", &change(current, NEW)).await;
            let challenge = answer.header("www-authenticate").unwrap().to_owned();
            assert_eq!(
                challenge,
                "Bearer error=\"insufficient_user_authentication\", \
                 error_description=\"A more recent sign-in is required\", max_age=\"600\""
            );
            answer.problem(401, "insufficient_user_authentication");
        }
        device.refresh().await.ok();
        let fresh = app.sign_in("ada").await;
        fresh.put("/password", &change(PASSWORD, NEW)).await.ok();
        device.refresh().await.problem(401, "session_revoked");
    }

    async fn the_password_may_stay_as_it_is(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        device.put("/password", &change(PASSWORD, PASSWORD)).await.ok();
        app.login("ada", PASSWORD).await.ok();
    }

    async fn the_same_characters_are_the_same_current_password(on: On) {
        let app = on.start().await;
        app.user_with_password("ada", "un caf\u{e9} au comptoir").await;
        let body = app.login("ada", "un cafe\u{301} au comptoir").await.ok();
        let device = Device::signed_in(&app.node, &body);
        device.put("/password", &change("un cafe\u{301} au comptoir", NEW)).await.ok();
    }

    async fn a_change_must_make_sense(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        for (field, body) in [
            ("new_password", json!({"current_password": PASSWORD})),
            ("current_password", json!({"new_password": NEW})),
            ("new_password", json!({"current_password": PASSWORD, "new_password": 7})),
            ("new_password", change(PASSWORD, "short")),
            ("new_password", change(PASSWORD, "")),
            ("new_password", change(PASSWORD, "tab\tbed and breakfast")),
            ("new_password", change(PASSWORD, &"x".repeat(1025))),
            ("username", json!({"current_password": PASSWORD, "new_password": NEW, "username": "bob"})),
        ] {
            let problem = device.put("/password", &body).await.problem(400, "invalid_request");
            assert_eq!(problem["fields"][0]["field"], field, "{body}");
        }
        for body in [json!([]), json!(null), json!("x")] {
            device.put("/password", &body).await.problem(400, "invalid_request");
        }
        let large = change(PASSWORD, &"x".repeat(70_000));
        device.put("/password", &large).await.problem(413, "payload_too_large");
        let text = app.node.request("PUT", "/password").bearer_auth(&device.pair.access).body("{}");
        app.node.send(text).await.problem(415, "unsupported_media_type");
        app.login("ada", PASSWORD).await.ok();
    }

    async fn only_a_live_session_changes_a_password(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let body = change(PASSWORD, NEW);
        let request = app.node.request("PUT", "/password").json(&body);
        app.node.send(request).await.problem(401, "authentication_required");
        let revoked = app.sign_in("ada").await;
        revoked.sign_out().await.expect(204);
        revoked.put("/password", &body).await.problem(401, "session_revoked");
        // Whoever may not call is told so, whatever the body says.
        revoked.put("/password", &json!({})).await.problem(401, "session_revoked");
        let expired = app.sign_in("ada").await;
        app.clock().advance_secs(901);
        expired.put("/password", &body).await.problem(401, "token_expired");
        app.login("ada", PASSWORD).await.ok();
    }

    async fn a_change_is_of_the_callers_password_only(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut bob = { app.user("bob").await; app.sign_in("bob").await };
        let ada = app.sign_in("ada").await;
        ada.put("/password", &change(PASSWORD, NEW)).await.ok();
        app.login("bob", NEW).await.problem(401, "invalid_credentials");
        app.login("bob", PASSWORD).await.ok();
        bob.refresh().await.ok();
    }
}

#[tokio::test]
async fn a_change_that_no_replica_has_heard_of_is_to_be_repeated() {
    let app = On::redis().start().await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    device.node = app.second_node_with(&[("store.sync_replicas", "1")]).await;
    let problem =
        device.put("/password", &change(PASSWORD, NEW)).await.problem(503, "temporarily_unavailable");
    assert!(
        problem["detail"].as_str().unwrap().contains("with the new password as the current one"),
        "{problem}"
    );
    // It holds all the same, and the repetition does no harm.
    app.login("ada", NEW).await.ok();
    device.node = app.node.clone();
    device.put("/password", &change(NEW, NEW)).await.ok();
}
