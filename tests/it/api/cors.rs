//! CORS: what pages of other origins may read and send.

use relatch_testkit::{Answer, On, PASSWORD, TestApp};
use serde_json::json;

const LISTED: &str = "https://app.example.com";
const EXPOSED: &str = "Retry-After, WWW-Authenticate, DPoP-Nonce, X-Request-Id";

fn listing(on: On) -> On {
    on.set("http.allowed_origins", "https://other.example,https://app.example.com")
}

/// What the answer says to a browser.
fn said(answer: &Answer) -> Vec<(&str, &str)> {
    let headers = answer.headers.iter().filter(|(name, _)| name.as_str().starts_with("access-control-"));
    let mut said: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    said.sort_unstable();
    said
}

fn varies_by_origin(answer: &Answer) -> bool {
    answer.headers.get_all("vary").iter().any(|value| value == "Origin")
}

async fn preflight(app: &TestApp, path: &str, origin: &str, method: &str) -> Answer {
    let request = app.node.request("OPTIONS", path).header("Origin", origin);
    let request = request.header("Access-Control-Request-Method", method);
    app.node.send(request.header("Access-Control-Request-Headers", "authorization,content-type")).await
}

on_both_stores! {
    async fn a_listed_origin_may_read_every_answer(on: On) {
        let app = listing(on).start().await;
        let allowed = [
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-origin", LISTED),
            ("access-control-expose-headers", EXPOSED),
        ];
        let body = json!({"username": "nobody", "password": PASSWORD});
        for (request, status) in [
            (app.node.get("/"), 200),
            (app.node.get("/.well-known/jwks.json"), 200),
            (app.node.post("/login").json(&body), 401),
            (app.node.post("/login").body("{"), 415),
            (app.node.get("/auth/check"), 401),
            (app.node.get("/nowhere"), 404),
            (app.node.get("/login"), 405),
            (app.node.get(&format!("/?{}", "x".repeat(9000))), 414),
            (app.node.get("/").header("X-Long", "x".repeat(17_000)), 431),
        ] {
            let answer = app.node.send(request.header("Origin", LISTED)).await.expect(status);
            assert_eq!(said(&answer), allowed, "{}", answer.request);
            assert!(varies_by_origin(&answer), "{}", answer.request);
        }
    }

    async fn json_is_for_its_own_origin_unless_cors_opens_it(on: On) {
        let app = listing(on).start().await;
        let policy = "cross-origin-resource-policy";
        for (path, status) in [("/", 200), ("/health/live", 200), ("/openapi.json", 200), ("/auth/check", 401), ("/nowhere", 404)] {
            let answer = app.node.send(app.node.get(path)).await.expect(status);
            assert_eq!(answer.header(policy), Some("same-origin"), "{path}");
            let answer = app.node.send(app.node.get(path).header("Origin", "https://evil.example")).await;
            assert_eq!(answer.header(policy), Some("same-origin"), "{path}");
            let answer = app.node.send(app.node.get(path).header("Origin", LISTED)).await;
            assert_eq!(answer.header(policy), None, "{path}");
        }
        // Public keys are for everybody, and a page is not embedded as a resource.
        let answer = app.node.send(app.node.get("/.well-known/jwks.json")).await.expect(200);
        assert_eq!(answer.header(policy), Some("cross-origin"));
        let answer = app.node.send(app.node.get("/").header("Accept", "text/html")).await.expect(200);
        assert_eq!(answer.header(policy), None);
    }

    async fn nobody_else_may(on: On) {
        let app = listing(on).start().await;
        for origin in [
            "https://evil.example", "null", "http://app.example.com", "https://app.example.com.evil.example",
            "https://app.example.com:8443", "https://xapp.example.com", "https://APP.example.com", "https://app.example",
            "https://app.example.com/", "*", "", "http://localhost:8080",
            "https://app.example.com, https://app.example.com", "https://app.example.com https://other.example",
        ] {
            let answer = app.node.send(app.node.get("/auth/check").header("Origin", origin)).await;
            assert_eq!(said(&answer), [], "{origin}");
            assert!(varies_by_origin(&answer), "{origin}");
            answer.problem(401, "authentication_required");
            let answer = preflight(&app, "/login", origin, "POST").await.expect(204);
            assert_eq!(said(&answer), [], "{origin}");
        }
        let twice = app.node.get("/").header("Origin", LISTED).header("Origin", LISTED);
        assert_eq!(said(&app.node.send(twice).await), []);
        let answer = app.node.send(app.node.get("/")).await;
        assert_eq!(said(&answer), []);
        assert!(varies_by_origin(&answer), "a cache must not hand this to a page");
    }

    async fn a_preflight_is_told_the_methods_of_the_path(on: On) {
        let app = listing(on).start().await;
        for (path, method, methods) in [
            ("/login", "POST", "POST, OPTIONS"),
            ("/token/refresh", "POST", "POST, OPTIONS"),
            ("/auth/check", "GET", "HEAD, GET, OPTIONS"),
            ("/sessions", "DELETE", "HEAD, GET, DELETE, OPTIONS"),
            ("/sessions/x", "PUT", "DELETE, OPTIONS"),
        ] {
            let answer = preflight(&app, path, LISTED, method).await.expect(204);
            assert_eq!(said(&answer), [
                ("access-control-allow-credentials", "true"),
                ("access-control-allow-headers", "Authorization, Content-Type, Idempotency-Key, X-Refresh-Token, DPoP"),
                ("access-control-allow-methods", methods),
                ("access-control-allow-origin", LISTED),
                ("access-control-max-age", "600"),
            ]);
            assert!(varies_by_origin(&answer) && answer.header("x-request-id").is_some());
            assert_eq!(answer.text, "");
        }
        preflight(&app, "/nowhere", LISTED, "GET").await.problem(404, "not_found");
    }

    async fn without_a_list_there_is_no_cors(on: On) {
        let app = on.start().await;
        let answer = app.node.send(app.node.get("/").header("Origin", LISTED)).await.expect(200);
        assert_eq!(said(&answer), []);
        let answer = preflight(&app, "/login", LISTED, "POST").await.expect(204);
        assert_eq!(said(&answer), []);
        assert_eq!(answer.header("allow"), Some("POST, OPTIONS"));
    }

    async fn a_listed_origin_of_the_same_site_lives_a_life_with_cookies(on: On) {
        let app = listing(on).start().await;
        app.user("ada").await;
        for delivery in ["cookie", "hybrid"] {
            let mut browser = app.browser().from(Some("same-site"), Some(LISTED));
            let answer = browser.sign_in("ada", delivery).await.expect(200);
            assert_eq!(answer.header("access-control-allow-origin"), Some(LISTED));
            browser.check().await.expect(200);
            browser.refresh().await.expect(200);
            browser.sign_out().await.expect(204);
        }
    }
}
