//! Metrics of a node, by the naming conventions of Prometheus, as text (`OpenMetrics` 1.0).
//!
//! What happens often is counted where it happens; what can be read at any moment is read when somebody asks
//! ([`collected`]). Labels have few values: never a user, a session, an address or anything that a client wrote.

mod answers;
mod collected;
mod process;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::app::App;
use crate::keys::password::PasswordHasher;
use crate::store::StoreMetrics;
use answers::Answers;
use collected::Collected;

/// What every name begins with, but for those of the process, which have names of their own everywhere.
const PREFIX: &str = "relatch";
/// Upper bounds of the buckets of revocations, in seconds.
const REVOCATION_BUCKETS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5];

/// What the text is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a node counts where it happens.
pub struct Metrics {
    registry: Registry,
    answers: Answers,
    revocations: Histogram,
    revocations_in_doubt: Counter,
    /// The steps of the store.
    pub store: Arc<StoreMetrics>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(…)")
    }
}

impl Metrics {
    /// Those of a node with this hasher.
    pub fn of(hasher: &PasswordHasher) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let answers = Answers::registered(&mut registry);
        let revocations = Histogram::new(REVOCATION_BUCKETS);
        registry.register_with_unit(
            "revocation_duration",
            "How long revocations took until they were announced and on as many replicas as are asked for",
            Unit::Seconds,
            revocations.clone(),
        );
        let revocations_in_doubt = Counter::default();
        registry.register(
            "revocations_in_doubt",
            "Revocations that a failover may lose: their callers were told to repeat them",
            revocations_in_doubt.clone(),
        );
        registry.register_with_unit(
            "password_hash_duration",
            "How long a password took to be hashed or checked, without the wait for it",
            Unit::Seconds,
            hasher.durations(),
        );
        let store = Arc::new(StoreMetrics::registered(&mut registry));
        Self { registry, answers, revocations, revocations_in_doubt, store }
    }

    /// A request was answered. `route` is a pattern, and the method one of those that clients have reason to send.
    pub fn answered(&self, method: &'static str, route: &'static str, status: u16, took: Duration) {
        self.answers.note(method, route, status, took);
    }

    /// A revocation was made that somebody relies on, and is in force for good or not known to be.
    pub fn revoked(&self, took: Duration, in_force: bool) {
        if in_force {
            self.revocations.observe(took.as_secs_f64());
        } else {
            self.revocations_in_doubt.inc();
        }
    }
}

/// All metrics of a node.
///
/// # Errors
/// None that is known: writing to a text does not fail.
pub fn render(app: &App) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(16 * 1024);
    encode_registry(&mut text, &app.node.metrics.registry)?;
    let mut now = Registry::default();
    now.register_collector(Box::new(Collected::now(app)));
    encode_registry(&mut text, &now)?;
    encode_eof(&mut text)?;
    Ok(text)
}
