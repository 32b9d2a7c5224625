//! How a browser's session ends: a sign-out clears its cookies, another sign-in replaces them.

use relatch_testkit::On;
use relatch_testkit::browser::{ACCESS, PAIR, REFRESH};
use serde_json::json;

/// How many sessions a user has, asked by an administrator's eyes: signing in once more and counting the others.
async fn live_sessions(app: &relatch_testkit::TestApp, name: &str) -> usize {
    let device = app.sign_in(name).await;
    let sessions = device.get("/sessions").await.ok();
    device.sign_out().await.expect(204);
    sessions["items"].as_array().unwrap().len() - 1
}

on_both_stores! {
    async fn a_sign_out_clears_the_cookies_that_came_and_may_be_repeated(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        for (delivery, name, same_site) in [("cookie", ACCESS, "Lax"), ("hybrid", PAIR, "Strict")] {
            let mut browser = app.browse("ada", delivery).await;
            browser.reload();
            let mut again = browser.clone();
            let answer = browser.sign_out().await.expect(204);
            assert_eq!(answer.set_cookies(), [
                format!("{name}=; HttpOnly; SameSite={same_site}; Secure; Path=/; Max-Age=0"),
                format!("{REFRESH}=; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=0"),
            ]);
            assert!(browser.cookies().is_empty());
            let body = again.refresh().await.problem(401, "session_revoked");
            assert_eq!(body["reason"], "signed_out");
            again.sign_out().await.expect(204);
            assert!(again.cookies().is_empty());
        }
        assert_eq!(live_sessions(&app, "ada").await, 0);
    }

    async fn each_of_the_tokens_signs_out_and_only_what_came_is_cleared(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut access = app.browse("ada", "cookie").await;
        let mut copy = access.clone();
        access.jar.remove(REFRESH);
        let cleared = access.sign_out().await.expect(204);
        assert_eq!(cleared.set_cookies().len(), 1);
        assert_eq!(access.cookies(), Vec::<&str>::new());
        copy.refresh().await.problem(401, "session_revoked");

        let mut refresh = app.browse("ada", "cookie").await;
        let mut copy = refresh.clone();
        refresh.jar.remove(ACCESS);
        assert_eq!(refresh.sign_out().await.expect(204).set_cookies().len(), 1);
        copy.refresh().await.problem(401, "session_revoked");

        // A Bearer token: the cookies beside it are cleared all the same.
        let mut hybrid = app.browse("ada", "hybrid").await;
        hybrid.sign_out().await.expect(204);
        assert_eq!(hybrid.cookies(), Vec::<&str>::new());

        // An expired access cookie is no hindrance beside the refresh cookie, and nothing without it.
        let mut late = app.browse("ada", "cookie").await;
        app.clock().advance_secs(901);
        let mut alone = late.clone();
        alone.jar.remove(REFRESH);
        alone.sign_out().await.problem(401, "token_expired");
        late.sign_out().await.expect(204);
        assert_eq!(late.cookies(), Vec::<&str>::new());
        assert_eq!(live_sessions(&app, "ada").await, 0);
    }

    async fn a_sign_out_that_fails_leaves_the_cookies(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "cookie").await;
        browser.memory = Some("made.up.token".to_owned());
        browser.sign_out().await.problem(401, "invalid_token");
        browser.reload();
        browser.post("/logout", &json!({"refresh": "x"})).await.problem(400, "invalid_request");
        app.browser().sign_out().await.problem(401, "authentication_required");
        browser.refresh().await.expect(200);
    }

    async fn a_left_over_access_cookie_does_not_stop_a_sign_out(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut hybrid = app.browse("ada", "hybrid").await;
        hybrid.reload();
        let other = app.browse("ada", "cookie").await;
        hybrid.jar.insert(ACCESS.to_owned(), other.cookie(ACCESS));
        hybrid.sign_out().await.expect(204);
        assert_eq!(hybrid.cookies(), Vec::<&str>::new());
    }

    async fn a_sign_in_replaces_the_browsers_earlier_session(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        app.user("bob").await;
        for (name, first, second) in [
            ("ada", "cookie", "cookie"), ("ada", "cookie", "hybrid"), ("ada", "hybrid", "cookie"),
            ("bob", "cookie", "hybrid"), ("bob", "hybrid", "hybrid"),
        ] {
            let mut browser = app.browse("ada", first).await;
            browser.reload();
            let mut before = browser.clone();
            browser.sign_in(name, second).await.expect(200);
            let expected = if second == "cookie" { [ACCESS, REFRESH] } else { [PAIR, REFRESH] };
            assert_eq!(browser.cookies(), expected, "{first}, then {second}");
            let body = before.refresh().await.problem(401, "session_revoked");
            assert_eq!(body["reason"], "replaced");
            browser.refresh().await.expect(200);
            browser.sign_out().await.expect(204);
        }
    }

    async fn nobody_else_goes_for_a_session_that_is_replaced_anyway(on: On) {
        let app = on.set("sessions.max_per_user", "2").with_clock().start().await;
        app.user("ada").await;
        let mut phone = app.sign_in("ada").await;
        app.clock().advance_secs(10);
        let mut browser = app.browse("ada", "cookie").await;
        for _ in 0..3 {
            app.clock().advance_secs(10);
            browser.sign_in("ada", "cookie").await.expect(200);
        }
        phone.refresh().await.ok();
        browser.refresh().await.expect(200);
    }

    async fn a_sign_in_that_fails_replaces_nothing(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "cookie").await;
        let body = json!({"username": "ada", "password": "wrong", "delivery": "cookie"});
        browser.post("/login", &body).await.problem(401, "invalid_credentials");
        browser.refresh().await.expect(200);
    }

    async fn cookies_that_do_not_count_or_are_not_genuine_replace_nothing(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "cookie").await;
        // No browser: the new cookies are set, the old ones count for nothing.
        let answer = browser.as_program().sign_in("ada", "hybrid").await.expect(200);
        assert_eq!(answer.set_cookies().len(), 3, "none is cleared");
        // Delivery by body has nothing to do with cookies.
        browser.clone().sign_in("ada", "body").await.expect(200);
        let mut forged = browser.clone();
        forged.jar.insert(REFRESH.to_owned(), "rlt1_madeup".to_owned());
        forged.sign_in("ada", "cookie").await.expect(200);
        browser.refresh().await.expect(200);
    }
}

#[tokio::test]
async fn an_outage_leaves_the_cookies() {
    let mut app = On::redis_with_a_memory().start().await;
    app.user("ada").await;
    let mut browser = app.browse("ada", "cookie").await;
    app.redis().kill();
    browser.sign_out().await.problem(503, "temporarily_unavailable");
    browser.refresh().await.problem(503, "temporarily_unavailable");
    app.redis().restart().await;
    app.until_ready().await;
    browser.refresh().await.expect(200);
    browser.sign_out().await.expect(204);
}

#[tokio::test]
async fn a_sign_out_that_a_failover_could_undo_leaves_the_cookies() {
    // No replica is there to acknowledge it.
    let app = On::redis().set("store.sync_replicas", "1").start().await;
    let mut browser = app.browse("admin", "cookie").await;
    browser.sign_out().await.problem(503, "temporarily_unavailable");
    assert_eq!(browser.cookies(), [ACCESS, REFRESH]);
    let body = browser.refresh().await.problem(401, "session_revoked");
    assert_eq!(body["reason"], "signed_out");
}
