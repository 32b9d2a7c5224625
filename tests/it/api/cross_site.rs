//! Cross-site protection: what uses, sets or clears a cookie is refused before any effect, if another site may be behind
//! it.

use relatch_testkit::browser::{ACCESS, REFRESH};
use relatch_testkit::node::RequestBuilder;
use relatch_testkit::{Browser, Device, On, PASSWORD, TestApp};
use serde_json::{Value, json};

const LISTED: &str = "https://app.example.com";
const OWN: &str = "http://localhost:8080";

/// What becomes of the cookies of a request that says this about where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Free,
    NotABrowser,
    Barred,
}

/// Everything that requests say about where they come from, and what is to become of them.
fn matrix() -> Vec<(Option<&'static str>, Option<&'static str>, Expected)> {
    use Expected::{Barred, Free, NotABrowser};
    let origins = [None, Some(OWN), Some(LISTED), Some("https://evil.example"), Some("null")];
    let rows = [
        (Some("same-origin"), [Free; 5]),
        (Some("same-site"), [Barred, Barred, Free, Barred, Barred]),
        (Some("cross-site"), [Barred; 5]),
        (Some("none"), [Barred; 5]),
        (Some("something-new"), [Barred; 5]),
        (None, [NotABrowser, Free, Free, Barred, Barred]),
    ];
    let row = |(site, expected): (_, [Expected; 5])| {
        std::iter::zip(origins, expected).map(move |(origin, expected)| (site, origin, expected))
    };
    rows.into_iter().flat_map(row).collect()
}

/// What a user's sessions are: whoever changes one changes this.
async fn state(watcher: &Device) -> Value {
    watcher.get("/sessions").await.ok()["items"].clone()
}

/// With every header by which a proxy would say whom it speaks for.
fn forged(request: RequestBuilder) -> RequestBuilder {
    request
        .header("X-Forwarded-For", "192.0.2.66")
        .header("X-Forwarded-Host", "evil.example")
        .header("X-Forwarded-Proto", "https")
        .header("X-Real-IP", "192.0.2.66")
        .header("Forwarded", "for=192.0.2.66;host=evil.example;proto=https")
}

struct Stage {
    app: TestApp,
    watcher: Device,
}

impl Stage {
    async fn set(on: On) -> Self {
        let app = on.set("http.allowed_origins", LISTED).set("rate_limit.session_refresh_burst", "1000");
        let app = app.start().await;
        app.user("ada").await;
        let watcher = app.sign_in("ada").await;
        Self { app, watcher }
    }

    /// A browser that is signed in, with its page's requests from there.
    async fn browser(&self, from: (Option<&str>, Option<&str>)) -> Browser {
        self.app.browse("ada", "cookie").await.from(from.0, from.1)
    }
}

on_both_stores! {
    async fn a_sign_in_by_cookies(on: On) {
        let stage = Stage::set(on).await;
        for (site, origin, expected) in matrix() {
            for delivery in ["cookie", "hybrid"] {
                let before = state(&stage.watcher).await;
                let mut browser = stage.app.browser().from(site, origin);
                let answer = browser.sign_in("ada", delivery).await;
                if expected == Expected::Barred {
                    answer.problem(403, "cross_site_request");
                    assert_eq!(state(&stage.watcher).await, before, "{site:?} {origin:?}");
                    // Nor is the password looked at.
                    let body = json!({"username": "ada", "password": "wrong", "delivery": delivery});
                    browser.post("/login", &body).await.problem(403, "cross_site_request");
                } else {
                    assert_eq!(answer.expect(200).set_cookies().len(), 3, "{site:?} {origin:?}");
                }
            }
            stage.watcher.delete("/sessions").await.expect(204);
        }
    }

    async fn a_refresh_by_cookies(on: On) {
        let stage = Stage::set(on).await;
        for (site, origin, expected) in matrix() {
            let mut browser = stage.browser((site, origin)).await;
            let kept = browser.clone();
            let answer = browser.refresh().await;
            match expected {
                Expected::Free => drop(answer.expect(200)),
                Expected::Barred => drop(answer.problem(403, "cross_site_request")),
                Expected::NotABrowser => drop(answer.problem(400, "invalid_request")),
            }
            if expected != Expected::Free {
                // Nothing was consumed: the page itself gets its successor with a fresh attempt key.
                let mut page = kept.from(Some("same-origin"), None);
                page.refresh_as(Some(relatch_testkit::KEY)).await.expect(200);
            }
            stage.watcher.delete("/sessions").await.expect(204);
        }
    }

    async fn a_sign_out_by_cookies(on: On) {
        let stage = Stage::set(on).await;
        for (site, origin, expected) in matrix() {
            for cookies in [&[ACCESS, REFRESH][..], &[ACCESS], &[REFRESH]] {
                let mut browser = stage.browser((site, origin)).await;
                browser.jar.retain(|name, _| cookies.contains(&name.as_str()));
                let before = state(&stage.watcher).await;
                let answer = browser.sign_out().await;
                match expected {
                    Expected::Free => drop(answer.expect(204)),
                    Expected::Barred => drop(answer.problem(403, "cross_site_request")),
                    Expected::NotABrowser => drop(answer.problem(401, "authentication_required")),
                }
                assert_eq!(state(&stage.watcher).await == before, expected != Expected::Free);
                stage.watcher.delete("/sessions").await.expect(204);
            }
        }
    }

    async fn the_end_of_sessions_by_cookies(on: On) {
        let stage = Stage::set(on).await;
        for (site, origin, expected) in matrix() {
            let other = stage.app.sign_in("ada").await;
            let mut browser = stage.browser((site, origin)).await;
            let mine = browser.session_id.clone();
            for path in ["/sessions?include_current=true".to_owned(), format!("/sessions/{mine}"),
                format!("/sessions/{}", other.session_id)] {
                if expected == Expected::Free {
                    continue;
                }
                let before = state(&stage.watcher).await;
                let answer = browser.delete(&path).await;
                match expected {
                    Expected::Barred => answer.problem(403, "cross_site_request"),
                    _ => answer.problem(401, "authentication_required"),
                };
                assert_eq!(state(&stage.watcher).await, before, "{site:?} {origin:?} {path}");
            }
            if expected == Expected::Free {
                browser.delete(&format!("/sessions/{}", other.session_id)).await.expect(204);
                other.get("/sessions").await.problem(401, "session_revoked");
            }
            // What only reads is answered whoever asks: CORS and SameSite keep it from others.
            browser.get("/sessions").await.expect(200);
            stage.watcher.delete("/sessions").await.expect(204);
        }
    }

    async fn administration_by_cookies(on: On) {
        let stage = Stage::set(on).await;
        let mut admin = stage.app.browse("admin", "cookie").await.from(Some("cross-site"), Some(LISTED));
        let before = state(&stage.watcher).await;
        admin.post("/admin/revoke", &json!({"username": "ada"})).await.problem(403, "cross_site_request");
        let user = json!({"username": "mallory", "password": PASSWORD, "roles": ["admin"]});
        admin.post("/admin/users", &user).await.problem(403, "cross_site_request");
        assert_eq!(state(&stage.watcher).await, before);
        stage.app.login("mallory", PASSWORD).await.problem(401, "invalid_credentials");
    }

    async fn changes_by_cookies(on: On) {
        let stage = Stage::set(on).await;
        let user = stage.watcher.user_id.clone();
        let password = "a long walk on the pier";
        let other = stage.app.sign_in("ada").await;
        for (site, origin, expected) in matrix().into_iter().filter(|(_, _, expected)| *expected != Expected::Free) {
            let mut ada = stage.browser((site, origin)).await;
            let mut admin = stage.app.browse("admin", "cookie").await.from(site, origin);
            let put = stage.app.node.request("PUT", "/password");
            let put = put.json(&json!({"current_password": PASSWORD, "new_password": password}));
            let account = format!("/admin/users/{user}");
            let patch = stage.app.node.request("PATCH", &account).json(&json!({"disabled": true}));
            for answer in [ada.send(put).await, admin.send(patch).await, admin.delete(&account).await] {
                match expected {
                    Expected::Barred => answer.problem(403, "cross_site_request"),
                    _ => answer.problem(401, "authentication_required"),
                };
            }
        }
        // Neither is the password another one, nor a session ended.
        other.get("/sessions").await.ok();
        stage.app.login("ada", password).await.problem(401, "invalid_credentials");
        // From the server's own page both work.
        let mut admin = stage.app.browse("admin", "cookie").await;
        let patch = stage.app.node.request("PATCH", &format!("/admin/users/{user}"));
        admin.send(patch.json(&json!({"roles": ["user", "guest"]}))).await.ok();
        let mut ada = stage.browser((Some("same-origin"), None)).await;
        let put = stage.app.node.request("PUT", "/password");
        ada.send(put.json(&json!({"current_password": PASSWORD, "new_password": password}))).await.expect(204);
        other.get("/sessions").await.problem(401, "session_revoked");
    }

    async fn a_token_that_the_page_itself_sends_needs_no_protection(on: On) {
        let stage = Stage::set(on).await;
        let mut hybrid = stage.app.browse("ada", "hybrid").await.from(Some("cross-site"), Some(LISTED));
        hybrid.delete("/sessions").await.expect(204);
        stage.watcher.get("/sessions").await.problem(401, "session_revoked");
    }

    async fn requests_that_need_no_preflight_do_nothing(on: On) {
        let stage = Stage::set(on).await;
        let before = {
            let _ = stage.browser((None, None)).await;
            state(&stage.watcher).await
        };
        let body = json!({"username": "ada", "password": PASSWORD, "delivery": "cookie"}).to_string();
        for media_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let request = stage.app.node.post("/login").header("Content-Type", media_type).body(body.clone());
            let mut evil = stage.app.browser().from(Some("cross-site"), Some("https://evil.example"));
            evil.send(request).await.problem(415, "unsupported_media_type");
        }
        assert_eq!(state(&stage.watcher).await, before);
    }

    async fn said_twice_is_not_said(on: On) {
        let stage = Stage::set(on).await;
        let mut browser = stage.browser((Some("same-origin"), None)).await;
        let request = stage.app.node.post("/logout").header("Sec-Fetch-Site", "same-origin");
        browser.send(request).await.problem(403, "cross_site_request");
        let mut browser = browser.from(None, Some(LISTED));
        let request = stage.app.node.post("/logout").header("Origin", LISTED);
        browser.send(request).await.problem(403, "cross_site_request");
        browser.sign_out().await.expect(204);
    }

    async fn forwarding_headers_change_nothing_but_the_address(on: On) {
        let stage = Stage::set(on.set("http.trusted_proxies", "127.0.0.1")).await;
        let body = json!({"username": "ada", "password": PASSWORD, "delivery": "cookie"});
        let login = || stage.app.node.post("/login").json(&body);
        let mut evil = stage.app.browser().from(None, Some("https://evil.example"));
        evil.send(forged(login())).await.problem(403, "cross_site_request");
        let mut own = stage.app.browser().from(None, Some(OWN));
        own.send(forged(login())).await.expect(200);
        own.send(forged(stage.app.node.get("/auth/check"))).await.expect(200);
        let sessions = state(&stage.watcher).await;
        let addresses: std::collections::BTreeSet<_> =
            sessions.as_array().unwrap().iter().map(|session| session["address"].as_str().unwrap()).collect();
        assert_eq!(addresses, ["127.0.0.1", "192.0.2.66"].into(), "the watcher came by no proxy");
        evil.jar = own.jar.clone();
        evil.send(forged(stage.app.node.post("/logout"))).await.problem(403, "cross_site_request");
        own.send(forged(stage.app.node.post("/logout"))).await.expect(204);
    }
}
