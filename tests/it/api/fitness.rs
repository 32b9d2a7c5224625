//! What is wrong with a store that still answers: for operators, not for strangers.

use std::time::{Duration, Instant};

use relatch_testkit::redis_server::{RedisServer, free_port};
use relatch_testkit::{Node, On, TestApp};
use serde_json::{Value, json};

/// A server, and what its operators' listener says once it has looked at its store.
async fn looked(on: On) -> (TestApp, Value) {
    let ops = format!("127.0.0.1:{}", free_port());
    let app = on.set("ops.listen", &ops).in_own_process().start().await;
    let node = Node::at(format!("http://{ops}"));
    let begun = Instant::now();
    loop {
        let ready = node.send(node.get("/health/ready")).await.ok();
        if !ready["findings"].is_null() {
            return (app, ready);
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not look");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn operators_are_told_what_will_break_a_promise() {
    let redis = RedisServer::builder().args(["--maxmemory-policy", "allkeys-lru"]).start().await;
    let (app, ready) = looked(On::store_at(redis.url())).await;
    assert_eq!(ready["status"], "ready");
    let findings = ready["findings"].as_array().unwrap();
    let eviction = findings.iter().find(|finding| finding["finding"] == "eviction").expect("it is found");
    assert_eq!(eviction["severity"], "error");
    assert_eq!(eviction["at"], redis.address().to_string());
    assert_eq!(eviction["change"], "maxmemory-policy noeviction");
    let logged: Vec<_> =
        app.log().lines().filter(|line| line.contains("\"eviction\"")).map(str::to_owned).collect();
    assert_eq!(logged.len(), 1, "{}", app.log());
    assert!(logged[0].contains("not fit"), "{logged:?}");
    // Whoever is no operator is not told.
    assert_eq!(app.node.send(app.node.get("/health/ready")).await.ok(), json!({"status": "ready"}));
}

#[tokio::test]
async fn of_a_good_store_there_is_nothing_to_tell() {
    let (_app, ready) = looked(On::embedded()).await;
    assert_eq!(ready, json!({"status": "ready", "findings": []}));
    let redis = RedisServer::builder().append_only().args(["--maxmemory", "1gb"]).start().await;
    let (app, ready) = looked(On::store_at(redis.url())).await;
    assert_eq!(ready, json!({"status": "ready", "findings": []}));
    assert!(!app.log().contains("not fit"), "{}", app.log());
}
