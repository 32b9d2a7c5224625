//! `/admin`: users and revocation.

use relatch_testkit::PASSWORD;
use serde_json::json;

on_both_stores! {
    async fn an_administrator_creates_and_finds_users(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let body = json!({"username": "Grace", "password": PASSWORD, "roles": ["billing", "user"]});
        let answer = admin.post("/admin/users", &body).await.expect(201);
        let location = answer.header("location").unwrap().to_owned();
        let created = answer.json();
        assert_eq!(created["username"], "grace");
        assert_eq!(created["roles"], json!(["billing", "user"]));
        assert_eq!(created["disabled"], false);
        assert!(created.get("password").is_none());
        assert_eq!(admin.get(&location).await.ok(), created);
        let device = app.sign_in("grace").await;
        assert_eq!(created["id"], device.user_id);
    }

    async fn a_taken_name_is_a_conflict(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        app.user("ada").await;
        for name in ["ada", "ADA"] {
            let body = json!({"username": name, "password": PASSWORD});
            admin.post("/admin/users", &body).await.problem(409, "username_taken");
        }
    }

    async fn a_new_user_must_make_sense(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let wrong = [
            json!({"username": "", "password": PASSWORD}),
            json!({"username": "a b", "password": PASSWORD}),
            json!({"username": "x".repeat(10_000), "password": PASSWORD}),
            json!({"username": "eve\u{202e}", "password": PASSWORD}),
            json!({"username": "<b>eve</b> ", "password": PASSWORD}),
            json!({"username": "eve", "password": "short"}),
            json!({"username": "eve", "password": "x".repeat(2000)}),
            json!({"username": "eve"}),
            json!({"username": "eve", "password": PASSWORD, "roles": ["Admin!"]}),
            json!({"username": "eve", "password": PASSWORD, "roles": (0..33).map(|n| format!("r{n}")).collect::<Vec<_>>()}),
            json!({"username": "eve", "password": PASSWORD, "admin": true}),
        ];
        for body in wrong {
            admin.post("/admin/users", &body).await.problem(400, "invalid_request");
        }
        app.login("eve", PASSWORD).await.problem(401, "invalid_credentials");
    }

    async fn users_are_listed_in_pages_by_name(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        for name in ["dora", "bob", "carl", "ada"] {
            app.user(name).await;
        }
        let mut names = Vec::new();
        let mut path = "/admin/users?limit=2".to_owned();
        for _ in 0..3 {
            let body = admin.get(&path).await.ok();
            names.extend(body["items"].as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned()));
            let Some(cursor) = body["next_cursor"].as_str() else { break };
            path = format!("/admin/users?limit=2&cursor={cursor}");
        }
        assert_eq!(names, ["ada", "admin", "bob", "carl", "dora"]);
    }

    async fn unknown_users_are_not_found(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        for id in ["00000000-0000-4000-8000-000000000000", "nonsense", "%00", "..%2f"] {
            admin.get(&format!("/admin/users/{id}")).await.problem(404, "not_found");
        }
    }

    async fn only_administrators_may(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let ada = app.sign_in("ada").await;
        let body = json!({"nonsense": true});
        for path in ["/admin/users", "/admin/revoke"] {
            ada.post(path, &body).await.problem(403, "insufficient_scope");
            app.post_json(path, &body).await.problem(401, "authentication_required");
        }
        for path in ["/admin/users", "/admin/users/x"] {
            ada.get(path).await.problem(403, "insufficient_scope");
            app.node.send(app.node.get(path)).await.problem(401, "authentication_required");
        }
        let admin = app.admin().await;
        admin.sign_out().await.expect(204);
        admin.get("/admin/users").await.problem(401, "session_revoked");
    }

    async fn an_administrator_revokes_by_each_kind_of_name(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        for kind in ["session_id", "user_id", "username", "refresh_token", "access_token"] {
            let mut device = app.sign_in("ada").await;
            let name = match kind {
                "session_id" => &device.session_id,
                "user_id" => &id,
                "username" => "ADA",
                "refresh_token" => &device.pair.refresh,
                _ => &device.pair.access,
            };
            let body = json!({kind: name, "reason": "lost phone"});
            let first = admin.post("/admin/revoke", &body).await.ok();
            assert_eq!(first, json!({"revoked_sessions": 1}), "{kind}");
            let again = admin.post("/admin/revoke", &body).await.ok();
            assert_eq!(again, json!({"revoked_sessions": 0}), "{kind}");
            let body = device.refresh().await.problem(401, "session_revoked");
            assert_eq!(body["reason"], "revoked_by_admin", "{kind}");
            assert!(!body.to_string().contains("lost phone"), "free text is for administrators");
        }
    }

    async fn a_revocation_counts_all_sessions_of_a_user(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        app.user("ada").await;
        app.user("bob").await;
        let mut bob = app.sign_in("bob").await;
        for _ in 0..3 {
            app.sign_in("ada").await;
        }
        let body = admin.post("/admin/revoke", &json!({"username": "ada"})).await.ok();
        assert_eq!(body, json!({"revoked_sessions": 3}));
        bob.refresh().await.ok();
    }

    async fn whom_or_what_does_not_exist_is_not_found(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        let unknown_session = format!("{}A", &device.session_id[..42]);
        let unknown = [
            json!({"session_id": "nonsense"}),
            json!({"session_id": unknown_session}),
            json!({"user_id": "00000000-0000-4000-8000-000000000000"}),
            json!({"user_id": "nonsense"}),
            json!({"username": "nobody"}),
            json!({"refresh_token": "rlt1_nonsense"}),
            json!({"access_token": "nonsense"}),
        ];
        for body in unknown {
            if body["session_id"] == device.session_id {
                continue;
            }
            admin.post("/admin/revoke", &body).await.problem(404, "not_found");
        }
    }

    async fn a_revocation_names_exactly_one_target(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        let wrong = [
            json!({}),
            json!({"reason": "x"}),
            json!({"username": "ada", "user_id": "x"}),
            json!({"username": "ada", "reason": "x".repeat(257)}),
            json!({"user": "ada"}),
        ];
        for body in wrong {
            admin.post("/admin/revoke", &body).await.problem(400, "invalid_request");
        }
    }
}
