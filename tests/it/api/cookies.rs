//! Deliveries `hybrid` and `cookie`: what a browser gets, and what it can do with it.

use relatch_testkit::browser::{ACCESS, DEVICE, PAIR, REFRESH};
use relatch_testkit::{Answer, KEY, OTHER_KEY};
use serde_json::{Value, json};

/// Two weeks.
const IDLE: u32 = 14 * 24 * 3600;
/// The most that browsers keep a cookie.
const DEVICE_KEPT: u32 = 400 * 24 * 3600;

/// The attributes of a cookie, with which all of its kind are set.
fn attributes(same_site: &str, max_age: u32) -> String {
    format!("; HttpOnly; SameSite={same_site}; Secure; Path=/; Max-Age={max_age}")
}

/// The cookies of an answer, each as a name, a value and its attributes.
#[track_caller]
fn cookies(answer: &Answer) -> Vec<(&str, &str, &str)> {
    answer
        .set_cookies()
        .into_iter()
        .map(|cookie| {
            let end = cookie.find(';').unwrap();
            let (name, value) = cookie[..end].split_once('=').unwrap();
            (name, value, &cookie[end..])
        })
        .collect()
}

/// The names of an object's members.
fn members(body: &Value) -> Vec<&str> {
    body.as_object().unwrap().keys().map(String::as_str).collect()
}

on_both_stores! {
    async fn delivery_cookie_puts_both_tokens_into_cookies_and_none_into_the_body(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut browser = app.browser();
        let answer = browser.sign_in("ada", "cookie").await;
        let body = answer.json();
        assert_eq!(
            members(&body),
            ["expires_in", "refresh_expires_in", "session_id", "token_type", "user"]
        );
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(body["expires_in"], 900);
        assert_eq!(body["refresh_expires_in"], IDLE);
        assert_eq!(body["user"]["username"], "ada");
        let (strict, lax) = (attributes("Strict", IDLE), attributes("Lax", IDLE));
        let (access, refresh) = (browser.cookie(ACCESS), browser.cookie(REFRESH));
        let (device, kept) = (browser.cookie(DEVICE), attributes("Strict", DEVICE_KEPT));
        assert_eq!(
            cookies(&answer),
            [(REFRESH, &*refresh, &*strict), (ACCESS, &*access, &*lax), (DEVICE, &*device, &*kept)]
        );
        assert!(refresh.starts_with("rlt1_") && access.starts_with("eyJ"));

        let answer = browser.refresh().await;
        let body = answer.json();
        assert_eq!(members(&body), ["expires_in", "refresh_expires_in", "session_id", "token_type"]);
        let names: Vec<_> = cookies(&answer).into_iter().map(|(name, _, attributes)| (name, attributes)).collect();
        assert_eq!(names, [(REFRESH, &*strict), (ACCESS, &*lax)]);
        assert_ne!(browser.cookie(ACCESS), access);
        assert_ne!(browser.cookie(REFRESH), refresh);
        browser.refresh().await.expect(200);
    }

    async fn delivery_hybrid_puts_the_access_token_into_the_body_and_a_copy_into_a_cookie(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut browser = app.browser();
        let answer = browser.sign_in("ada", "hybrid").await;
        let body = answer.json();
        assert_eq!(
            members(&body),
            ["access_token", "expires_in", "refresh_expires_in", "session_id", "token_type", "user"]
        );
        let strict = attributes("Strict", IDLE);
        let (access, refresh) = (browser.cookie(PAIR), browser.cookie(REFRESH));
        let (device, kept) = (browser.cookie(DEVICE), attributes("Strict", DEVICE_KEPT));
        assert_eq!(
            cookies(&answer),
            [(REFRESH, &*refresh, &*strict), (PAIR, &*access, &*strict), (DEVICE, &*device, &*kept)]
        );
        assert_eq!(body["access_token"], access);

        let body = browser.refresh().await.ok();
        assert_eq!(
            members(&body),
            ["access_token", "expires_in", "refresh_expires_in", "session_id", "token_type"]
        );
        assert_eq!(body["access_token"], browser.cookie(PAIR));
        assert_ne!(browser.cookie(REFRESH), refresh);
        browser.refresh().await.expect(200);
    }

    async fn delivery_body_sets_no_cookie_and_asks_nobody_where_it_comes_from(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut elsewhere = app.browser().from(Some("cross-site"), Some("https://evil.example"));
        let answer = elsewhere.sign_in("ada", "body").await.expect(200);
        assert_eq!(answer.set_cookies(), Vec::<&str>::new());
    }

    async fn the_cookies_live_as_long_as_the_session_may(on: On) {
        let app = on.set("refresh_token.idle_ttl", "1h").set("refresh_token.absolute_ttl", "90m");
        let app = app.with_clock().start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "cookie").await;
        app.clock().advance_secs(40 * 60);
        let answer = browser.refresh().await;
        assert_eq!(answer.json()["refresh_expires_in"], 50 * 60);
        for (_, _, attributes) in cookies(&answer) {
            assert!(attributes.ends_with("; Max-Age=3000"), "{attributes}");
        }
        // Nor does an access token outlive it.
        app.clock().advance_secs(49 * 60);
        assert_eq!(browser.refresh().await.ok()["expires_in"], 60);
    }

    async fn a_page_that_is_loaded_anew_refreshes_with_what_the_browser_keeps(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "hybrid").await;
        app.clock().advance_secs(3600);
        browser.reload();
        browser.check().await.problem(401, "authentication_required");
        browser.refresh_as(Some(KEY)).await.expect(200);
        browser.check().await.expect(200);
    }

    async fn the_pair_cookie_signs_nobody_in(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "hybrid").await;
        browser.reload();
        browser.jar.remove(REFRESH);
        for path in ["/auth/check", "/sessions", "/admin/users"] {
            browser.get(path).await.problem(401, "authentication_required");
        }
        browser.delete("/sessions").await.problem(401, "authentication_required");
        browser.sign_out().await.problem(401, "authentication_required");
        browser.refresh().await.problem(400, "invalid_request");
    }

    async fn the_access_cookie_is_a_credential_everywhere(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut other = app.sign_in("ada").await;
        let mut browser = app.browse("ada", "cookie").await;
        let checked = browser.check().await.ok();
        assert_eq!(checked["session"]["session_id"], browser.session_id);
        let sessions = browser.get("/sessions").await.ok();
        assert_eq!(sessions["items"].as_array().unwrap().len(), 2);
        browser.get("/admin/users").await.problem(403, "insufficient_scope");
        let answer = browser.delete("/sessions").await.expect(204);
        assert_eq!(answer.set_cookies(), Vec::<&str>::new());
        other.refresh().await.problem(401, "session_revoked");

        let mut admin = app.browse("admin", "cookie").await;
        let created = admin.post("/admin/users", &json!({"username": "bob", "password": "an unusual password"})).await;
        let id = created.expect(201).json()["id"].as_str().unwrap().to_owned();
        admin.get(&format!("/admin/users/{id}")).await.expect(200);
        let revoked = admin.post("/admin/revoke", &json!({"username": "ada"})).await.ok();
        assert_eq!(revoked["revoked_sessions"], 1);
        browser.get("/sessions").await.problem(401, "session_revoked");
    }

    async fn a_bearer_token_wins_and_never_falls_back_to_the_cookie(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        app.user("bob").await;
        let mut browser = app.browse("ada", "cookie").await;
        let bob = app.sign_in("bob").await;
        browser.memory = Some(bob.pair.access);
        assert_eq!(browser.check().await.ok()["user"]["username"], "bob");
        // Another user's pair, although the cookie would make a right one.
        browser.refresh().await.problem(401, "invalid_token");
        for wrong in ["x", "a.b.c"] {
            browser.memory = Some(wrong.to_owned());
            browser.check().await.problem(401, "invalid_token");
            browser.get("/sessions").await.problem(401, "invalid_token");
            browser.refresh().await.problem(401, "invalid_token");
        }
        browser.memory = Some("not one token".to_owned());
        browser.check().await.problem(400, "invalid_request");
        browser.memory = Some(browser.cookie(ACCESS));
        browser.refresh().await.expect(200);
    }

    async fn the_loser_of_a_race_keeps_the_winners_cookies(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        for delivery in ["cookie", "hybrid"] {
            let mut browser = app.browse("ada", delivery).await;
            let mut tab = browser.clone();
            browser.refresh_as(Some(KEY)).await.expect(200);
            // `problem` sees that no cookie is set, nor cleared.
            tab.refresh_as(Some(OTHER_KEY)).await.problem(409, "refresh_superseded");
            tab.jar = browser.jar.clone();
            tab.reload();
            tab.refresh_as(Some(OTHER_KEY)).await.expect(200);
        }
    }

    async fn a_lost_answer_is_given_again(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "cookie").await;
        let mut lost = browser.clone();
        lost.refresh_as(Some(KEY)).await.expect(200);
        app.clock().advance_secs(3600);
        browser.refresh_as(Some(KEY)).await.expect(200);
        assert_eq!(browser.cookie(REFRESH), lost.cookie(REFRESH));
    }

    async fn a_failed_refresh_clears_nothing(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "cookie").await;
        let mut stolen = browser.clone();
        browser.refresh_as(Some(KEY)).await.expect(200);
        app.clock().advance_secs(60);
        stolen.refresh_as(Some(OTHER_KEY)).await.problem(401, "refresh_token_reused");
        browser.refresh().await.problem(401, "session_revoked");
        assert_eq!(browser.cookies(), [ACCESS, REFRESH]);
    }

    async fn without_the_pair_check_the_refresh_cookie_of_a_hybrid_session_will_do(on: On) {
        let app = on.set("refresh_token.require_access_token", "false").start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "hybrid").await;
        browser.reload();
        browser.jar.remove(PAIR);
        browser.refresh().await.expect(200);
        assert_eq!(browser.cookies(), [PAIR, REFRESH]);
    }
}
