//! `POST /logout`.

use serde_json::json;

on_both_stores! {
    async fn a_sign_out_ends_the_session_and_may_be_repeated(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let answer = device.sign_out().await.expect(204);
        assert_eq!(answer.text, "");
        device.sign_out().await.expect(204);
        let body = device.refresh().await.problem(401, "session_revoked");
        assert_eq!(body["reason"], "signed_out");
    }

    async fn the_access_token_alone_will_do(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        app.node.send(app.node.post("/logout").bearer_auth(&device.pair.access)).await.expect(204);
        device.refresh().await.problem(401, "session_revoked");
    }

    async fn the_refresh_token_alone_will_do_in_body_or_header(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut first = app.sign_in("ada").await;
        app.post_json("/logout", &json!({"refresh_token": first.pair.refresh})).await.expect(204);
        first.refresh().await.problem(401, "session_revoked");
        let mut second = app.sign_in("ada").await;
        let request = app.node.post("/logout").header("X-Refresh-Token", &second.pair.refresh);
        app.node.send(request).await.expect(204);
        second.refresh().await.problem(401, "session_revoked");
    }

    async fn an_expired_access_token_needs_the_refresh_token_beside_it(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        app.clock().advance_secs(901);
        let request = app.node.post("/logout").bearer_auth(&device.pair.access);
        app.node.send(request).await.problem(401, "token_expired");
        device.sign_out().await.expect(204);
    }

    async fn tokens_that_do_not_belong_together_sign_nobody_out(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut ada = app.sign_in("ada").await;
        let mut other = app.sign_in("ada").await;
        let mut mixed = ada.clone();
        mixed.pair.refresh = other.pair.refresh.clone();
        mixed.sign_out().await.problem(401, "invalid_token");
        mixed.pair.refresh = "rlt1_x".to_owned();
        mixed.sign_out().await.problem(401, "invalid_refresh_token");
        app.node.send(app.node.post("/logout")).await.problem(401, "authentication_required");
        ada.refresh().await.ok();
        other.refresh().await.ok();
    }

    async fn other_sessions_go_on(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let phone = app.sign_in("ada").await;
        let mut laptop = app.sign_in("ada").await;
        phone.sign_out().await.expect(204);
        laptop.refresh().await.ok();
    }
}
