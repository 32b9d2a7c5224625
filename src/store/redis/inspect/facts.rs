//! What was found at the processes behind a store: plain data, judged elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

/// Fields of an answer, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(pub BTreeMap<String, String>);

impl Fields {
    /// The text of a field.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The number of a field.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// Whether a field has this text.
    pub fn is(&self, name: &str, text: &str) -> bool {
        self.text(name) == Some(text)
    }
}

/// How the processes belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One server, perhaps with replicas that nobody watches.
    Single,
    /// A primary and replicas behind Sentinels.
    Sentinel,
    /// A Cluster.
    Cluster,
}

/// All that was found.
#[derive(Debug, Clone)]
pub struct Facts {
    /// How the processes belong together.
    pub layout: Layout,
    /// Whether TLS is spoken.
    pub is_tls: bool,
    /// Whether a password is given.
    pub has_password: bool,
    /// The Redis processes that answered.
    pub processes: Vec<ProcessFacts>,
    /// The Sentinels that answered.
    pub sentinels: Vec<SentinelFacts>,
    /// Whoever did not answer, and what came instead.
    pub silent: Vec<(String, String)>,
    /// The primaries of a Cluster: the address of each, and how many of its replicas are not failing.
    pub shards: Vec<(String, usize)>,
}

/// One Redis process.
#[derive(Debug, Clone, Default)]
pub struct ProcessFacts {
    /// Where it is.
    pub at: String,
    /// Whether that is this machine.
    pub is_local: bool,
    /// What `INFO` says.
    pub info: Fields,
    /// What `CONFIG GET` says, if that is allowed.
    pub config: Option<Fields>,
    /// What `CLUSTER INFO` says, of a Cluster.
    pub cluster: Fields,
    /// What the server needs and its user may not do.
    pub refused: Vec<String>,
    /// How far its clock is ahead of this machine's, in milliseconds.
    pub clock_ahead: i64,
    /// The median time of a round trip.
    pub round_trip: Duration,
}

impl ProcessFacts {
    /// Whether it takes writes.
    pub fn is_primary(&self) -> bool {
        self.info.is("role", "master")
    }
}

/// One Sentinel.
#[derive(Debug, Clone, Default)]
pub struct SentinelFacts {
    /// Where it is.
    pub at: String,
    /// What it says of the primary.
    pub primary: Fields,
    /// What it says of each replica.
    pub replicas: Vec<Fields>,
}
