//! `POST /token/refresh`: what is refused, and that a refusal consumes nothing.

use relatch_testkit::{KEY, OTHER_KEY, Pair};
use serde_json::json;

on_both_stores! {
    async fn a_missing_token_is_an_invalid_request(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        for refresh_token in [device.pair.refresh.as_str(), "made up"] {
            let body = json!({"refresh_token": refresh_token});
            app.post_json("/token/refresh", &body).await.problem(400, "invalid_request");
        }
        let request = app.node.post("/token/refresh").bearer_auth(&device.pair.access);
        app.node.send(request.json(&json!({}))).await.problem(400, "invalid_request");
        let request = app.node.post("/token/refresh").bearer_auth(&device.pair.access);
        app.node.send(request).await.problem(400, "invalid_request");
        device.refresh().await.ok();
    }

    async fn an_access_token_of_another_session_does_not_make_a_pair(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        app.user("bob").await;
        let mut device = app.sign_in("ada").await;
        let others = [app.sign_in("ada").await, app.sign_in("bob").await];
        for other in others {
            let mut mixed = device.clone();
            mixed.pair.access = other.pair.access;
            mixed.refresh().await.problem(401, "invalid_token");
        }
        device.refresh().await.ok();
    }

    async fn a_token_that_is_no_access_token_does_not_make_a_pair(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let good = device.pair.access.clone();
        let (unsigned, _) = good.rsplit_once('.').unwrap();
        for wrong in ["x", "a.b.c", &device.pair.refresh, &format!("{unsigned}."), &format!("{unsigned}.AAAA"), unsigned] {
            let mut device = device.clone();
            device.pair.access = wrong.to_owned();
            device.refresh().await.problem(401, "invalid_token");
        }
        device.refresh().await.ok();
    }

    async fn a_made_up_refresh_token_is_refused(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let good = device.pair.refresh.clone();
        let last = if good.ends_with('A') { 'B' } else { 'A' };
        for wrong in ["", "x", "rlt1_", &good[..96], &format!("{good}A"), &format!("{}{last}", &good[..96]), &good.replace("rlt1_", "rlt2_")] {
            let mut device = device.clone();
            device.pair.refresh = wrong.to_owned();
            device.refresh().await.problem(401, "invalid_refresh_token");
        }
        device.refresh().await.ok();
    }

    async fn a_refresh_token_in_two_places_is_an_invalid_request(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let request = || app.node.post("/token/refresh").bearer_auth(&device.pair.access);
        let twice = request()
            .header("X-Refresh-Token", &device.pair.refresh)
            .json(&json!({"refresh_token": device.pair.refresh}));
        app.node.send(twice).await.problem(400, "invalid_request");
        let two_headers = request()
            .header("X-Refresh-Token", &device.pair.refresh)
            .header("X-Refresh-Token", &device.pair.refresh);
        app.node.send(two_headers).await.problem(400, "invalid_request");
        let two_access_tokens = request()
            .header("Authorization", format!("Bearer {}", device.pair.access))
            .json(&json!({"refresh_token": device.pair.refresh}));
        app.node.send(two_access_tokens).await.problem(400, "invalid_request");
        device.refresh().await.ok();
    }

    async fn an_attempt_key_must_be_unguessable_and_one(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        for wrong in ["", "short", &"k".repeat(21), &"k".repeat(256), "with a space in its middle"] {
            device.send_refresh(Some(wrong)).await.problem(400, "invalid_request");
        }
        device.refresh_as(Some(KEY)).await.ok();
    }

    async fn one_attempt_key_for_everything_is_refused_and_consumes_nothing(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        device.refresh_as(Some(KEY)).await.ok();
        device.refresh_as(Some(KEY)).await.problem(400, "attempt_key_reused");
        device.refresh_as(Some(OTHER_KEY)).await.ok();
        device.refresh_as(Some(KEY)).await.ok();
    }

    async fn a_rotated_out_token_ends_the_session(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut honest = app.sign_in("ada").await;
        let mut stolen = honest.clone();
        honest.refresh_as(Some(KEY)).await.ok();
        app.clock().advance_secs(11);
        stolen.refresh_as(Some(OTHER_KEY)).await.problem(401, "refresh_token_reused");
        let body = honest.refresh().await.problem(401, "session_revoked");
        assert_eq!(body["reason"], "reuse");
        honest.get("/sessions").await.problem(401, "session_revoked");
    }

    async fn a_thief_who_refreshes_first_is_caught_by_the_honest_client(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut honest = app.sign_in("ada").await;
        let mut thief = honest.clone();
        thief.refresh_as(Some(OTHER_KEY)).await.ok();
        app.clock().advance_secs(3600);
        honest.refresh_as(Some(KEY)).await.problem(401, "refresh_token_reused");
        thief.refresh().await.problem(401, "session_revoked");
    }

    async fn an_ancient_token_ends_the_session(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let ancient = device.clone();
        for _ in 0..3 {
            device.refresh().await.ok();
        }
        ancient.send_refresh(None).await.problem(401, "refresh_token_reused");
        device.refresh().await.problem(401, "session_revoked");
    }

    async fn strict_grace_gives_nothing_again_without_an_attempt_key(on: On) {
        let app = on.set("refresh_token.grace", "0s").start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        device.send_refresh(None).await.ok();
        device.send_refresh(None).await.problem(401, "refresh_token_reused");
    }

    async fn an_idle_session_expires(on: On) {
        let app = on.set("refresh_token.idle_ttl", "1h").with_clock().start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        app.clock().advance_secs(3600);
        device.refresh().await.problem(401, "session_expired");
    }

    async fn a_session_that_is_not_remembered_is_unknown_and_stays_so(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut old = app.sign_in("ada").await;
        old.sign_out().await.expect(204);
        assert_eq!(old.refresh().await.problem(401, "session_revoked")["reason"], "signed_out");
        // Longer than its tombstone has to stand; the next sign-in takes it away.
        app.clock().advance_secs(100 * 24 * 3600);
        let mut new = app.sign_in("ada").await;
        for attempt in [None, Some(KEY)] {
            let body = old.refresh_as(attempt).await.problem(401, "session_revoked");
            assert!(body.get("reason").is_none(), "{body}");
        }
        assert_eq!(new.get("/sessions").await.ok()["items"].as_array().unwrap().len(), 1, "nothing is created");
        new.refresh().await.ok();
    }

    async fn a_session_that_refreshes_too_often_has_to_wait_and_loses_nothing(on: On) {
        let app = on
            .set("rate_limit.session_refresh_burst", "3")
            .set("rate_limit.session_refresh_interval", "2s")
            .with_clock()
            .start()
            .await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        for _ in 0..3 {
            device.refresh().await.ok();
        }
        let answer = device.refresh().await;
        assert_eq!(answer.header("retry-after"), Some("2"));
        answer.problem(429, "too_many_requests");
        app.clock().advance_secs(2);
        device.refresh().await.ok();
    }

    async fn parallel_theft_never_yields_two_live_families(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        let keys: Vec<String> = (0..20).map(|n| format!("{KEY}-{n}")).collect();
        let answers =
            futures_util::future::join_all(keys.iter().map(|key| device.send_refresh(Some(key)))).await;
        let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(won.len(), 1);
        assert!(Pair::of(&won[0].json()).refresh != device.pair.refresh);
        for answer in answers.into_iter().filter(|answer| answer.status != 200) {
            answer.problem(409, "refresh_superseded");
        }
    }
}
