//! What is wrong with requests, whoever sends them.

use relatch::http::error::Code;
use relatch_testkit::node::stream;
use relatch_testkit::{Answer, On, PASSWORD};
use serde_json::json;

pub(super) async fn bring_about(code: Code, on: On) -> Option<Answer> {
    Some(match code {
        Code::InvalidRequest => on.start().await.post_json("/login", &json!({"usrname": "ada"})).await,
        Code::CrossSiteRequest => {
            let app = on.start().await;
            let mut page = app.browser().from(Some("cross-site"), Some("https://evil.example"));
            page.sign_in("admin", "cookie").await
        }
        Code::NotFound => {
            let app = on.start().await;
            app.node.send(app.node.get("/nowhere")).await
        }
        Code::MethodNotAllowed => {
            let app = on.start().await;
            app.node.send(app.node.get("/login")).await
        }
        Code::RequestTimeout => {
            let app = on.start().await;
            let silence = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
            let login = app.node.post("/login").header("Content-Type", "application/json");
            app.node.send(login.body(stream(silence))).await
        }
        Code::PayloadTooLarge => {
            let body = json!({"username": "ada", "password": "x".repeat(100_000)});
            on.start().await.post_json("/login", &body).await
        }
        Code::UriTooLong => {
            let app = on.start().await;
            app.node.send(app.node.get(&format!("/{}", "x".repeat(9_000)))).await
        }
        Code::UnsupportedMediaType => {
            let app = on.start().await;
            app.node.send(app.node.post("/login").body("username=ada")).await
        }
        Code::HeadersTooLarge => {
            let app = on.start().await;
            app.node.send(app.node.get("/auth/check").bearer_auth("x".repeat(20_000))).await
        }
        Code::RegistrationDisabled => {
            on.start().await.post_json("/register", &json!({"username": "ada", "password": PASSWORD})).await
        }
        _ => return None,
    })
}
