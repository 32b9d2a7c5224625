//! Another Redis is made primary by an operator's order: what was acknowledged stays in force.

use std::time::{Duration, Instant};

use relatch_testkit::redis_group::SentinelSet;
use relatch_testkit::{Device, On, TestApp};

/// A node on the set, with a process of its own.
async fn node_on(set: &SentinelSet) -> TestApp {
    On::store_at(set.url()).set("issuer", "http://localhost:8080").in_own_process().start().await
}

/// Waits until the node serves from another primary.
async fn switched(app: &TestApp) {
    let begun = Instant::now();
    while !app.log().contains("the store is another process") {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", app.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// While Sentinels carry out such an order the primary of before goes on taking writes, which its other replica
/// acknowledges. A node that switches hears it out first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_primary_of_before_took_last_is_heard_of() {
    let mut set = SentinelSet::builder().with_doors().never_promoting(2).start().await;
    let (knows, switches) = (node_on(&set).await, node_on(&set).await);
    knows.user("ada").await;
    let device = knows.sign_in("ada").await;
    assert_eq!(set.primary(), 0);
    device.check().await.ok();
    // What is written from here on comes to the other replica only, and this one is promoted.
    set.delay(1, Duration::from_secs(30));
    switches.pause();
    device.sign_out().await.expect(204);
    knows.pause();
    // It stays what it is until it has been heard.
    assert_eq!(set.node(0).say("ACL SETUSER default -replicaof -slaveof"), "+OK");
    assert_eq!(set.fail_over().await, 1);
    switches.resume();
    let there = Device { node: switches.node.clone(), ..device };
    switched(&switches).await;
    there.send_refresh(None).await.problem(401, "session_revoked");
}

/// Whether another has been promoted is for most Sentinels to say. Refreshes and sign-ins do not wait for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_is_acknowledged_while_most_sentinels_are_there() {
    let set = SentinelSet::start().await;
    let app = On::store_at(set.url()).start().await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    for sentinel in [0, 1] {
        set.pause_sentinel(sentinel, true);
    }
    device.refresh().await.ok();
    app.sign_in("ada").await;
    let told = device.sign_out().await.problem(503, "temporarily_unavailable");
    assert!(told["detail"].as_str().unwrap().contains("Repeat it"), "{told}");
    // It is in force, as far as anybody knows.
    device.send_refresh(None).await.problem(401, "session_revoked");
    for sentinel in [0, 1] {
        set.pause_sentinel(sentinel, false);
    }
    device.sign_out().await.expect(204);
}
