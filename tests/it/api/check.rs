//! `GET /auth/check`.

use relatch_testkit::KEY;
use serde_json::json;

on_both_stores! {
    async fn a_check_says_who_and_until_when(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        let body = device.check().await.ok();
        assert_eq!(body["user"], json!({"id": device.user_id, "username": "ada", "roles": ["user"]}));
        assert_eq!(body["session"]["session_id"], device.session_id);
        assert_eq!(body["session"]["signed_in_at"], app.clock().rfc3339(0));
        assert_eq!(body["expires_at"], app.clock().rfc3339(900));
    }

    async fn a_session_that_repeats_itself_has_a_budget_of_its_own(on: On) {
        let app = on.set("rate_limit.address_requests", "100000").start().await;
        app.user("ada").await;
        let (one, two) = (app.sign_in("ada").await, app.sign_in("ada").await);
        let mut statuses = Vec::new();
        for _ in 0..300 {
            statuses.push(one.get("/auth/check?live=true").await.status);
        }
        assert!(statuses.iter().take(120).all(|status| *status == 200), "{statuses:?}");
        assert!(statuses.contains(&429), "{statuses:?}");
        one.check().await.ok();
        let refused = loop {
            let answer = one.get("/auth/check?live=true").await;
            if answer.status != 200 {
                break answer;
            }
        };
        assert_eq!(refused.header("retry-after"), Some("1"));
        refused.problem(429, "too_many_requests");

        let mut statuses = Vec::new();
        for _ in 0..300 {
            statuses.push(two.send_refresh(Some(KEY)).await.status);
        }
        assert!(statuses.iter().take(120).all(|status| *status == 200), "{statuses:?}");
        assert!(statuses.contains(&429), "{statuses:?}");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        two.send_refresh(Some(KEY)).await.expect(200);
    }

    async fn a_session_that_has_ended_is_refused_with_and_without_a_look_into_the_store(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        for path in ["/auth/check", "/auth/check?live=true"] {
            device.get(path).await.ok();
        }
        device.sign_out().await.expect(204);
        for path in ["/auth/check", "/auth/check?live=true"] {
            let body = device.get(path).await.problem(401, "session_revoked");
            assert_eq!(body["reason"], "signed_out", "{path}");
        }
    }

    /// Also by a server that starts later.
    async fn what_was_revoked_is_remembered_as_long_as_a_token_of_it_lives(on: On) {
        let app = on.with_clock().set("access_token.ttl", "3h").start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        device.sign_out().await.expect(204);
        app.clock().advance_secs(3 * 3600 - 1);
        // The log is tidied when something else is revoked.
        app.sign_in("ada").await.sign_out().await.expect(204);
        device.check().await.problem(401, "session_revoked");
        if app.is_on_redis() {
            let there = relatch_testkit::Device { node: app.second_node().await, ..device.clone() };
            there.check().await.problem(401, "session_revoked");
        }
        device.get("/auth/check?live=true").await.problem(401, "session_revoked");
    }

    async fn without_a_token_there_is_a_challenge_without_an_error(on: On) {
        let app = on.start().await;
        for path in ["/auth/check", "/auth/check?access_token=x", "/auth/check?live=true"] {
            let answer = app.node.send(app.node.get(path)).await;
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            answer.problem(401, "authentication_required");
        }
        let basic = app.node.get("/auth/check").basic_auth("ada", Some("x"));
        app.node.send(basic).await.problem(401, "authentication_required");
    }

    async fn an_expired_token_says_so(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        app.clock().advance_secs(899);
        device.check().await.ok();
        app.clock().advance_secs(1);
        let answer = device.check().await;
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer error=\"invalid_token\""));
        answer.problem(401, "token_expired");
    }

    async fn the_scheme_is_matched_without_case(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        let request = app.node.get("/auth/check").header("Authorization", format!("bEaReR {}", device.pair.access));
        app.node.send(request).await.ok();
    }

    async fn a_malformed_header_is_an_invalid_request(on: On) {
        let app = on.start().await;
        for wrong in ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer =", "Bearer \"x\""] {
            let request = app.node.get("/auth/check").header("Authorization", wrong);
            app.node.send(request).await.problem(400, "invalid_request");
        }
    }
}
