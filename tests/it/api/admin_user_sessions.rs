//! `/admin/users/{id}/sessions`: an administrator looks at a user's devices, and ends sessions.

use serde_json::json;

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

fn path(id: &str) -> String {
    format!("/admin/users/{id}/sessions")
}

on_both_stores! {
    async fn the_list_is_that_of_the_user(on: On) {
        let app = on.with_clock().start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        app.user("bob").await;
        app.sign_in("bob").await;
        let mut phone = app.sign_in_as("ada", "phone").await;
        app.clock().advance_secs(5);
        app.sign_in_as("ada", "laptop").await;
        app.clock().advance_secs(5);
        app.sign_in_as("ada", "gone").await.sign_out().await.expect(204);

        let body = admin.get(&path(&id)).await.ok();
        let names: Vec<_> = body["items"].as_array().unwrap().iter().map(|item| item["device_name"].clone()).collect();
        assert_eq!(names, ["laptop", "phone"]);
        assert_eq!(body["items"][1]["session_id"], phone.session_id);
        assert_eq!(body["items"][1]["address"], "127.0.0.1");
        assert!(body["items"].as_array().unwrap().iter().all(|item| item["current"] == false), "{body}");
        assert_eq!(body["next_cursor"], json!(null));
        // The user sees the same, but for what is current.
        let own = phone.get("/sessions").await.ok();
        assert_eq!(own["items"][0], body["items"][0]);

        let mine = admin.get(&path(&admin.user_id)).await.ok();
        assert_eq!(mine["items"][0]["session_id"], admin.session_id);
        assert_eq!(mine["items"][0]["current"], true);
        phone.refresh().await.ok();
    }

    async fn the_list_comes_in_pages(on: On) {
        let app = on.with_clock().start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        let mut expected = Vec::new();
        for _ in 0..5 {
            expected.insert(0, app.sign_in("ada").await.session_id);
            app.clock().advance_secs(1);
        }
        let mut seen = Vec::new();
        let mut next = format!("{}?limit=2", path(&id));
        for _ in 0..3 {
            let body = admin.get(&next).await.ok();
            seen.extend(body["items"].as_array().unwrap().iter().map(|item| item["session_id"].as_str().unwrap().to_owned()));
            let Some(cursor) = body["next_cursor"].as_str() else { break };
            next = format!("{}?limit=2&cursor={cursor}", path(&id));
        }
        assert_eq!(seen, expected);
        for wrong in ["limit=0", "limit=201", "cursor=x", "cursor=", "query=a"] {
            admin.get(&format!("{}?{wrong}", path(&id))).await.problem(400, "invalid_request");
        }
    }

    async fn one_session_is_ended(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        let (mut lost, mut kept) = (app.sign_in("ada").await, app.sign_in("ada").await);
        let one = format!("{}/{}", path(&id), lost.session_id);
        admin.delete(&one).await.expect(204);
        admin.delete(&one).await.expect(204);
        assert_eq!(lost.refresh().await.problem(401, "session_revoked")["reason"], "revoked_by_admin");
        kept.refresh().await.ok();
        let left = admin.get(&path(&id)).await.ok();
        assert_eq!(left["items"].as_array().unwrap().len(), 1);
        assert_eq!(left["items"][0]["session_id"], kept.session_id);
    }

    async fn all_sessions_are_ended(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        app.user("bob").await;
        let (mut one, mut other, mut bob) =
            (app.sign_in("ada").await, app.sign_in("ada").await, app.sign_in("bob").await);
        admin.delete(&path(&id)).await.expect(204);
        admin.delete(&path(&id)).await.expect(204);
        for device in [&mut one, &mut other] {
            assert_eq!(device.refresh().await.problem(401, "session_revoked")["reason"], "revoked_by_admin");
        }
        bob.refresh().await.ok();
        assert_eq!(admin.get(&path(&id)).await.ok()["items"], json!([]));
        app.sign_in("ada").await.refresh().await.ok();
    }

    async fn a_session_is_ended_only_under_its_own_user(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let (ada, bob) = (app.user("ada").await, app.user("bob").await);
        let mut device = app.sign_in("ada").await;
        let unknown = format!("{}{}", &device.session_id[..22], &"AAAAAAAAAAAAAAAAAAAAAAAA"[..21]);
        for wrong in [
            format!("{}/{}", path(&bob), device.session_id),
            format!("{}/{}", path(UNKNOWN), device.session_id),
            format!("{}/{}", path("nonsense"), device.session_id),
            format!("{}/{unknown}", path(&ada)),
            format!("{}/nonsense", path(&ada)),
        ] {
            admin.delete(&wrong).await.problem(404, "not_found");
        }
        for id in [UNKNOWN, "nonsense"] {
            admin.get(&path(id)).await.problem(404, "not_found");
            admin.delete(&path(id)).await.problem(404, "not_found");
        }
        device.refresh().await.ok();
    }

    async fn only_administrators_may(on: On) {
        let app = on.start().await;
        let id = app.user("ada").await;
        let mut ada = app.sign_in("ada").await;
        let one = format!("{}/{}", path(&id), ada.session_id);
        for (method, path) in [("GET", &path(&id)), ("DELETE", &path(&id)), ("DELETE", &one)] {
            app.node.send(app.node.request(method, path)).await.problem(401, "authentication_required");
            let request = app.node.request(method, path).bearer_auth(&ada.pair.access);
            app.node.send(request).await.problem(403, "insufficient_scope");
        }
        ada.refresh().await.ok();
    }
}
