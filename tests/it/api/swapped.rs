//! One address of a Redis, behind which primary and replica swap their roles while connections stay open.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use relatch_testkit::redis_group::PrimaryEndpoint;
use relatch_testkit::{Answer, Device, KEY, OTHER_KEY, On, PASSWORD, TestApp};

/// How soon after the swap the server serves again: a second or two, and as much again on a machine that runs other tests.
const SOON: Duration = Duration::from_secs(4);

/// Repeats a request until it is answered with `status`, soon after `begun`. Until then it is an outage and nothing else.
async fn soon(begun: Instant, status: u16, mut send: impl AsyncFnMut() -> Answer) -> Answer {
    loop {
        let answer = send().await;
        if answer.status == status {
            return answer;
        }
        let shown = format!("{} {}", answer.request, answer.text);
        answer.problem(503, "temporarily_unavailable");
        assert!(begun.elapsed() < SOON, "{:?} after the swap: {shown}", begun.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Devices that sign in at the same time, so that every pool has several connections.
async fn signed_in(app: &TestApp) -> Vec<Device> {
    join_all((0..8).map(|_| app.sign_in("ada"))).await
}

async fn survives_swaps(sync_replicas: &str) {
    let mut endpoint = PrimaryEndpoint::start().await;
    let on = On::store_at(endpoint.url()).set("sessions.max_per_user", "1000");
    let app = on.set("store.sync_replicas", sync_replicas).set("rate_limit.enabled", "false").start().await;
    app.user("ada").await;
    let mut devices = signed_in(&app).await;
    for key in [KEY, OTHER_KEY] {
        let begun = endpoint.swap().await;
        for device in &mut devices {
            soon(begun, 200, async || device.refresh_as(Some(key)).await).await;
        }
        soon(begun, 200, async || app.login("ada", PASSWORD).await).await;
        for device in devices.split_off(6) {
            soon(begun, 204, async || device.sign_out().await).await;
            device.send_refresh(None).await.problem(401, "session_revoked");
        }
        // By all connections.
        for device in signed_in(&app).await {
            device.check().await.ok();
            device.get("/auth/check?live=true").await.ok();
        }
        devices.extend(signed_in(&app).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_follows_its_store_s_address_to_the_new_primary() {
    survives_swaps("0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_replicas_acknowledge_follows_as_well() {
    survives_swaps("1").await;
}

/// Nothing is promoted, or the address is wrong: the operator is told, by the server and by the doctor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_leads_to_a_replica_is_said_to() {
    let endpoint = PrimaryEndpoint::start().await;
    let on = On::store_at(endpoint.url()).set("issuer", "http://localhost:8080");
    let app = on.in_own_process().start().await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    endpoint.point_at_the_replica();
    // A connection that is open stays with the primary until it breaks.
    device.refresh().await.ok();
    assert_eq!(endpoint.primary().say("CLIENT KILL TYPE normal SKIPME yes").chars().next(), Some(':'));
    let begun = Instant::now();
    let mut told = String::new();
    while !(told.contains("leads to a replica") && app.log().contains("goes on leading to a replica")) {
        device.send_refresh(Some(KEY)).await.problem(503, "temporarily_unavailable");
        let ready = app.node.send(app.node.get("/health/ready")).await;
        told = ready.problem(503, "temporarily_unavailable")["detail"].as_str().unwrap().to_owned();
        assert!(begun.elapsed() < Duration::from_secs(10), "{told} {}", app.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(app.log().matches("is a replica, which takes no writes").count(), 1, "{}", app.log());
    endpoint.point_at_the_primary();
    soon(Instant::now(), 200, async || device.refresh_as(Some(KEY)).await).await;
}
