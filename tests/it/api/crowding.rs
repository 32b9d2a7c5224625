//! What one address may ask of a node.

use std::time::Duration;

use relatch_testkit::{Answer, On, TestApp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::raw_http::wire::connect;

async fn from(app: &TestApp, address: &str, path: &str) -> Answer {
    app.node.send(app.node.get(path).header("X-Forwarded-For", address)).await
}

fn three_and_then_one_a_minute() -> On {
    let on = On::embedded().set("http.trusted_proxies", "127.0.0.0/8");
    on.set("rate_limit.address_requests", "3").set("rate_limit.address_request_interval", "1m")
}

#[tokio::test]
async fn who_asks_for_too_much_waits_and_nobody_else_does() {
    let app = three_and_then_one_a_minute().start().await;
    for _ in 0..3 {
        from(&app, "2001:db8::1", "/openapi.json").await.ok();
    }
    let refused = from(&app, "2001:db8::2", "/openapi.json").await;
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((50..=60).contains(&wait), "{wait}");
    refused.problem(429, "too_many_requests");
    from(&app, "2001:db8:0:1::1", "/openapi.json").await.ok();
    // A gateway asks these for everybody.
    for path in ["/health/live", "/health/ready", "/.well-known/jwks.json"] {
        from(&app, "2001:db8::1", path).await.ok();
    }
    from(&app, "2001:db8::1", "/auth/check").await.problem(401, "authentication_required");
}

#[tokio::test]
async fn a_proxy_that_nobody_has_named_is_not_held_to_it_and_told_of_once() {
    let on = three_and_then_one_a_minute().set("http.trusted_proxies", "").in_own_process();
    let app = on.start().await;
    for _ in 0..9 {
        from(&app, "2001:db8::1", "/openapi.json").await.ok();
    }
    assert_eq!(app.log().matches("http.trusted_proxies does not name").count(), 1, "{}", app.log());
}

#[tokio::test]
async fn without_limits_there_are_none() {
    let app = three_and_then_one_a_minute().set("rate_limit.enabled", "false").start().await;
    for _ in 0..9 {
        from(&app, "2001:db8::1", "/openapi.json").await.ok();
    }
}

async fn asked(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    while !answer.contains('}') {
        let mut part = [0; 1024];
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&part[..read]).unwrap());
    }
    answer
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_one_more_is_closed_with_its_first_answer() {
    let app = On::embedded().set("http.max_connections_per_address", "8").start().await;
    let mut streams = Vec::new();
    // The test's own client keeps some open; how many is its own business.
    let refused = loop {
        let mut stream = connect(&app).await;
        let answer = asked(&mut stream).await;
        if !answer.starts_with("HTTP/1.1 200 ") {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            break answer;
        }
        streams.push(stream);
        assert!(streams.len() <= 8);
    };
    assert!(
        refused.starts_with("HTTP/1.1 429 ") && refused.contains("\"error\":\"too_many_requests\""),
        "{refused}"
    );
    let head = refused.to_ascii_lowercase();
    assert!(
        head.contains("\r\nconnection: close\r\n") && head.contains("\r\nretry-after: 1\r\n"),
        "{refused}"
    );
    for stream in &mut streams {
        assert!(asked(stream).await.starts_with("HTTP/1.1 200 "), "those who are there go on");
    }
    drop(streams);
    // As soon as the server has seen that they are gone.
    tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let mut stream = connect(&app).await;
            if asked(&mut stream).await.starts_with("HTTP/1.1 200 ") {
                break;
            }
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn who_says_nothing_or_never_ends_is_told_that_it_took_too_long() {
    let app = On::embedded().start().await;
    for said in ["", "GET /health/live HTTP/1.1\r\nHost: x\r\nX-A: "] {
        let mut stream = connect(&app).await;
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap().unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 408 "), "{:?}", String::from_utf8_lossy(&answer));
    }
}
