//! The store on a Cluster, held to the model: whatever step it is, nothing it needs is in another slot.

use std::sync::Arc;
use std::time::Duration;

use relatch::store::redis::{RedisBackend, RedisSettings, TimeSource};
use relatch_testkit::conformance::{examples, run_random, run_shared};
use relatch_testkit::redis_group::RedisCluster;

use super::conformance::{REACHED, REACHED_SHARED, clock};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_answers_as_the_model_does_and_keeps_the_contract() {
    let (cluster, clock) = (RedisCluster::start().await, clock());
    let open = |prefix: &str| {
        let settings = RedisSettings {
            key_prefix: prefix.into(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(5),
            ..RedisSettings::at(cluster.url())
        };
        RedisBackend::open(&settings, TimeSource::Handed(Arc::new(clock.clone()))).unwrap().handle()
    };
    // How often each thing happens is for the longer runs on one Redis to show.
    let coverage = run_random(open("random"), clock.clone(), 4_000).await.unwrap();
    assert!(REACHED.iter().all(|what| coverage.0.contains_key(what)), "{coverage:?}");
    let coverage = run_shared(open("shared"), clock.clone(), 2_000).await.unwrap();
    assert!(REACHED_SHARED.iter().all(|what| coverage.0.contains_key(what)), "{coverage:?}");
    examples(open("examples"), clock.clone()).await;
    // All of them had a part in it, and none was asked for what is not its own.
    for node in cluster.primaries() {
        let errors = cluster.nodes()[node].told("INFO errorstats");
        for redirection in ["MOVED", "ASK", "CROSSSLOT", "TRYAGAIN"] {
            assert!(!errors.contains(redirection), "{errors}");
        }
        assert!(cluster.nodes()[node].told("INFO commandstats").contains("cmdstat_evalsha"));
    }
}
