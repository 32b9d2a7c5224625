//! `POST /admin/revoke`: every form of it, on sessions alive and dead.

use relatch_testkit::Device;
use serde_json::{Value, json};

const FORMS: [&str; 7] =
    ["session_id", "user_id", "username", "refresh_token", "access_token", "client_id", "signed_in_before"];

/// The three forms that name this one session.
fn names_of(device: &Device) -> [Value; 3] {
    [
        json!({"session_id": device.session_id}),
        json!({"refresh_token": device.pair.refresh}),
        json!({"access_token": device.pair.access}),
    ]
}

async fn revoke(admin: &Device, body: &Value) -> Value {
    admin.post("/admin/revoke", body).await.ok()["revoked_sessions"].clone()
}

on_both_stores! {
    async fn a_client_that_does_not_exist_is_not_found(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        for client in ["nobody", "", "RELATCH", "relatch "] {
            admin.post("/admin/revoke", &json!({"client_id": client})).await.problem(404, "not_found");
        }
        admin.get("/admin/users").await.ok();
    }

    async fn a_rotated_out_token_still_names_its_session(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let admin = app.admin().await;
        let mut device = app.sign_in("ada").await;
        let old = device.clone();
        device.refresh().await.ok();
        assert_eq!(revoke(&admin, &json!({"refresh_token": old.pair.refresh})).await, 1);
        device.refresh().await.problem(401, "session_revoked");
    }

    async fn what_has_ended_before_is_no_error_and_counts_nothing(on: On) {
        let app = on.with_clock().start().await;
        let id = app.user("ada").await;
        let signed_out = app.sign_in("ada").await;
        signed_out.sign_out().await.expect(204);
        let expired = app.sign_in("ada").await;
        app.clock().advance_secs(15 * 24 * 3600);
        let admin = app.sign_in("admin").await;
        for body in names_of(&signed_out).iter().chain(&names_of(&expired)) {
            assert_eq!(revoke(&admin, body).await, 0, "{body}");
            assert_eq!(revoke(&admin, body).await, 0, "{body}");
        }
        for body in [json!({"user_id": id}), json!({"username": "ada"})] {
            assert_eq!(revoke(&admin, &body).await, 0, "{body}");
        }
    }

    /// Dead for so long that nothing is kept of it.
    async fn a_session_that_is_forgotten_is_unknown_however_it_is_named(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let forgotten = app.sign_in("ada").await;
        forgotten.sign_out().await.expect(204);
        app.clock().advance_secs(40 * 24 * 3600);
        // A sign-in makes room.
        app.sign_in("ada").await;
        let admin = app.sign_in("admin").await;
        for body in names_of(&forgotten) {
            admin.post("/admin/revoke", &body).await.problem(404, "not_found");
        }
    }

    async fn exactly_one_of_the_seven_is_named(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        for (n, one) in FORMS.iter().enumerate() {
            for other in &FORMS[n + 1..] {
                let body = json!({*one: "2020-01-01T00:00:00Z", *other: "2020-01-01T00:00:00Z"});
                let problem = admin.post("/admin/revoke", &body).await.problem(400, "invalid_request");
                assert!(problem["detail"].as_str().unwrap().contains("exactly one"), "{one} and {other}");
            }
            let body = json!({*one: 7});
            let problem = admin.post("/admin/revoke", &body).await.problem(400, "invalid_request");
            assert_eq!(problem["fields"][0]["field"], *one);
        }
    }

    async fn a_reason_has_256_characters_at_the_most(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let admin = app.admin().await;
        let with = |reason: String| json!({"username": "ada", "reason": reason});
        assert_eq!(revoke(&admin, &with("ä".repeat(256))).await, 0);
        let problem = admin.post("/admin/revoke", &with("x".repeat(257))).await.problem(400, "invalid_request");
        assert_eq!(problem["fields"][0]["field"], "reason");
    }

    async fn none_of_it_is_for_others(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let ada = app.sign_in("ada").await;
        for form in FORMS {
            let body = json!({form: "relatch"});
            ada.post("/admin/revoke", &body).await.problem(403, "insufficient_scope");
            app.post_json("/admin/revoke", &body).await.problem(401, "authentication_required");
        }
    }
}
