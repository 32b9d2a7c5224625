//! One shard of a Cluster is not served from, and nothing passes to it by connections that were opened before.

use relatch_testkit::redis_group::RedisCluster;
use relatch_testkit::{Device, On, TestApp};
use serde_json::json;

/// Devices of users whose sessions are on this process, and on another, each signed in on several connections.
async fn here_and_elsewhere(app: &TestApp, cluster: &RedisCluster, here: usize) -> (Device, Device) {
    let (mut on_it, mut elsewhere) = (None, None);
    for number in 0.. {
        if on_it.is_some() && elsewhere.is_some() {
            break;
        }
        let name = format!("ada-{number}");
        let id = app.user(&name).await;
        let is_here = cluster.primary_of(RedisCluster::slot_of(&format!("{{{id}}}"))) == here;
        let place = if is_here { &mut on_it } else { &mut elsewhere };
        *place = Some(app.sign_in(&name).await);
    }
    (on_it.unwrap(), elsewhere.unwrap())
}

/// A process that holds neither the feed nor the marker.
fn ordinary(cluster: &RedisCluster) -> usize {
    let special =
        ["relatch:revocations", "relatch:marker"].map(|key| cluster.primary_of(RedisCluster::slot_of(key)));
    cluster.primaries().into_iter().find(|process| !special.contains(process)).unwrap()
}

async fn cluster() -> (RedisCluster, TestApp) {
    let cluster = RedisCluster::builder().args(["--cluster-require-full-coverage", "no"]).start().await;
    let app = On::store_at(cluster.url()).set("store.sync_replicas", "1").start().await;
    (cluster, app)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_on_a_shard_that_is_shut_is_not_acknowledged() {
    let (mut cluster, app) = cluster().await;
    let lost = ordinary(&cluster);
    let (on_it, elsewhere) = here_and_elsewhere(&app, &cluster, lost).await;
    assert_eq!(cluster.node(lost).say("FLUSHALL"), "+OK");
    // Somebody finds the session missing, and from then on the shard is shut.
    on_it.get("/auth/check?live=true").await.problem(503, "temporarily_unavailable");
    for _ in 0..3 {
        on_it.sign_out().await.problem(503, "temporarily_unavailable");
    }
    elsewhere.sign_out().await.expect(204);
    elsewhere.send_refresh(None).await.problem(401, "session_revoked");
}

/// Of what is missing in an emptied shard nobody is told that it has ended, also before the shard is shut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_signs_out_on_an_emptied_shard_finds_out() {
    let (mut cluster, app) = cluster().await;
    let lost = ordinary(&cluster);
    let (on_it, _) = here_and_elsewhere(&app, &cluster, lost).await;
    let id = on_it.get("/me").await.ok()["id"].as_str().unwrap().to_owned();
    let admin = app.admin().await;
    assert_eq!(cluster.node(lost).say("FLUSHALL"), "+OK");
    on_it.sign_out().await.problem(503, "temporarily_unavailable");
    let everything = json!({ "user_id": id });
    admin.post("/admin/revoke", &everything).await.problem(503, "temporarily_unavailable");
    admin.delete(&format!("/admin/users/{id}")).await.problem(503, "temporarily_unavailable");
}

/// The connections of before lead to a process that was demoted and is primary again: it may lack what it had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_by_connections_of_before_a_failover_is_carried_out_on_the_new_primary() {
    let (cluster, app) = cluster().await;
    let moved = ordinary(&cluster);
    let (on_it, _) = here_and_elsewhere(&app, &cluster, moved).await;
    let to = cluster.fail_over(moved).await;
    cluster.until_ok().await;
    cluster.fail_over(to).await;
    cluster.until_ok().await;
    let begun = std::time::Instant::now();
    while on_it.sign_out().await.status != 204 {
        assert!(begun.elapsed().as_secs() < 10, "it is never acknowledged");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    on_it.send_refresh(None).await.problem(401, "session_revoked");
}
