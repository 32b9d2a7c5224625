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
async fn a_proxy_that_nobody_has_named_has_a_budget_for_many_and_is_told_of_once() {
    let on = three_and_then_one_a_minute().set("http.trusted_proxies", "");
    let on = on.set("rate_limit.address_request_interval", "1h").in_own_process();
    let app = on.start().await;
    let mut answers = Vec::new();
    for _ in 0..=3 * 32 {
        answers.push(from(&app, "2001:db8::1", "/openapi.json").await.status);
    }
    assert_eq!(answers, [vec![200; 3 * 32], vec![429]].concat());
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

#[tokio::test]
async fn a_head_that_is_not_the_first_of_its_connection_must_come_in_time_as_well() {
    let app = On::embedded().start().await;
    let mut stream = connect(&app).await;
    asked(&mut stream).await;
    let (mut reading, mut writing) = stream.into_split();
    // A byte now and then is no head.
    let trickling = tokio::spawn(async move {
        for byte in b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-A: ".iter().chain(std::iter::repeat(&b'a')) {
            if writing.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), reading.read_to_end(&mut answer)).await;
    trickling.abort();
    // What has not been read when the connection ends resets it.
    assert!(ended.is_ok() && answer.is_empty(), "{ended:?} {:?}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn the_name_of_a_header_field_may_not_be_as_long_as_a_head() {
    let app = On::embedded().start().await;
    for base in [app.node.base().to_owned(), app.ops_base()] {
        for (length, earlier) in [(40_000, false), (65_536, false), (65_536, true), (100_000, false)] {
            let mut stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).await.unwrap();
            if earlier {
                asked(&mut stream).await;
            }
            let head = format!("GET /health/live HTTP/1.1\r\nHost: x\r\n{}: b\r\n\r\n", "a".repeat(length));
            // It may be refused before it has arrived.
            let _ = stream.write_all(head.as_bytes()).await;
            let mut answer = [0; 13];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(
                &answer,
                b"HTTP/1.1 431 ",
                "{length} {earlier}: {:?}",
                String::from_utf8_lossy(&answer)
            );
        }
    }
    app.node.send(app.node.get("/health/live")).await.expect(200);
}
