//! `GET /me`.

use serde_json::json;

on_both_stores! {
    async fn a_caller_learns_who_it_is(on: On) {
        let app = on.start().await;
        let id = app.user("ada").await;
        let device = app.sign_in("ada").await;
        let answer = device.get("/me").await.expect(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let me = json!({
            "id": id, "username": "ada", "roles": ["user"], "attributes": {}, "session_id": device.session_id,
        });
        assert_eq!(answer.json(), me);
        let admin = app.admin().await.get("/me").await.ok();
        assert_eq!(admin["roles"], json!(["admin", "user"]));
        assert_ne!(admin["id"], me["id"]);
    }

    async fn roles_and_attributes_are_those_of_now(on: On) {
        let app = on.start().await;
        let id = app.user("ada").await;
        let device = app.sign_in("ada").await;
        let body = json!({"roles": ["billing"], "attributes": {"tenant": "acme", "level": 3}});
        app.admin().await.patch(&format!("/admin/users/{id}"), &body).await.ok();
        let me = device.get("/me").await.ok();
        assert_eq!(me["roles"], json!(["billing"]));
        assert_eq!(me["attributes"], json!({"tenant": "acme", "level": 3}));
    }

    async fn the_store_is_asked(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        let revoked = app.sign_in("ada").await;
        revoked.sign_out().await.expect(204);
        let body = revoked.get("/me").await.problem(401, "session_revoked");
        assert_eq!(body["reason"], "signed_out");
        device.get("/me").await.ok();
        let path = format!("/admin/users/{}", device.user_id);
        app.admin().await.patch(&path, &json!({"disabled": true})).await.ok();
        device.get("/me").await.problem(401, "user_disabled");
        app.clock().advance_secs(901);
        device.get("/me").await.problem(401, "token_expired");
    }

    async fn without_a_good_token_nobody_is_anybody(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        app.node.send(app.node.get("/me")).await.problem(401, "authentication_required");
        device.get("/me?id=x").await.problem(400, "invalid_request");
        device.pair.access.push('x');
        device.get("/me").await.problem(401, "invalid_token");
    }
}
