//! Cookies doubled, cut, and swapped between sessions and deliveries: refused, and nothing consumed.

use relatch_testkit::browser::{ACCESS, PAIR, REFRESH};
use relatch_testkit::{Browser, TestApp};
use serde_json::json;

/// Sends a request with this `Cookie` header, from a page of the server.
async fn with_cookies(app: &TestApp, method: &str, path: &str, cookies: &str) -> relatch_testkit::Answer {
    let request = app.node.request(method, path).header("Sec-Fetch-Site", "same-origin");
    app.node.send(request.header("Cookie", cookies)).await
}

/// A browser with these cookies only.
fn with_jar(browser: &Browser, jar: &[(&str, String)]) -> Browser {
    let jar = jar.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Browser { jar, memory: None, ..browser.clone() }
}

on_both_stores! {
    async fn a_cookie_that_comes_twice_is_refused(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "cookie").await;
        let (at, rt) = (browser.cookie(ACCESS), browser.cookie(REFRESH));
        let twice = format!("{ACCESS}={at}; {REFRESH}={rt}; x=1; {ACCESS}={at}");
        for (method, path) in [("GET", "/auth/check"), ("GET", "/sessions"), ("DELETE", "/sessions"),
            ("POST", "/token/refresh"), ("POST", "/logout")] {
            with_cookies(&app, method, path, &twice).await.problem(400, "invalid_request");
        }
        for name in [REFRESH, PAIR] {
            let twice = format!("{ACCESS}={at}; {REFRESH}={rt}; {name}=a; {name}=b");
            for path in ["/token/refresh", "/logout"] {
                with_cookies(&app, "POST", path, &twice).await.problem(400, "invalid_request");
            }
        }
        let two_headers = app.node.get("/auth/check").header("Cookie", format!("{ACCESS}={at}"));
        let two_headers = two_headers.header("Cookie", format!("{ACCESS}=other"));
        app.node.send(two_headers).await.problem(400, "invalid_request");
        // Where a Bearer token comes, the cookie is not even looked at.
        let ignored = app.node.get("/auth/check").header("Cookie", twice).bearer_auth(&at);
        app.node.send(ignored).await.expect(200);
        browser.refresh().await.expect(200);
    }

    async fn a_cookie_that_is_cut_or_made_up_is_like_a_bad_token(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "cookie").await;
        let (at, rt) = (browser.cookie(ACCESS), browser.cookie(REFRESH));
        for wrong in ["", "x", "a.b.c", &at[..at.len() - 1], &format!("\"{at}\""), &"x".repeat(4096), "ü"] {
            let cookies = format!("{ACCESS}={wrong}");
            with_cookies(&app, "GET", "/auth/check", &cookies).await.problem(401, "invalid_token");
            with_cookies(&app, "DELETE", "/sessions", &cookies).await.problem(401, "invalid_token");
            let cookies = format!("{ACCESS}={wrong}; {REFRESH}={rt}");
            with_cookies(&app, "POST", "/token/refresh", &cookies).await.problem(401, "invalid_token");
        }
        for wrong in ["", "x", "rlt1_", &rt[..rt.len() - 1], &rt.replace("rlt1_", "rlt2_"), &"x".repeat(4096)] {
            let cookies = format!("{ACCESS}={at}; {REFRESH}={wrong}");
            for path in ["/token/refresh", "/logout"] {
                with_cookies(&app, "POST", path, &cookies).await.problem(401, "invalid_refresh_token");
            }
        }
        browser.refresh().await.expect(200);
    }

    async fn a_refresh_token_in_two_places_is_an_invalid_request(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut browser = app.browse("ada", "cookie").await;
        let body = json!({"refresh_token": browser.cookie(REFRESH)});
        for path in ["/token/refresh", "/logout"] {
            browser.post(path, &body).await.problem(400, "invalid_request");
            let header = app.node.post(path).header("X-Refresh-Token", browser.cookie(REFRESH));
            browser.send(header).await.problem(400, "invalid_request");
        }
        browser.refresh().await.expect(200);
    }

    async fn tokens_come_back_the_way_they_were_delivered(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut device = app.sign_in("ada").await;
        let (access, refresh) = (device.pair.access.clone(), device.pair.refresh.clone());
        for name in [ACCESS, PAIR] {
            let swapped = [(name, access.clone()), (REFRESH, refresh.clone())];
            with_jar(&app.browser(), &swapped).refresh().await.problem(400, "wrong_delivery");
        }
        let mut bearer = with_jar(&app.browser(), &[(REFRESH, refresh.clone())]);
        bearer.memory = Some(access);
        bearer.refresh().await.problem(400, "wrong_delivery");
        device.refresh().await.ok();

        let body = |browser: &Browser| json!({"refresh_token": browser.cookie(REFRESH)});
        let mut cookie = app.browse("ada", "cookie").await;
        let mut swapped = with_jar(&cookie, &[(ACCESS, cookie.cookie(ACCESS))]);
        swapped.post("/token/refresh", &body(&cookie)).await.problem(400, "wrong_delivery");
        let mut swapped = with_jar(&cookie, &[]);
        swapped.memory = Some(cookie.cookie(ACCESS));
        swapped.post("/token/refresh", &body(&cookie)).await.problem(400, "wrong_delivery");
        let moved = [(PAIR, cookie.cookie(ACCESS)), (REFRESH, cookie.cookie(REFRESH))];
        with_jar(&cookie, &moved).refresh().await.problem(400, "wrong_delivery");
        cookie.refresh().await.expect(200);

        let mut hybrid = app.browse("ada", "hybrid").await;
        let mut swapped = with_jar(&hybrid, &[]);
        swapped.memory = hybrid.memory.clone();
        swapped.post("/token/refresh", &body(&hybrid)).await.problem(400, "wrong_delivery");
        let moved = [(ACCESS, hybrid.cookie(PAIR)), (REFRESH, hybrid.cookie(REFRESH))];
        with_jar(&hybrid, &moved).refresh().await.problem(400, "wrong_delivery");
        hybrid.refresh().await.expect(200);
    }

    async fn cookies_of_two_sessions_do_not_make_a_pair(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        app.user("bob").await;
        for delivery in ["cookie", "hybrid"] {
            let mut ada = app.browse("ada", delivery).await;
            ada.reload();
            for name in ["ada", "bob"] {
                let mut other = app.browse(name, delivery).await;
                other.reload();
                let mut mixed = other.clone();
                mixed.jar.insert(REFRESH.to_owned(), ada.cookie(REFRESH));
                mixed.refresh().await.problem(401, "invalid_token");
                other.refresh().await.expect(200);
            }
            ada.refresh().await.expect(200);
        }
    }

    async fn of_two_access_cookies_the_one_that_belongs_to_the_session_tells(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let cookie = app.browse("ada", "cookie").await;
        let mut hybrid = app.browse("ada", "hybrid").await;
        hybrid.reload();
        let mut both = cookie.clone();
        both.jar.insert(PAIR.to_owned(), hybrid.cookie(PAIR));
        both.refresh().await.expect(200);
        hybrid.jar.insert(ACCESS.to_owned(), cookie.cookie(ACCESS));
        hybrid.refresh().await.expect(200);
        let mut neither = hybrid.clone();
        neither.reload();
        for name in [PAIR, ACCESS] {
            neither.jar.insert(name.to_owned(), "made.up.token".to_owned());
        }
        neither.refresh().await.problem(401, "invalid_token");
        hybrid.refresh().await.expect(200);
    }

    async fn other_applications_cookies_disturb_nobody(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let browser = app.browse("ada", "cookie").await;
        let at = browser.cookie(ACCESS);
        for cookies in [
            format!("x=\"{{}}\"; {ACCESS}={at}; y"),
            format!("=; ;{ACCESS}={at};__host-relatch-at=z; relatch-at=z"),
            format!("ü=ü; {ACCESS}={at}"),
        ] {
            with_cookies(&app, "GET", "/auth/check", &cookies).await.expect(200);
        }
    }
}
