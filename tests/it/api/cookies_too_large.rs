//! Access tokens that do not fit a cookie.

use relatch_testkit::browser::{ACCESS, PAIR, REFRESH};
use relatch_testkit::{KEY, PASSWORD};
use serde_json::json;

/// Nearly as much as issuer and audience may have together.
fn long_audience() -> String {
    "a".repeat(980)
}

/// So many roles that with a long audience a token does not fit a cookie.
fn many_roles() -> Vec<String> {
    (0..28).map(|n| format!("{n:064}")).collect()
}

async fn user_with_many_roles(app: &relatch_testkit::TestApp, name: &str) {
    let body = json!({"username": name, "password": PASSWORD, "roles": many_roles()});
    app.admin().await.post("/admin/users", &body).await.expect(201);
}

on_both_stores! {
    async fn a_sign_in_whose_token_does_not_fit_begins_no_session(on: On) {
        let app = on.set("access_token.audience", &long_audience()).start().await;
        user_with_many_roles(&app, "ada").await;
        for delivery in ["cookie", "hybrid"] {
            app.browser().sign_in("ada", delivery).await.problem(400, "token_too_large");
        }
        // A wrong password is not told of it.
        let body = json!({"username": "ada", "password": "wrong", "delivery": "cookie"});
        app.browser().post("/login", &body).await.problem(401, "invalid_credentials");
        let device = app.sign_in("ada").await;
        assert_eq!(device.get("/sessions").await.ok()["items"].as_array().unwrap().len(), 1);
        // Who has fewer roles fits.
        app.user("bob").await;
        app.browse("bob", "cookie").await;
    }

    async fn an_earlier_session_goes_on_if_the_new_one_does_not_begin(on: On) {
        let app = on.set("access_token.audience", &long_audience()).start().await;
        user_with_many_roles(&app, "ada").await;
        app.user("bob").await;
        let mut browser = app.browse("bob", "cookie").await;
        browser.sign_in("ada", "cookie").await.problem(400, "token_too_large");
        browser.refresh().await.expect(200);
    }

    async fn a_refresh_whose_token_does_not_fit_any_more_keeps_the_session(on: On) {
        let app = on.set("access_token.audience", &long_audience()).with_clock().start().await;
        let user = format!("/admin/users/{}", app.user("ada").await);
        let admin = app.admin().await;
        for (delivery, name) in [("cookie", ACCESS), ("hybrid", PAIR)] {
            admin.patch(&user, &json!({"roles": ["user"]})).await.ok();
            let mut browser = app.browse("ada", delivery).await;
            browser.reload();
            let (access, refresh) = (browser.cookie(name), browser.cookie(REFRESH));
            admin.patch(&user, &json!({"roles": many_roles()})).await.ok();
            let answer = browser.refresh_as(Some(KEY)).await;
            let rotated = browser.cookie(REFRESH);
            assert_eq!(
                answer.set_cookies(),
                [format!("{REFRESH}={rotated}; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=1209600")]
            );
            answer.problem_that_may_set_cookies(400, "token_too_large");
            assert_ne!(rotated, refresh);
            assert_eq!(browser.cookie(name), access, "the old access token stays");
            // When there are fewer roles the session goes on.
            admin.patch(&user, &json!({"roles": ["user"]})).await.ok();
            browser.refresh().await.expect(200);
            assert_ne!(browser.cookie(name), access);
        }
    }
}
