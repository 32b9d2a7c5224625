//! Redis processes that belong together: a primary with replicas and Sentinels, a Cluster of six, and two behind one address;
//! if asked for, with doors between them, by which the network can be played with.

mod cluster;
mod door;
mod endpoint;
mod sentinels;

use std::time::{Duration, Instant};

pub use cluster::{ClusterBuilder, RedisCluster};
pub use endpoint::PrimaryEndpoint;
pub use sentinels::{SentinelSet, SentinelSetBuilder};

/// How long a group may take for what it must come to.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Certificates for all processes of a group, by one authority.
fn certificates() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    crate::redis_server::write_certificates(directory.path());
    directory
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    // Asking a process takes its time, which must not be that of everything else.
    while !tokio::task::block_in_place(&mut is_so) {
        assert!(begun.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The value of a field in a RESP2 answer of fields and values in turn.
fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = answer.lines().filter(|line| !line.starts_with('$') && !line.starts_with('*'));
    lines.find(|line| *line == name)?;
    lines.next()
}

/// Whether a primary says that so many replicas are in step with it.
fn has_replicas(info: &str, count: usize) -> bool {
    info.lines().filter(|line| line.starts_with("slave") && line.contains("state=online")).count() >= count
}
