//! What all answers have in common, and the small endpoints.

use serde_json::json;

on_both_stores! {
    async fn a_wrong_method_is_told_the_right_ones(on: On) {
        let app = on.start().await;
        for (method, path, allow) in [
            ("GET", "/login", "POST, OPTIONS"),
            ("PUT", "/token/refresh", "POST, OPTIONS"),
            ("DELETE", "/logout", "POST, OPTIONS"),
            ("POST", "/auth/check", "HEAD, GET, OPTIONS"),
            ("POST", "/sessions", "HEAD, GET, DELETE, OPTIONS"),
            ("GET", "/register", "POST, OPTIONS"),
            ("POST", "/password", "PUT, OPTIONS"),
            ("POST", "/me", "HEAD, GET, OPTIONS"),
            ("DELETE", "/sessions/x/timeline", "HEAD, GET, OPTIONS"),
            ("PATCH", "/admin/revoke", "POST, OPTIONS"),
            ("POST", "/.well-known/jwks.json", "HEAD, GET, OPTIONS"),
        ] {
            let answer = app.node.send(app.node.request(method, path)).await;
            assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
            answer.problem(405, "method_not_allowed");
        }
    }

    async fn an_unknown_path_is_a_problem(on: On) {
        let app = on.start().await;
        for path in ["/nowhere", "/login/", "/.env", "/admin", "/%2e%2e/etc/passwd", "/errors/nonsense"] {
            app.node.send(app.node.get(path)).await.problem(404, "not_found");
        }
    }

    async fn every_answer_has_an_id_of_its_own(on: On) {
        let app = on.start().await;
        let mut ids = std::collections::BTreeSet::new();
        for path in ["/", "/health/live", "/nowhere", "/login", "/auth/check"] {
            let answer = app.node.send(app.node.get(path).header("X-Request-Id", "mine")).await;
            let id = answer.header("x-request-id").unwrap().to_owned();
            assert_eq!(id.len(), 36);
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            assert!(ids.insert(id));
        }
    }

    async fn the_root_says_what_this_is_to_people_and_programs(on: On) {
        let app = on.start().await;
        let body = app.node.send(app.node.get("/")).await.ok();
        assert_eq!(body["name"], "Relatch");
        let page = app.node.send(app.node.get("/").header("Accept", "text/html,*/*")).await.expect(200);
        assert!(page.header("content-type").unwrap().starts_with("text/html"));
        assert!(page.text.contains("POST /login"));
    }

    async fn health_is_live_and_ready(on: On) {
        let app = on.start().await;
        assert_eq!(app.node.send(app.node.get("/health/live")).await.ok(), json!({"status": "live"}));
        assert_eq!(app.node.send(app.node.get("/health/ready")).await.ok(), json!({"status": "ready"}));
    }

    async fn every_kind_of_problem_is_described(on: On) {
        let app = on.start().await;
        let problem = app.node.send(app.node.get("/nowhere")).await.problem(404, "not_found");
        let path = problem["type"].as_str().unwrap().to_owned();
        let described = app.node.send(app.node.get(&path)).await.ok();
        assert_eq!(described["error"], "not_found");
        assert_eq!(described["status"], 404);
    }
}
