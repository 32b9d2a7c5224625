//! What strangers send: a documented 4xx, nothing consumed, and the server goes on.

use relatch_testkit::PASSWORD;
use serde_json::json;

on_both_stores! {
    async fn malformed_bodies_are_invalid_requests(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let bodies: [&[u8]; 12] = [
            b"", b"{", b"nonsense", b"[]", b"null", b"7", b"\"x\"", b"{} {}", b"\xff\xfe",
            b"{\"username\": \"\xc3\x28\", \"password\": \"x\"}",
            b"{\"username\": \"ada\", \"username\": \"bob\", \"password\": \"x\"}",
            b"{\"username\": {\"$ne\": null}, \"password\": 7}",
        ];
        for path in ["/login", "/token/refresh"] {
            for body in bodies {
                let request = app.node.post(path).bearer_auth(&device.pair.access);
                let request = request.header("Content-Type", "application/json").body(body);
                app.node.send(request).await.problem(400, "invalid_request");
            }
        }
        let deep = "[".repeat(30_000);
        let request = app.node.post("/login").header("Content-Type", "application/json").body(deep);
        app.node.send(request).await.problem(400, "invalid_request");
        device.refresh().await.ok();
    }

    async fn unknown_fields_are_named_and_refused(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let body = json!({"username": "ada", "password": PASSWORD, "remember": true});
        let problem = app.post_json("/login", &body).await.problem(400, "invalid_request");
        assert_eq!(problem["fields"][0]["field"], "remember");
        let known = "is not a known field; known are username, password, device_name, delivery, device_token";
        assert_eq!(problem["fields"][0]["message"], known);
        let body = json!({"userName": "ada", "password": PASSWORD});
        let problem = app.post_json("/login", &body).await.problem(400, "invalid_request");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("userName: is not a known field; did you mean username? known are "), "{detail}");
        let body = json!({"username": "ada"});
        let problem = app.post_json("/login", &body).await.problem(400, "invalid_request");
        assert_eq!(problem["fields"][0]["field"], "password");
    }

    async fn unknown_and_repeated_parameters_are_named_and_refused(on: On) {
        let app = on.start().await;
        let admin = app.admin().await;
        for (path, field, message) in [
            ("/admin/users?name=ada", "name", "is not a known parameter; known are query, limit, cursor"),
            ("/admin/users?limt=5", "limt", "is not a known parameter; did you mean limit? known are query, limit, cursor"),
            ("/admin/users?limit=5&limit=6", "limit", "came more than once"),
            ("/me?x=1", "x", "is not a known parameter; there are none here"),
        ] {
            let problem = admin.get(path).await.problem(400, "invalid_request");
            assert_eq!(problem["fields"], json!([{"field": field, "message": message}]), "{path}");
        }
        let change = json!({"role": ["user"]});
        let path = format!("/admin/users/{}", app.user("ada").await);
        let request = app.node.request("PATCH", &path).bearer_auth(&admin.pair.access).json(&change);
        let problem = app.node.send(request).await.problem(400, "invalid_request");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("role: is not a known field; did you mean roles? known are "), "{detail}");
    }

    async fn a_body_with_a_content_coding_is_refused_as_such(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let body = json!({"username": "ada", "password": PASSWORD}).to_string();
        for coding in ["gzip", "br", "deflate", "gzip, identity", "x"] {
            let request = app.node.post("/login").header("Content-Type", "application/json");
            let answer = app.node.send(request.header("Content-Encoding", coding).body(body.clone())).await;
            assert_eq!(answer.header("accept-encoding"), Some("identity"));
            let problem = answer.problem(415, "unsupported_media_type");
            assert!(problem["detail"].as_str().unwrap().contains("Content-Encoding"), "{problem}");
        }
        let request = app.node.post("/login").header("Content-Type", "application/json");
        app.node.send(request.header("Content-Encoding", "Identity").body(body)).await.ok();
    }

    async fn what_belongs_into_the_body_is_refused_in_the_query(on: On) {
        let app = on.set("registration.enabled", "true").start().await;
        app.user("ada").await;
        let (admin, mut device) = (app.admin().await, app.sign_in("ada").await);
        let other = app.sign_in("ada").await;
        let end = format!("/sessions/{}", other.session_id);
        let credentials = json!({"username": "eve", "password": PASSWORD});
        let known = json!({"username": "ada", "password": PASSWORD});
        let change = json!({"current_password": PASSWORD, "new_password": "a long walk on the pier"});
        let refresh = json!({"refresh_token": device.pair.refresh});
        for (caller, method, path, body) in [
            (&device, "POST", "/login", &known),
            (&device, "POST", "/register", &credentials),
            (&device, "POST", "/token/refresh", &refresh),
            (&device, "POST", "/logout", &refresh),
            (&device, "PUT", "/password", &change),
            (&device, "DELETE", end.as_str(), &json!({})),
            (&admin, "POST", "/admin/users", &credentials),
            (&admin, "POST", "/admin/revoke", &json!({"username": "ada"})),
            (&admin, "POST", "/admin/keys/rotate", &json!({})),
        ] {
            for query in ["delivery=cookie", "x", "reason=lost%20phone"] {
                let request = app.node.request(method, &format!("{path}?{query}"));
                let request = request.bearer_auth(&caller.pair.access).json(body);
                app.node.send(request).await.problem(400, "invalid_request");
            }
        }
        let sessions = device.get("/sessions").await.ok();
        assert_eq!(sessions["items"].as_array().unwrap().len(), 2, "{sessions}");
        assert_eq!(admin.get("/admin/users").await.ok()["items"].as_array().unwrap().len(), 2);
        assert_eq!(admin.get("/admin/keys").await.ok()["items"].as_array().unwrap().len(), 2);
        app.login("ada", PASSWORD).await.ok();
        device.refresh().await.ok();
    }

    async fn other_media_types_are_refused(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let body = json!({"username": "ada", "password": PASSWORD}).to_string();
        let types = ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/json+x", ""];
        for media_type in types {
            let request = app.node.post("/login").header("Content-Type", media_type).body(body.clone());
            app.node.send(request).await.problem(415, "unsupported_media_type");
        }
        app.node.send(app.node.post("/login").body(body.clone())).await.problem(415, "unsupported_media_type");
        let request = app.node.post("/login").header("Content-Type", "Application/JSON; charset=utf-8").body(body);
        app.node.send(request).await.ok();
    }

    async fn oversized_bodies_headers_and_paths_have_their_own_answers(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let body = json!({"username": "ada", "password": "x".repeat(2 * 1024 * 1024)});
        app.post_json("/login", &body).await.problem(413, "payload_too_large");
        let chunks = futures_util::stream::iter((0..80).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024])));
        let request = app.node.post("/login").header("Content-Type", "application/json");
        let request = request.body(relatch_testkit::node::stream(chunks));
        app.node.send(request).await.problem(413, "payload_too_large");
        let request = app.node.get("/auth/check").bearer_auth("x".repeat(64 * 1024));
        app.node.send(request).await.problem(431, "headers_too_large");
        let request = app.node.get(&format!("/auth/check?live={}", "x".repeat(20_000)));
        app.node.send(request).await.problem(414, "uri_too_long");
        device.refresh().await.ok();
    }

    async fn a_long_token_is_refused_not_chewed(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let request = app.node.get("/auth/check").bearer_auth("x".repeat(16_000));
        app.node.send(request).await.problem(401, "invalid_token");
        let mut long = device.clone();
        long.pair.refresh = format!("rlt1_{}", "A".repeat(60_000));
        long.refresh().await.problem(401, "invalid_refresh_token");
        device.refresh().await.ok();
    }

    async fn long_and_strange_names_are_only_wrong(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        for name in ["x".repeat(10_000), "ada\u{0}".to_owned(), "\u{202e}ada".to_owned(), "{ada}".to_owned(), "ada\r\nX: y".to_owned()] {
            app.login(&name, PASSWORD).await.problem(401, "invalid_credentials");
        }
        app.login("ada", &"x".repeat(60_000)).await.problem(401, "invalid_credentials");
        for device_name in ["x".repeat(101), "a\nb".to_owned()] {
            let body = json!({"username": "ada", "password": PASSWORD, "device_name": device_name});
            app.post_json("/login", &body).await.problem(400, "invalid_request");
        }
    }

    async fn a_delivery_that_does_not_exist_is_refused(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        for delivery in ["Cookie", "pigeon", ""] {
            let body = json!({"username": "ada", "password": PASSWORD, "delivery": delivery});
            app.post_json("/login", &body).await.problem(400, "invalid_request");
        }
    }
}
