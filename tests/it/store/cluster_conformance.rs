//! The store on a Cluster, held to the model: whatever step it is, nothing it needs is in another slot.

use std::sync::Arc;
use std::time::Duration;

use relatch::store::redis::{RedisBackend, RedisSettings, TimeSource};
use relatch_testkit::conformance::{examples, run_random, run_shared};
use relatch_testkit::redis_group::RedisCluster;

use super::conformance::{REACHED, REACHED_SHARED, assert_reached, clock};

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
    assert_reached(&run_random(open("random"), clock.clone(), 5_000).await.unwrap(), &REACHED);
    assert_reached(&run_shared(open("shared"), clock.clone(), 2_000).await.unwrap(), &REACHED_SHARED);
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
