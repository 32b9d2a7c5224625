//! What strangers type cannot forge, colour or stop a log line, and is not in it.

use std::time::Duration;

use relatch_testkit::{KEY, OTHER_KEY, PASSWORD, TestApp};
use serde_json::{Value, json};

use super::raw_http::wire::{LIVE, exchange, statuses};

/// What must not be in the log in any form.
const MARK: &str = "forged-by-a-stranger";

/// Line ends, escapes and quotes that would end a line or a field in a log that does not escape them.
const ENDS: [&str; 8] =
    ["\r\n", "\n", "\u{1b}[31m", "\u{1b}]0;", "\"}\n{\"event\":\"", "\\n", "\u{2028}", "\u{85}"];

/// The text with each way of ending it, and the mark.
fn injections() -> impl Iterator<Item = String> {
    ENDS.iter().map(|end| format!("ada{end}{MARK}"))
}

/// The text in a path or a query.
fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Every place where text can be put, with text in it that a log must not take as it is.
async fn attack(app: &TestApp) -> Vec<String> {
    let admin = app.admin().await;
    app.user("ada").await;
    let ada = app.sign_in("ada").await;
    let post = |path: &str, body: &Value| app.node.send(app.node.post(path).json(body));
    for text in injections() {
        post("/login", &json!({"username": text, "password": PASSWORD}))
            .await
            .problem(401, "invalid_credentials");
        post("/login", &json!({"username": "ada", "password": text}))
            .await
            .problem(401, "invalid_credentials");
        post("/login", &json!({"username": "ada", "password": PASSWORD, "device_name": text})).await;
        post("/login", &json!({text.clone(): "x"})).await.problem(400, "invalid_request");
        // A backslash may be in a name.
        admin.post("/admin/users", &json!({"username": text, "password": PASSWORD})).await;
        admin.post("/admin/revoke", &json!({"username": text, "reason": text})).await;
        admin.post("/admin/revoke", &json!({"access_token": text})).await.problem(404, "not_found");
        let body = json!({"refresh_token": text});
        app.node
            .send(app.node.post("/token/refresh").bearer_auth(MARK).json(&body))
            .await
            .problem(401, "invalid_refresh_token");
        let path = percent_encoded(&text);
        for path in [
            format!("/{path}"),
            format!("/sessions/{path}"),
            format!("/admin/users/{path}"),
            format!("/errors/{path}"),
            format!("/auth/check?{path}={path}"),
        ] {
            ada.delete(&path).await;
            ada.get(&path).await;
        }
    }
    for header in [
        "User-Agent",
        "Referer",
        "X-Request-Id",
        "X-Forwarded-For",
        "Idempotency-Key",
        "X-Refresh-Token",
        "Authorization",
        "Traceparent",
        "Cookie",
    ] {
        let request = app.node.post("/token/refresh").header(header, format!("{MARK}\" \t, level=ERROR"));
        app.node.send(request).await;
    }
    app.node
        .send(app.node.request("FORGED-BY-A-STRANGER", "/login"))
        .await
        .problem(405, "method_not_allowed");
    // A reason is told to administrators; a session does end by this.
    admin.post("/admin/revoke", &json!({"username": "ada", "reason": format!("x\r\n{{{MARK}")})).await.ok();
    vec![ada.pair.access, ada.pair.refresh, PASSWORD.to_owned()]
}

/// What is not even a request.
async fn attack_below_http(app: &TestApp) {
    let heads = [
        format!("GET /{MARK}\n{{\"event\":\"{MARK}\"}} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {MARK}\r\nHost: y\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {MARK} \u{e9}\r\nConnection: close\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: {MARK}\u{1b}[31m\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: {MARK}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {MARK}\r\n\r\n"),
        format!("POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{MARK}\r\n"),
        format!("GET / {MARK}/1.1\r\nHost: x\r\n\r\n"),
    ];
    for head in heads {
        assert_eq!(exchange(app, head.as_bytes()).await[0].status, 400, "{head:?}");
    }
}

/// The lines that were written since the log was `before` bytes long, without anything that must not be in there.
#[track_caller]
fn lines_since(app: &TestApp, before: usize, secrets: &[String]) -> Vec<String> {
    let log = app.log().split_off(before);
    let lower = log.to_lowercase();
    assert!(!lower.contains(MARK), "{}", lower.lines().find(|line| line.contains(MARK)).unwrap_or_default());
    assert!(!log.contains('\u{1b}'), "an escape sequence");
    for secret in secrets {
        assert!(!log.contains(secret.as_str()), "{secret:?} stands in the log");
    }
    log.lines().map(str::to_owned).collect()
}

on_both_stores! {
    async fn each_line_is_one_event_in_json(on: On) {
        let app = on.in_own_process().set("log.format", "json").set("log.level", "trace").start().await;
        let before = app.log().len();
        let secrets = attack(&app).await;
        attack_below_http(&app).await;
        let lines = lines_since(&app, before, &secrets);
        let mut events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"))).collect();
        // Of the tests' Redis, which writes nothing to disk, its operator is warned.
        events.retain(|event| event["finding"] != "no_append_only_file");
        // And once of what looks like a proxy on the same machine; from elsewhere nobody can look so.
        events.retain(|event| event["event"] != "proxy_not_named");
        for event in &events {
            assert!(event["timestamp"].is_string() && event["message"].is_string() && event["event"].is_string(), "{event}");
            // Nothing that strangers do is an error of the server, or a warning to its operator.
            assert!(["INFO", "DEBUG", "TRACE"].contains(&event["level"].as_str().unwrap()), "{event}");
        }
        let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
        assert_eq!(count("sign_in_failed"), 2 * ENDS.len(), "as many as there were, none made up");
        assert!(count("request") > 100 && count("session_ended") > 0);
    }

    async fn each_line_of_text_begins_with_its_time(on: On) {
        let app = on.in_own_process().set("log.format", "text").set("log.level", "trace").start().await;
        let before = app.log().len();
        let secrets = attack(&app).await;
        attack_below_http(&app).await;
        let lines = lines_since(&app, before, &secrets);
        assert!(lines.len() > 100);
        for line in lines {
            let begins = line.split_once("Z ").map(|(time, _)| time.len());
            assert_eq!(begins, Some("2026-01-01T00:00:00.000000".len()), "{line:?}");
        }
    }
}

on_both_stores! {
    /// Ordinary refreshes are most of what there is; whatever else came of one has a line of its own.
    async fn an_ordinary_refresh_is_told_by_its_requests_line(on: On) {
        let app = on.in_own_process().start().await;
        app.user("ada").await;
        let mut ada = app.sign_in("ada").await;
        let before = app.log().len();
        let stolen = ada.clone();
        ada.refresh_as(Some(KEY)).await.ok();
        let old = ada.clone();
        ada.refresh_as(Some(OTHER_KEY)).await.ok();
        old.send_refresh(Some(OTHER_KEY)).await.ok();
        stolen.send_refresh(None).await.problem(401, "refresh_token_reused");
        let log = app.log().split_off(before);
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told = |event: &str| -> Vec<_> {
            let lines = lines.iter().filter(|line| line["event"] == event && line["session"] == ada.session_id);
            lines.map(|line| (line["verdict"].as_str().unwrap_or("-"), line["generation"].as_u64())).collect()
        };
        assert_eq!(told("request"), [("rotate", Some(0)), ("rotate", Some(1))]);
        assert_eq!(told("refresh"), [("retry", Some(1)), ("reuse", Some(0))]);
        let first = lines.iter().find(|line| line["verdict"] == "rotate").unwrap();
        assert_eq!((&first["address"], &first["status"]), (&json!("127.0.0.1"), &json!(200)));
        // Lines are written by a thread of their own: that of the sign-in may come late.
        let refreshes = lines.iter().filter(|line| line["event"] == "request" && line["route"] == "/token/refresh");
        assert_eq!(refreshes.count(), 4);
    }

    async fn every_line_about_a_request_carries_its_id(on: On) {
        let app = on.in_own_process().start().await;
        app.user("ada").await;
        let answer = app.login("ada", PASSWORD).await.expect(200);
        let lines = app.log_about(answer.header("x-request-id").unwrap()).await;
        let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(events, ["signed_in", "request"]);
    }

    async fn what_administrators_do_to_users_is_told_without_what_is_kept_with_them(on: On) {
        let app = on.in_own_process().start().await;
        let admin = app.admin().await;
        let id = app.user("ada").await;
        let session = app.sign_in("ada").await.session_id;
        let path = format!("/admin/users/{id}");
        let changes = json!({"roles": ["b", "a"], "disabled": true, "password": MARK, "attributes": {"tenant": MARK}});
        let mut told = Vec::new();
        for answer in [admin.patch(&path, &changes).await.expect(200), admin.delete(&path).await.expect(204)] {
            told.push(app.log_about(answer.header("x-request-id").unwrap()).await);
        }
        let names = |lines: &[Value]| lines.iter().map(|line| line["event"].clone()).collect::<Vec<_>>();
        assert_eq!(names(&told[0]), ["password_changed", "user_changed", "session_ended", "request"]);
        assert_eq!(names(&told[1]), ["user_deleted", "request"]);
        let edited = &told[0][1];
        assert_eq!((&edited["user"], &edited["roles"]), (&json!(id), &json!("a,b")));
        for field in ["disabled", "password", "attributes"] {
            assert_eq!(edited[field], true, "{field}");
        }
        assert_eq!((&told[0][2]["session"], &told[0][2]["reason"]), (&json!(session), &json!("user_disabled")));
        assert_eq!(told[1][0]["user"], json!(id));
        assert!(!app.log().contains(MARK));
    }
}

on_both_stores! {
    async fn what_cannot_be_read_as_a_request_has_one_line_too(on: On) {
        let app = on.in_own_process().set("log.format", "json").start().await;
        let long = "a".repeat(200 * 1024);
        let heads = [
            ("GET / HTTP/1.1\r\nHost : x\r\n\r\n".to_owned(), 400),
            (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(65_535)), 400),
            (format!("GET / HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"), 431),
            (format!("GET / HTTP/1.1\r\nHost: x\r\n{long}: x\r\n\r\n"), 431),
        ];
        for (head, status) in heads {
            let reply = exchange(&app, head.as_bytes()).await.remove(0);
            assert_eq!(reply.status, status);
            let about = app.log_about(reply.header("x-request-id").unwrap()).await;
            assert_eq!(about.len(), 1, "{about:?}");
            assert_eq!((&about[0]["event"], &about[0]["status"]), (&json!("request"), &json!(status)));
        }
        // Behind a good request, whose answer may leave together with it.
        let before = app.log().len();
        let replies = exchange(&app, format!("{LIVE}GET / HTTP/1.1\r\nHost : x\r\n\r\n").as_bytes()).await;
        assert_eq!(statuses(&replies), [200, 400]);
        app.log_about(replies[1].header("x-request-id").unwrap()).await;
        let lines = lines_since(&app, before, &[]);
        assert_eq!(lines.iter().filter(|line| line.contains("\"status\":400")).count(), 1, "{lines:?}");
    }

    async fn the_line_of_a_request_names_who_has_shown_who_they_are(on: On) {
        let app = on.in_own_process().set("log.format", "json").set("log.linger", "0s").start().await;
        app.user("ada").await;
        let ada = app.sign_in("ada").await;
        ada.get("/sessions").await.ok();
        ada.check().await.ok();
        app.node.send(app.node.get("/health/live")).await.expect(200);
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        let actor_of = |route: &str| {
            let log = app.log();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let mut of_it = lines.filter(|line| line["event"] == "request" && line["route"] == route);
            of_it.next().map(|line| line["actor"].clone())
        };
        for (route, actor) in
            [("/sessions", json!(ada.user_id)), ("/auth/check", json!(ada.user_id)), ("/health/live", Value::Null)]
        {
            let seen = loop {
                if let Some(seen) = actor_of(route) {
                    break seen;
                }
                assert!(std::time::Instant::now() < deadline, "no line of {route}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            };
            assert_eq!(seen, actor, "{route}");
        }
    }
}
