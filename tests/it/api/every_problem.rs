//! Every problem of the catalogue, brought about over HTTP, and its section in `docs/errors.md`.

use std::path::Path;

use futures_util::StreamExt as _;
use relatch::http::error::Code;
use relatch_testkit::node::stream;
use relatch_testkit::{Answer, Device, KEY, OTHER_KEY, On, PASSWORD, TestApp};
use serde_json::json;

/// Brings a problem about. Whoever adds a code to the catalogue adds its scenario here; nothing stands for none.
///
/// All are on Redis: some need a store that is broken or away.
async fn bring_about(code: Code) -> Option<Answer> {
    if let Some(answer) = Box::pin(with_tokens(code, On::redis())).await {
        return Some(answer);
    }
    match Box::pin(with_requests(code, On::redis())).await {
        Some(answer) => Some(answer),
        None => Box::pin(with_a_store_or_user(code, On::redis())).await,
    }
}

/// What is wrong with tokens and sessions.
#[expect(clippy::too_many_lines, reason = "a table")]
async fn with_tokens(code: Code, on: On) -> Option<Answer> {
    Some(match code {
        Code::AttemptKeyReused => {
            let (_app, mut ada) = signed_in(on).await;
            ada.refresh_as(Some(KEY)).await.ok();
            ada.refresh_as(Some(KEY)).await
        }
        Code::WrongDelivery => {
            let (mut app, ada) = signed_in(on).await;
            // Bits 1 and 2 of the flags: the way of delivery.
            with_record(&mut app, &ada, "r:sub(1,1)..string.char(r:byte(2)+2)..r:sub(3)");
            ada.send_refresh(None).await
        }
        Code::TokenTooLarge => {
            let app = on.set("access_token.audience", &"a".repeat(980)).start().await;
            let roles: Vec<String> = (0..28).map(|n| format!("{n:064}")).collect();
            let body = json!({"username": "ada", "password": PASSWORD, "roles": roles});
            app.admin().await.post("/admin/users", &body).await.expect(201);
            app.browser().sign_in("ada", "cookie").await
        }
        Code::AuthenticationRequired => {
            let app = on.start().await;
            app.node.send(app.node.get("/auth/check")).await
        }
        Code::InvalidCredentials => on.start().await.login("admin", "not the password").await,
        Code::InsufficientUserAuthentication => {
            let (app, ada) = signed_in(on.with_clock().set("password.reauthentication_age", "1m")).await;
            app.clock().advance_secs(60);
            let body = json!({"current_password": PASSWORD, "new_password": "a long walk on the pier"});
            ada.put("/password", &body).await
        }
        Code::InvalidToken => {
            let app = on.start().await;
            app.node.send(app.node.get("/auth/check").bearer_auth("made.up.token")).await
        }
        Code::TokenExpired => {
            let (app, ada) = signed_in(on.with_clock()).await;
            app.clock().advance_secs(16 * 60);
            ada.check().await
        }
        Code::InvalidRefreshToken => {
            let (_app, mut ada) = signed_in(on).await;
            ada.pair.refresh = "rlt1_madeup".to_owned();
            ada.refresh().await
        }
        Code::RefreshTokenReused => {
            let (_app, ada) = signed_in(on.set("refresh_token.grace", "0s")).await;
            ada.send_refresh(Some(KEY)).await.ok();
            ada.send_refresh(Some(OTHER_KEY)).await
        }
        Code::SessionRevoked => {
            let (_app, mut ada) = signed_in(on).await;
            ada.sign_out().await.expect(204);
            ada.refresh().await
        }
        Code::SessionExpired => {
            let (app, mut ada) = signed_in(on.with_clock()).await;
            app.clock().advance_secs(15 * 24 * 3600);
            ada.refresh().await
        }
        _ => return None,
    })
}

/// What is wrong with requests.
async fn with_requests(code: Code, on: On) -> Option<Answer> {
    Some(match code {
        Code::InvalidRequest => on.start().await.post_json("/login", &json!({"usrname": "ada"})).await,
        Code::CrossSiteRequest => {
            let app = on.start().await;
            let body = json!({"username": "admin", "password": PASSWORD, "delivery": "cookie"});
            let login = app.node.post("/login").header("Sec-Fetch-Site", "cross-site").json(&body);
            app.node.send(login).await
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
        Code::RefreshSuperseded => {
            let (_app, ada) = signed_in(on).await;
            ada.send_refresh(Some(KEY)).await.ok();
            ada.send_refresh(Some(OTHER_KEY)).await
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
        _ => return None,
    })
}

/// What stands in the way of a request that is good in itself.
async fn with_a_store_or_user(code: Code, on: On) -> Option<Answer> {
    Some(match code {
        Code::UserDisabled => {
            let (mut app, mut ada) = signed_in(on).await;
            let disabled = format!("HSET relatch:{{{}}}:u disabled 1", ada.user_id);
            assert_eq!(app.redis().say(&disabled), ":0");
            ada.refresh().await
        }
        Code::InsufficientScope => {
            let (_app, ada) = signed_in(on).await;
            ada.get("/admin/users").await
        }
        Code::RegistrationDisabled => {
            on.start().await.post_json("/register", &json!({"username": "ada", "password": PASSWORD})).await
        }
        Code::UsernameTaken => {
            let app = on.start().await;
            let body = json!({"username": "admin", "password": PASSWORD});
            app.admin().await.post("/admin/users", &body).await
        }
        Code::TooManyRequests => {
            let (_app, mut ada) = signed_in(on.set("rate_limit.session_refresh_burst", "1")).await;
            ada.refresh().await.ok();
            ada.refresh().await
        }
        Code::InternalError => {
            let (mut app, mut ada) = signed_in(on).await;
            with_record(&mut app, &ada, "'nonsense'");
            ada.refresh().await
        }
        Code::TemporarilyUnavailable => {
            let mut app = On::redis_with_a_memory().start().await;
            app.redis().kill();
            app.node.send(app.node.get("/health/ready")).await
        }
        _ => return None,
    })
}

async fn signed_in(on: On) -> (TestApp, Device) {
    let app = on.start().await;
    app.user("ada").await;
    let ada = app.sign_in("ada").await;
    (app, ada)
}

/// Replaces the record `r` of the user's one session by a Lua expression.
fn with_record(app: &mut TestApp, device: &Device, expression: &str) {
    let key = format!("relatch:{{{}}}:s", device.user_id);
    let script = format!(
        "local s=redis.call('HKEYS','{key}')[1] local r=redis.call('HGET','{key}',s) \
         return redis.call('HSET','{key}',s,{expression})"
    );
    assert_eq!(app.redis().say(&format!("EVAL \"{script}\" 0")), ":0");
}

#[tokio::test]
async fn every_problem_can_be_brought_about() {
    let answers = futures_util::stream::iter(Code::ALL).map(async |code| (code, bring_about(code).await));
    let answers: Vec<_> = answers.buffered(8).collect().await;
    let mut without_scenario = Vec::new();
    for (code, answer) in answers {
        let entry = code.entry();
        match answer {
            Some(answer) => assert_eq!(answer.problem(entry.status, entry.error)["title"], entry.title),
            None => without_scenario.push(entry.error),
        }
    }
    assert_eq!(without_scenario, Vec::<&str>::new());
}

#[test]
fn every_problem_has_a_section() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md")).unwrap();
    let sections = text.split("\n## ").skip(1).map(|section| section.split_once("\n\n").unwrap());
    let described: Vec<(String, String)> = sections
        .map(|(code, text)| (code.to_owned(), text.split("**").nth(1).unwrap_or_default().to_owned()))
        .collect();
    let wanted = Code::ALL.map(Code::entry);
    let wanted: Vec<_> = wanted
        .iter()
        .map(|entry| (entry.error.to_owned(), format!("{} {}.", entry.status, entry.title)))
        .collect();
    assert_eq!(described, wanted, "docs/errors.md, in the order of the catalogue");
}
