//! What no HTTP library would send: ambiguous framing, odd targets, heads without end. The server answers something
//! sane, closes where it cannot know where the next request begins, and goes on.

pub(super) mod wire;

use std::time::Duration;

use relatch_testkit::{On, PASSWORD, TestApp};
use serde_json::json;

use wire::{LAST, LIVE, Reply, exchange, exchange_in_pieces, statuses};

/// The head of a sign-in without what frames its body.
const LOGIN: &str = "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

async fn start() -> TestApp {
    On::embedded().start().await
}

/// One 400 and no answer to what follows, for each of these.
async fn refused(app: &TestApp, requests: &[String]) {
    for request in requests {
        let replies = exchange(app, format!("{request}{LAST}").as_bytes()).await;
        assert_eq!(statuses(&replies), [400], "{request:?}");
    }
    still_alive(app).await;
}

async fn still_alive(app: &TestApp) {
    app.node.send(app.node.get("/health/live")).await.ok();
}

#[tokio::test]
async fn ambiguous_lengths_are_refused_and_the_connection_closed() {
    let app = start().await;
    let framings = [
        "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "Content-Length: 2\r\nContent-Length: 57\r\n\r\n{}",
        "Content-Length: 2, 2\r\n\r\n{}",
        "Content-Length: +2\r\n\r\n{}",
        "Content-Length: -1\r\n\r\n{}",
        "Content-Length: 0x2\r\n\r\n{}",
        "Content-Length: 2 2\r\n\r\n{}",
        "Content-Length: \r\n\r\n{}",
        "Content-Length: 18446744073709551618\r\n\r\n{}",
        "Content-Length : 2\r\n\r\n{}",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ];
    refused(&app, &framings.map(|framing| format!("{LOGIN}{framing}"))).await;
    let codings = [
        "",
        "identity",
        "gzip, chunked",
        "chunked, chunked",
        "chunked, identity",
        "xchunked",
        "chunkedx",
        "\"chunked\"",
        "chunked;q=1",
        "\u{b}chunked",
        "chunked\0",
    ];
    refused(&app, &codings.map(|coding| format!("{LOGIN}Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n")))
        .await;
    let old = LOGIN.replace("HTTP/1.1", "HTTP/1.0");
    refused(&app, &[format!("{old}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n")]).await;
}

#[tokio::test]
async fn a_bad_chunk_is_refused_and_the_connection_closed() {
    let app = start().await;
    let chunks = [
        "zz\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "\r\n{}\r\n0\r\n\r\n",
        "2\n{}\n0\n\n",
        "2\r\n{}XX0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "2;a\n=b\r\n{}\r\n0\r\n\r\n",
        "10000000000000000\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\n\rX",
    ];
    refused(&app, &chunks.map(|chunks| format!("{LOGIN}Transfer-Encoding: chunked\r\n\r\n{chunks}"))).await;
}

#[tokio::test]
async fn a_body_that_looks_like_a_request_is_a_body() {
    let app = start().await;
    let length = LIVE.len();
    let chunked = format!("{length:x};name=value\r\n{LIVE}\r\n0\r\nTrailer: x\r\n\r\n");
    for (path, status) in [("/login", 415), ("/nowhere", 404), ("/auth/check", 405), ("/logout", 415)] {
        let counted =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{LIVE}{LAST}");
        assert_eq!(statuses(&exchange(&app, counted.as_bytes()).await), [status, 200], "{path}");
        let chunked =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}{LAST}");
        assert_eq!(statuses(&exchange(&app, chunked.as_bytes()).await), [status, 200], "{path}");
    }
    // What announces too much is not read: the connection ends instead, and with it what looks like requests.
    let announced = format!("{LOGIN}Content-Length: 100000\r\n\r\n{LIVE}{LIVE}{LAST}");
    let replies = exchange(&app, announced.as_bytes()).await;
    assert_eq!(statuses(&replies), [413]);
    assert_eq!(replies[0].header("connection"), Some("close"));
    // A GET has no use for a body, but it may have one.
    let body = format!("GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{LIVE}");
    assert_eq!(statuses(&exchange(&app, body.as_bytes()).await), [200]);
    still_alive(&app).await;
}

#[tokio::test]
async fn malformed_heads_are_refused() {
    let app = start().await;
    let fields = [
        "X: a\r\n folded",
        "X: a\r\n\tfolded",
        " X: first",
        "X: a\0b",
        "X\0: a",
        "X: a\rb",
        "X",
        ": a",
        "X y: a",
        "X : a",
        "X: \u{7f}",
        "User-Agent: \u{1b}[31mred",
        "Host: y",
    ];
    let with_field = |field: &str| format!("GET /health/live HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n");
    refused(&app, &fields.map(with_field)).await;
    let lines = [
        "GET /health/live HTTP/1.1\r\nX: no host",
        "GET /health/live HTTP/2.0\r\nHost: x",
        "GET /health/live HTTP/1.2\r\nHost: x",
        "GET /health/live HTTP/1.10\r\nHost: x",
        "GET /health/live http/1.1\r\nHost: x",
        "GET /health/live\r\nHost: x",
        "GET  /health/live HTTP/1.1\r\nHost: x",
        "GET\0 /health/live HTTP/1.1\r\nHost: x",
        "GET /health live HTTP/1.1\r\nHost: x",
        "GET health/live HTTP/1.1\r\nHost: x",
        "GET  HTTP/1.1\r\nHost: x",
        "GET /h\u{e4}alth HTTP/1.1\r\nHost: x",
        "GET /x\u{1b}[31m HTTP/1.1\r\nHost: x",
        "/health/live HTTP/1.1\r\nHost: x",
        "PRI * HTTP/2.0\r\n\r\nSM",
    ];
    refused(&app, &lines.map(|line| format!("{line}\r\n\r\n"))).await;
    // The beginning of TLS on a port that does not speak it.
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20);
    assert_eq!(statuses(&exchange(&app, &hello).await), [400]);
    still_alive(&app).await;
}

#[tokio::test]
async fn a_host_is_a_host() {
    let app = start().await;
    let status = async |host: &str| {
        let request = format!("GET /health/live HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        statuses(&exchange(&app, request.as_bytes()).await)
    };
    for host in ["", "x", "id.example:8443", "127.0.0.1:8080", "[::1]:8080", "my_service"] {
        assert_eq!(status(host).await, [200], "{host:?}");
    }
    for host in ["a b", "x/y", "ada@x", "x?y", "x#y", "http://x", "[::1", "x:y:z", "x\\y"] {
        assert_eq!(status(host).await, [400], "{host:?}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let app = start().await;
    let head = |fields: String| format!("GET /health/live HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    let long = head(format!("X: {}\r\n", "a".repeat(200 * 1024)));
    let many_long = head(format!("X: {}\r\n", "a".repeat(10 * 1024)).repeat(20));
    let many = head("X: y\r\n".repeat(500));
    let path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(200 * 1024));
    for request in [long, many_long, many, path] {
        assert_eq!(statuses(&exchange(&app, request.as_bytes()).await), [431]);
    }
    let path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n{LAST}", "a".repeat(60 * 1024));
    assert_eq!(statuses(&exchange(&app, path.as_bytes()).await), [414, 200]);
    let method = format!("{} /login HTTP/1.1\r\nHost: x\r\n\r\n{LAST}", "A".repeat(60 * 1024));
    assert_eq!(statuses(&exchange(&app, method.as_bytes()).await), [405, 200]);
    still_alive(&app).await;
}

#[tokio::test]
async fn a_path_has_one_spelling() {
    let app = start().await;
    let ask = async |target: &str| -> Reply {
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut replies = exchange(&app, request.as_bytes()).await;
        assert_eq!(replies.len(), 1, "{target}");
        replies.remove(0)
    };
    // The absolute form names a host, which we do not ask (RFC 9112, section 3.2.2); `%68` is an `h` (RFC 3986, section 2.3).
    for target in [
        "/health/live",
        "http://x/health/live",
        "HTTP://other.example/health/live",
        "/%68ealth/live",
        "/health/live?%00",
    ] {
        assert_eq!(ask(target).await.status, 200, "{target}");
    }
    let others = [
        "*",
        "x:443",
        "//health/live",
        "/./health/live",
        "/nowhere/../health/live",
        "/nowhere/%2e%2e/health/live",
        "/health//live",
        "/health/live/",
        "/health%2flive",
        "/health%2Flive",
        "/health%5clive",
        "/health/live%00",
        "/health/live%20",
        "/health/live;a=b",
        "/HEALTH/live",
        "/%",
        "/%zz",
        "/%ff%fe",
        "/x%0d%0aX:%20y",
        "/errors/%0a",
        "/errors/..%2fhealth%2flive",
    ];
    for target in others {
        let reply = ask(target).await;
        assert_eq!(reply.status, 404, "{target}");
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{target}");
        assert_eq!(reply.header("x"), None, "{target}");
    }
    for target in [
        "/admin%2fusers",
        "/admin//users",
        "/login/../admin/users",
        "/./admin/users",
        "/ADMIN/users",
        "/admin/users/",
    ] {
        assert_eq!(ask(target).await.status, 404, "{target}");
    }
    for target in ["/admin/users", "/%61dmin/users", "/admin/users/%2e%2e", "/admin/users/x%2fy"] {
        assert_eq!(ask(target).await.status, 401, "{target}");
    }
}

#[tokio::test]
async fn head_is_a_get_without_its_body_and_other_methods_change_nothing() {
    let app = start().await;
    for (path, status) in
        [("/health/live", 200), ("/", 200), ("/auth/check", 401), ("/nowhere", 404), ("/login", 405)]
    {
        let [head, get] = ["HEAD", "GET"]
            .map(|method| format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        let head = wire::exchange_for_head(&app, head.as_bytes()).await;
        let get = exchange(&app, get.as_bytes()).await.remove(0);
        assert_eq!((head.status, get.status), (status, status), "{path}");
        for name in ["content-type", "content-length", "cache-control", "www-authenticate", "allow"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
    }
    for method in ["OPTIONS", "TRACE", "get", "PROPFIND"] {
        let known = if method == "OPTIONS" { 204 } else { 405 };
        for (path, status) in [("/login", known), ("/health/live", known), ("/nowhere", 404), ("*", 404)] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\nX-Secret: echo\r\n\r\n{LAST}"
            );
            let replies = exchange(&app, request.as_bytes()).await;
            assert_eq!(statuses(&replies), [status, 200], "{method} {path}");
            assert_eq!(replies[0].header("allow").is_some(), status == known, "{method} {path}");
            assert!(!String::from_utf8_lossy(&replies[0].body).contains("echo"), "{method} {path}");
        }
    }
    let connect =
        exchange(&app, b"CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n").await;
    assert_eq!(statuses(&connect), [404]);
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order() {
    let app = start().await;
    let paths = ["/health/live", "/nowhere", "/auth/check", "/login"];
    let request = |path: &&str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let row = paths.iter().cycle().take(40).map(request).collect::<Vec<_>>().concat();
    let replies = exchange(&app, format!("{row}{LAST}").as_bytes()).await;
    let expected: Vec<_> = [200, 404, 401, 405].into_iter().cycle().take(40).chain([200]).collect();
    assert_eq!(statuses(&replies), expected);
    // HTTP/1.0 closes unless asked otherwise.
    let old = exchange(&app, b"GET /health/live HTTP/1.0\r\n\r\n").await;
    assert_eq!(statuses(&old), [200]);
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let app = start().await;
    let body = json!({"username": "admin", "password": PASSWORD}).to_string();
    let last = LOGIN.replace("Host: x", "Host: x\r\nConnection: close");
    let counted = format!("{last}Content-Length: {}\r\n\r\n{body}", body.len());
    let chunks = body.chars().map(|c| format!("1\r\n{c}\r\n")).collect::<Vec<_>>().concat();
    let chunked = format!("{last}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    for request in [counted, chunked] {
        let replies = exchange_in_pieces(&app, request.as_bytes(), 1).await;
        assert_eq!(statuses(&replies), [200]);
        let pair: serde_json::Value = serde_json::from_slice(&replies[0].body).unwrap();
        assert!(pair["refresh_token"].is_string(), "{pair}");
    }
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_is_told_to_go_on() {
    let app = start().await;
    let expecting = format!("{LOGIN}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{{}}{LAST}");
    assert_eq!(statuses(&exchange(&app, expecting.as_bytes()).await), [100, 400, 200]);
    // Anything else that is expected may be ignored (RFC 9110, section 10.1.1).
    let expecting = format!("{LOGIN}Expect: a-miracle\r\nContent-Length: 2\r\n\r\n{{}}{LAST}");
    assert_eq!(statuses(&exchange(&app, expecting.as_bytes()).await), [400, 200]);
    // Whoever goes away in the middle of a body is not signed in by the half of it.
    let half = format!("{LOGIN}Content-Length: 1000\r\n\r\n{{}}");
    let replies = wire::exchange_and_hang_up(&app, half.as_bytes()).await;
    assert_eq!(statuses(&replies), [400]);
    still_alive(&app).await;
}

#[tokio::test]
async fn an_upgrade_that_is_not_offered_upgrades_nothing() {
    let app = start().await;
    for protocol in ["websocket", "h2c", "TLS/1.0"] {
        let upgrade = format!(
            "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nSec-WebSocket-Key: AAAA\r\n\r\n{LAST}"
        );
        let replies = exchange(&app, upgrade.as_bytes()).await;
        assert_eq!(replies[0].status, 200, "{protocol}");
        assert!(
            replies.iter().all(|reply| reply.status == 200 && reply.header("upgrade").is_none()),
            "{protocol}"
        );
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let app = start().await;
    let counted = format!("{LOGIN}Content-Length: 100\r\n\r\n{{");
    let chunked = format!("{LOGIN}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n");
    // To the HTTP library everything that follows this is the body.
    let upgrade =
        format!("{LOGIN}Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{{}}");
    let requests = [counted, chunked.clone(), upgrade];
    let silent =
        futures_util::future::join_all(requests.iter().map(|request| exchange(&app, request.as_bytes())));
    let trickling =
        wire::exchange_and_go_on(&app, chunked.as_bytes(), b"1\r\n \r\n", Duration::from_millis(100));
    let (silent, trickling) = futures_util::future::join(silent, trickling).await;
    for replies in silent.into_iter().chain([trickling]) {
        assert_eq!(statuses(&replies), [408]);
        assert_eq!(replies[0].header("connection"), Some("close"));
        assert_eq!(replies[0].header("content-type"), Some("application/problem+json"));
    }
    still_alive(&app).await;
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_not_read_to_its_end() {
    let app = start().await;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
    for (path, status) in [("/login", 413), ("/nowhere", 404), ("/auth/check", 405), ("/admin/revoke", 401)] {
        let request = format!("{}Transfer-Encoding: chunked\r\n\r\n", LOGIN.replace("/login", path));
        let ended =
            wire::exchange_and_go_on(&app, request.as_bytes(), chunk.as_bytes(), Duration::ZERO).await;
        assert_eq!(statuses(&ended), [status], "{path}");
        assert_eq!(ended[0].header("connection"), Some("close"), "{path}");
    }
    let trickled = format!("{}Transfer-Encoding: chunked\r\n\r\n", LOGIN.replace("/login", "/nowhere"));
    let ended =
        wire::exchange_and_go_on(&app, trickled.as_bytes(), b"1\r\n \r\n", Duration::from_millis(50)).await;
    assert_eq!(statuses(&ended), [404]);
    still_alive(&app).await;
}
