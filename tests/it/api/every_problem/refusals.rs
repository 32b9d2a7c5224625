//! What stands in the way of requests that are good in themselves, with good tokens.

use relatch::http::error::Code;
use relatch_testkit::browser::{ACCESS, REFRESH};
use relatch_testkit::{Answer, KEY, OTHER_KEY, On, PASSWORD};
use serde_json::json;

use super::signed_in;

pub(super) async fn bring_about(code: Code, on: On) -> Option<Answer> {
    Some(match code {
        Code::AttemptKeyReused => {
            let (_app, mut ada) = signed_in(on).await;
            ada.refresh_as(Some(KEY)).await.ok();
            ada.refresh_as(Some(KEY)).await
        }
        Code::WrongDelivery => {
            let app = on.start().await;
            let browser = app.browse("admin", "cookie").await;
            let request = app.node.post("/token/refresh").bearer_auth(browser.cookie(ACCESS));
            app.node.send(request.json(&json!({"refresh_token": browser.cookie(REFRESH)}))).await
        }
        Code::TokenTooLarge => {
            let app = on.set("access_token.audience", &"a".repeat(980)).start().await;
            let roles: Vec<String> = (0..28).map(|n| format!("{n:064}")).collect();
            let body = json!({"username": "ada", "password": PASSWORD, "roles": roles});
            app.admin().await.post("/admin/users", &body).await.expect(201);
            app.browser().sign_in("ada", "cookie").await
        }
        Code::InsufficientScope => {
            let (_app, ada) = signed_in(on).await;
            ada.get("/admin/users").await
        }
        Code::UsernameTaken => {
            let app = on.start().await;
            let body = json!({"username": "admin", "password": PASSWORD});
            app.admin().await.post("/admin/users", &body).await
        }
        Code::LastAdministrator => {
            let app = on.start().await;
            let admin = app.admin().await;
            admin.delete(&format!("/admin/users/{}", admin.user_id)).await
        }
        Code::RefreshSuperseded => {
            let (_app, ada) = signed_in(on).await;
            ada.send_refresh(Some(KEY)).await.ok();
            ada.send_refresh(Some(OTHER_KEY)).await
        }
        Code::TooManyRequests => {
            let (_app, mut ada) = signed_in(on.set("rate_limit.session_refresh_burst", "1")).await;
            ada.refresh().await.ok();
            ada.refresh().await
        }
        Code::TooManyAttempts => {
            let app = on.set("rate_limit.account_failures", "1").start().await;
            app.login("nobody", "not a password").await.problem(401, "invalid_credentials");
            app.login("nobody", "not a password").await
        }
        _ => return None,
    })
}
