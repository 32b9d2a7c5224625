//! `POST /token/refresh`: what succeeds.

use relatch_testkit::{Device, KEY, OTHER_KEY, Pair};
use serde_json::json;

on_both_stores! {
    async fn a_refresh_rotates_both_tokens(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let before = device.pair.clone();
        let body = device.refresh().await.ok();
        assert_ne!(device.pair.access, before.access);
        assert_ne!(device.pair.refresh, before.refresh);
        assert_eq!(body["session_id"], device.session_id);
        assert_eq!(body["expires_in"], 900);
        assert!(body["refresh_expires_in"].as_u64().unwrap() > 1_209_000);
        assert!(body.get("user").is_none());
        assert_eq!(body.as_object().unwrap().len(), 6, "{body}");
    }

    async fn it_goes_on_for_many_generations(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        for _ in 0..30 {
            device.refresh().await.ok();
        }
        device.check().await.ok();
    }

    async fn an_expired_access_token_is_what_a_refresh_is_for(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        app.clock().advance_secs(3600);
        device.check().await.problem(401, "token_expired");
        device.refresh().await.ok();
        device.check().await.ok();
    }

    async fn an_older_access_token_of_the_session_will_do(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let first = device.pair.access.clone();
        device.refresh().await.ok();
        device.pair.access = first;
        device.refresh().await.ok();
    }

    async fn the_refresh_token_may_come_in_a_header(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        let request = app.node.post("/token/refresh").bearer_auth(&device.pair.access);
        app.node.send(request.header("X-Refresh-Token", &device.pair.refresh)).await.ok();
    }

    async fn a_lost_answer_is_given_again_whenever_the_client_asks(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let lost = Pair::of(&device.send_refresh(Some(KEY)).await.ok());
        app.clock().advance_secs(6 * 3600);
        let again = device.refresh_as(Some(KEY)).await.ok();
        assert_eq!(Pair::of(&again).refresh, lost.refresh, "the same successor");
        assert_ne!(Pair::of(&again).access, lost.access, "a fresh access token");
        device.check().await.ok();
        device.refresh_as(Some(OTHER_KEY)).await.ok();
    }

    async fn without_attempt_keys_a_lost_answer_is_given_again_within_grace(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let lost = Pair::of(&device.send_refresh(None).await.ok());
        app.clock().advance_secs(9);
        let again = device.refresh().await.ok();
        assert_eq!(Pair::of(&again).refresh, lost.refresh);
        device.refresh().await.ok();
    }

    async fn many_at_once_converge_on_one_successor(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        let answers = futures_util::future::join_all((0..20).map(|_| device.send_refresh(Some(KEY)))).await;
        let successors: std::collections::BTreeSet<_> =
            answers.into_iter().map(|answer| Pair::of(&answer.ok()).refresh).collect();
        assert_eq!(successors.len(), 1);
    }

    async fn tabs_that_made_different_keys_lose_nothing(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut quick = app.sign_in("ada").await;
        let slow = quick.clone();
        quick.refresh_as(Some(KEY)).await.ok();
        slow.send_refresh(Some(OTHER_KEY)).await.problem(409, "refresh_superseded");
        slow.send_refresh(None).await.problem(409, "refresh_superseded");
        // It reads the shared storage again and goes on with what it finds.
        let mut slow = Device { pair: quick.pair.clone(), ..slow };
        slow.refresh_as(Some(OTHER_KEY)).await.ok();
    }

    async fn the_idle_deadline_moves_and_the_absolute_one_does_not(on: On) {
        let app = on
            .set("refresh_token.idle_ttl", "1h")
            .set("refresh_token.absolute_ttl", "3h")
            .with_clock()
            .start()
            .await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        for _ in 0..3 {
            app.clock().advance_secs(3500);
            device.refresh().await.ok();
        }
        app.clock().advance_secs(290);
        let body = device.refresh().await.ok();
        assert_eq!(body["refresh_expires_in"], 10, "an absolute deadline cuts the idle one: {body}");
        app.clock().advance_secs(10);
        device.refresh().await.problem(401, "session_expired");
    }

    async fn roles_are_those_of_the_store_at_the_refresh(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        device.refresh().await.ok();
        let body = device.check().await.ok();
        assert_eq!(body["user"], json!({"id": device.user_id, "username": "ada", "roles": ["user"]}));
    }

    async fn without_the_pair_check_the_refresh_token_stands_alone(on: On) {
        let app = on.set("refresh_token.require_access_token", "false").start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        let body = json!({"refresh_token": device.pair.refresh});
        app.post_json("/token/refresh", &body).await.ok();
    }
}
