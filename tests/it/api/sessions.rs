//! `/sessions`: a user's own devices.

use serde_json::json;

on_both_stores! {
    async fn the_list_shows_the_callers_live_devices_latest_first(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        app.user("bob").await;
        app.sign_in("bob").await;
        let phone = app.sign_in_as("ada", "phone").await;
        app.clock().advance_secs(5);
        let laptop = app.sign_in_as("ada", "laptop").await;
        app.clock().advance_secs(5);
        let gone = app.sign_in_as("ada", "gone").await;
        gone.sign_out().await.expect(204);

        let body = laptop.get("/sessions").await.ok();
        let items = body["items"].as_array().unwrap();
        assert_eq!(items.len(), 2, "{body}");
        assert_eq!(body["next_cursor"], json!(null));
        assert_eq!(items[0]["device_name"], "laptop");
        assert_eq!(items[0]["session_id"], laptop.session_id);
        assert_eq!(items[0]["current"], true);
        assert_eq!(items[0]["user_agent"], "relatch-testkit");
        assert_eq!(items[0]["address"], "127.0.0.1");
        assert_eq!(items[0]["signed_in_at"], app.clock().rfc3339(-5));
        assert_eq!(items[1]["session_id"], phone.session_id);
        assert_eq!(items[1]["current"], false);
    }

    async fn a_device_was_last_seen_at_its_last_refresh_to_five_minutes(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let fresh = device.get("/sessions").await.ok()["items"][0].clone();
        assert_eq!(fresh["last_seen_at"], fresh["signed_in_at"], "not before the sign-in, though that is not rounded");
        app.clock().advance_secs(601);
        device.refresh().await.ok();
        let used = device.get("/sessions").await.ok()["items"][0].clone();
        let last_seen = used["last_seen_at"].as_str().unwrap();
        assert!(last_seen.ends_with("0:00Z") || last_seen.ends_with("5:00Z"), "five minutes: {last_seen}");
        assert!(last_seen > fresh["signed_in_at"].as_str().unwrap(), "{last_seen}");
        assert!(*last_seen <= *app.clock().rfc3339(0), "{last_seen}");
    }

    async fn the_list_comes_in_pages(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        for _ in 0..4 {
            app.clock().advance_secs(1);
            device = app.sign_in("ada").await;
        }
        let mut seen = Vec::new();
        let mut path = "/sessions?limit=2".to_owned();
        for _ in 0..3 {
            let body = device.get(&path).await.ok();
            seen.extend(body["items"].as_array().unwrap().iter().map(|item| item["session_id"].to_string()));
            let Some(cursor) = body["next_cursor"].as_str() else { break };
            path = format!("/sessions?limit=2&cursor={cursor}");
        }
        assert_eq!(seen.len(), 5);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 5);
    }

    async fn a_page_has_limits(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        device.get("/sessions?limit=200").await.ok();
        for wrong in ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "cursor=x", "cursor=", "limt=3"] {
            device.get(&format!("/sessions?{wrong}")).await.problem(400, "invalid_request");
        }
    }

    async fn a_user_ends_one_of_the_own_sessions(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        let mut lost = app.sign_in("ada").await;
        device.delete(&format!("/sessions/{}", lost.session_id)).await.expect(204);
        device.delete(&format!("/sessions/{}", lost.session_id)).await.expect(204);
        let body = lost.refresh().await.problem(401, "session_revoked");
        assert_eq!(body["reason"], "revoked_by_user");
    }

    async fn nobody_ends_somebody_elses_session(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        app.user("bob").await;
        let mut ada = app.sign_in("ada").await;
        let bob = app.sign_in("bob").await;
        bob.delete(&format!("/sessions/{}", ada.session_id)).await.problem(404, "not_found");
        bob.delete("/sessions/nonsense").await.problem(404, "not_found");
        ada.refresh().await.ok();
    }

    async fn all_but_the_current_session_end(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut current = app.sign_in("ada").await;
        let mut other = app.sign_in("ada").await;
        current.delete("/sessions").await.expect(204);
        other.refresh().await.problem(401, "session_revoked");
        current.refresh().await.ok();
        current.delete("/sessions?include_current=true").await.expect(204);
        current.refresh().await.problem(401, "session_revoked");
    }

    async fn the_store_is_asked_whether_the_callers_session_lives(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        device.sign_out().await.expect(204);
        device.get("/sessions").await.problem(401, "session_revoked");
        device.delete("/sessions").await.problem(401, "session_revoked");
    }
}
