//! `access_token.sliding`: a check renews the access cookie near its end.

use relatch_testkit::On;
use relatch_testkit::browser::{ACCESS, PAIR, REFRESH};

on_both_stores! {
    async fn a_check_in_the_last_part_renews_the_access_cookie_and_nothing_else(on: On) {
        let app = on.set("access_token.sliding", "5m").with_clock().start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "cookie").await;
        let (access, refresh) = (browser.cookie(ACCESS), browser.cookie(REFRESH));
        app.clock().advance_secs(599);
        let early = browser.check().await;
        assert_eq!(early.set_cookies(), Vec::<&str>::new());
        assert_eq!(early.ok()["expires_at"], app.clock().rfc3339(301));

        app.clock().advance_secs(1);
        let answer = browser.check().await.expect(200);
        let renewed = browser.cookie(ACCESS);
        let left = 14 * 24 * 3600 - 600;
        assert_eq!(
            answer.set_cookies(),
            [format!("{ACCESS}={renewed}; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age={left}")]
        );
        assert_ne!(renewed, access);
        assert_eq!(answer.json()["expires_at"], app.clock().rfc3339(900));
        assert!(!answer.text.contains(&renewed));
        assert_eq!(browser.cookie(REFRESH), refresh);
        let claims = [access, renewed].map(|token| relatch_testkit::forge::claims_of(&token));
        for same in ["sub", "sid", "auth_time", "roles"] {
            assert_eq!(claims[0][same], claims[1][same], "{same}");
        }
        // On and on, and the refresh token is the same as ever.
        for _ in 0..4 {
            app.clock().advance_secs(890);
            browser.check().await.expect(200);
        }
        browser.refresh().await.expect(200);
    }

    async fn an_expired_token_is_not_renewed(on: On) {
        let app = on.set("access_token.sliding", "5m").with_clock().start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "cookie").await;
        app.clock().advance_secs(900);
        browser.check().await.problem(401, "token_expired");
    }

    async fn nothing_is_renewed_unless_it_is_configured(on: On) {
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "cookie").await;
        app.clock().advance_secs(899);
        assert_eq!(browser.check().await.expect(200).set_cookies(), Vec::<&str>::new());
    }

    async fn only_a_token_in_its_cookie_is_renewed(on: On) {
        let app = on.set("access_token.sliding", "5m").with_clock().start().await;
        app.user("ada").await;
        let device = app.sign_in("ada").await;
        let mut cookie = app.browse("ada", "cookie").await;
        let mut hybrid = app.browse("ada", "hybrid").await;
        app.clock().advance_secs(700);
        let none = Vec::<&str>::new();
        assert_eq!(device.check().await.expect(200).set_cookies(), none);
        assert_eq!(hybrid.check().await.expect(200).set_cookies(), none);
        // A Bearer token wins over the cookie.
        cookie.memory = Some(cookie.cookie(ACCESS));
        assert_eq!(cookie.check().await.expect(200).set_cookies(), none);
        // In the access cookie, but not delivered there.
        for token in [device.pair.access.clone(), hybrid.cookie(PAIR)] {
            let mut moved = app.browser();
            moved.jar.insert(ACCESS.to_owned(), token);
            assert_eq!(moved.check().await.expect(200).set_cookies(), none);
        }
        // Nowhere but at the check.
        cookie.reload();
        assert_eq!(cookie.get("/sessions").await.expect(200).set_cookies(), none);
        assert_eq!(cookie.check().await.expect(200).set_cookies().len(), 1);
    }

    async fn a_session_that_has_ended_is_not_renewed(on: On) {
        let app = on.set("access_token.sliding", "5m").with_clock().start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "cookie").await;
        app.clock().advance_secs(700);
        browser.clone().sign_out().await.expect(204);
        let body = browser.check().await.problem(401, "session_revoked");
        assert_eq!(body["reason"], "signed_out");
    }

    async fn no_deadline_moves_by_it(on: On) {
        let on = on.set("access_token.sliding", "5m").set("refresh_token.idle_ttl", "20m");
        let app = on.with_clock().start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "cookie").await;
        app.clock().advance_secs(14 * 60);
        // Six minutes are left of the session, and the new token gets no more of them.
        assert_eq!(browser.check().await.ok()["expires_at"], app.clock().rfc3339(6 * 60));
        app.clock().advance_secs(5 * 60);
        let answer = browser.check().await.expect(200);
        assert_eq!(answer.set_cookies(), Vec::<&str>::new(), "nothing to gain");
        app.clock().advance_secs(60);
        browser.check().await.problem(401, "token_expired");
        browser.refresh().await.problem(401, "session_expired");
    }
}

#[tokio::test]
async fn while_the_store_is_away_a_good_token_is_good_and_stays_as_it_is() {
    let mut app = On::redis().set("access_token.sliding", "5m").with_clock().start().await;
    app.user("ada").await;
    let mut browser = app.browse("ada", "cookie").await;
    app.clock().advance_secs(700);
    app.redis().kill();
    let answer = browser.check().await;
    assert_eq!(answer.set_cookies(), Vec::<&str>::new());
    assert_eq!(answer.ok()["expires_at"], app.clock().rfc3339(200));
    browser.get("/auth/check?live=true").await.problem(503, "temporarily_unavailable");
}
