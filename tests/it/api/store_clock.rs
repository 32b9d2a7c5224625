//! A server whose clock is not in step with its store's: access tokens carry the store's time and are checked by the server's.

use std::time::{Duration, Instant};

use relatch_testkit::clock::SkewedClock;
use relatch_testkit::redis_server::RedisServer;
use relatch_testkit::{Node, On, TestApp};
use serde_json::Value;

/// The offset that the metrics show, in seconds.
async fn offset(app: &TestApp) -> f64 {
    let node = Node::at(app.ops_base());
    let text = node.send(node.get("/metrics")).await.expect(200).text;
    let value = text.lines().find_map(|line| line.strip_prefix("relatch_store_clock_offset_seconds "));
    value.expect("there is such a metric").parse().unwrap()
}

/// What operators are told of clocks.
async fn findings(app: &TestApp) -> Vec<Value> {
    let node = Node::at(app.ops_base());
    let ready = node.send(node.get("/health/ready")).await.ok();
    let all = ready["findings"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|finding| finding["finding"] == "clock").collect()
}

/// Waits until what is found of clocks is as severe as this, or nothing. Gives what it is.
async fn found(app: &TestApp, severity: Option<&str>) -> Option<Value> {
    let begun = Instant::now();
    loop {
        let mut findings = findings(app).await;
        assert!(findings.len() <= 1, "{findings:?}");
        let finding = findings.pop();
        if finding.as_ref().map(|finding| finding["severity"].as_str().unwrap()) == severity {
            return finding;
        }
        // Looked at three times a second.
        assert!(begun.elapsed() < Duration::from_secs(5), "{finding:?} is not {severity:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_first_look(app: &TestApp) {
    let node = Node::at(app.ops_base());
    let begun = Instant::now();
    while node.send(node.get("/health/ready")).await.ok()["findings"].is_null() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not look");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn operators_are_told_of_a_server_whose_clock_lags_or_leads() {
    let redis = RedisServer::start().await;
    let clock = SkewedClock::default();
    let app = On::store_at(redis.url()).with_own_clock(&clock).start().await;
    until_first_look(&app).await;
    assert_eq!(found(&app, None).await, None);
    assert!(offset(&app).await.abs() < 0.5);

    clock.set_ahead(-3000);
    let lags = found(&app, Some("warning")).await.unwrap();
    assert_eq!(lags["at"], redis.address().to_string());
    assert!(lags["what"].as_str().unwrap().contains("ahead of this server's"), "{lags}");
    assert!((offset(&app).await - 3.0).abs() < 0.5, "{}", offset(&app).await);

    clock.set_ahead(15_000);
    let leads = found(&app, Some("error")).await.unwrap();
    assert!(leads["what"].as_str().unwrap().contains("behind this server's"), "{leads}");
    assert!((offset(&app).await + 15.0).abs() < 0.5, "{}", offset(&app).await);

    clock.set_ahead(0);
    found(&app, None).await;
    assert!(offset(&app).await.abs() < 0.5);
}

/// What it is told for: by the clocks alone a token is good too long, or too short.
#[tokio::test]
async fn a_server_that_lags_takes_tokens_that_have_expired_and_one_that_leads_refuses_good_ones() {
    let clock = SkewedClock::default();
    let app = On::redis().with_own_clock(&clock).set("access_token.ttl", "1m").start().await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    clock.set_ahead(61_000);
    device.check().await.problem(401, "token_expired");
    device.refresh().await.ok();
    device.check().await.problem(401, "token_expired");
    clock.set_ahead(-61_000);
    device.check().await.ok();
}

/// The embedded store goes by the server's own clock.
#[tokio::test]
async fn a_store_of_the_server_s_own_has_its_clock() {
    let app = On::embedded().start().await;
    assert!(offset(&app).await.abs() < f64::EPSILON);
    assert_eq!(findings(&app).await, Vec::<Value>::new());
}
