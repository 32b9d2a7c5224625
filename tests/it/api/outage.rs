//! Redis goes away: an outage must not look like a verdict.

use relatch_testkit::app::another_master_key;
use relatch_testkit::{Answer, KEY, On, PASSWORD};
use serde_json::json;

/// 503 with `Retry-After`, which `Answer::problem` checks.
fn away(answer: Answer) {
    answer.problem(503, "temporarily_unavailable");
}

#[tokio::test]
async fn without_redis_nothing_is_decided_and_everything_comes_back() {
    let mut app = On::redis_with_a_memory().start().await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    let admin = app.admin().await;
    app.redis().kill();

    away(device.send_refresh(Some(KEY)).await);
    away(app.login("ada", PASSWORD).await);
    away(device.sign_out().await);
    away(device.get("/sessions").await);
    away(device.get("/auth/check?live=true").await);
    away(admin.post("/admin/revoke", &json!({"username": "ada"})).await);
    away(app.node.send(app.node.get("/health/ready")).await);
    // What needs no store goes on.
    device.check().await.ok();
    app.node.send(app.node.get("/health/live")).await.ok();
    app.node.send(app.node.get("/.well-known/jwks.json")).await.ok();

    app.redis().restart().await;
    app.until_ready().await;
    device.refresh_as(Some(KEY)).await.ok();
    device.refresh().await.ok();
}

#[tokio::test]
async fn a_stalled_redis_is_an_outage_and_a_retry_gets_the_same_successor() {
    let mut app = On::redis_with_a_memory().start().await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    app.redis().pause();
    away(device.send_refresh(Some(KEY)).await);
    app.redis().resume();
    app.until_ready().await;
    // The stalled script may have run when Redis woke up: the attempt key makes both cases one.
    device.refresh_as(Some(KEY)).await.ok();
    device.refresh().await.ok();
}

#[tokio::test]
async fn a_server_that_starts_before_redis_waits_for_it() {
    let mut app = On::redis_with_a_memory().start().await;
    app.user("ada").await;
    app.redis().kill();
    let node = app.second_node().await;
    away(node.send(node.get("/health/ready")).await);
    away(node.send(node.post("/login").json(&json!({"username": "ada", "password": PASSWORD}))).await);
    node.send(node.get("/health/live")).await.ok();

    app.redis().restart().await;
    node.until_ready().await;
    node.send(node.post("/login").json(&json!({"username": "ada", "password": PASSWORD}))).await.ok();
}

#[tokio::test]
async fn nobody_registers_with_a_server_that_has_not_joined_its_store() {
    let mut app = On::redis_with_a_memory().start().await;
    app.redis().kill();
    let other = [("master_key", &*another_master_key()), ("registration.enabled", "true")];
    let node = app.second_node_with(&other).await;
    let register =
        || node.send(node.post("/register").json(&json!({"username": "eve", "password": PASSWORD})));
    away(register().await);
    app.redis().restart().await;
    app.until_ready().await;
    // The store is there, and turns out to be another server's.
    for _ in 0..5 {
        away(register().await);
        away(node.send(node.get("/health/ready")).await);
    }
    assert_eq!(app.admin().await.get("/admin/users?query=eve").await.ok()["items"], json!([]));
}
