//! What can be read at any moment, read when somebody asks for the metrics. Nothing here asks the store.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::process::{Usage, usage};
use crate::app::App;
use crate::app::membership::Standing;
use crate::keys::ring::KeyState;
use crate::telemetry::{log, panics};

/// Values of one label, each with its number.
type ByName<N> = Vec<(&'static str, N)>;

/// How things stand.
#[derive(Debug)]
pub(super) struct Collected {
    refreshes: ByName<u64>,
    sign_ins: ByName<u64>,
    sessions_ended: ByName<u64>,
    hashes_refused: u64,
    hashes_waiting: i64,
    keys: ByName<i64>,
    is_member: bool,
    store: &'static str,
    clock_offset: f64,
    started_at: f64,
    panics: u64,
    lines_dropped: u64,
    usage: Option<Usage>,
}

impl Collected {
    #[expect(clippy::cast_precision_loss, reason = "far fewer milliseconds than 2^52")]
    pub(super) fn now(app: &App) -> Self {
        let counters = &app.node.counters;
        let keys = app.keys.snapshot();
        let in_state = |state| {
            let count = keys.iter().flat_map(|ring| ring.keys()).filter(|key| key.state == state).count();
            i64::try_from(count).unwrap_or(i64::MAX)
        };
        let load = app.hasher.load();
        Self {
            refreshes: counters.refreshes().collect(),
            sign_ins: vec![("succeeded", counters.sign_ins()), ("refused", counters.refused_sign_ins())],
            sessions_ended: counters.sessions_ended().collect(),
            hashes_refused: load.refused,
            hashes_waiting: i64::try_from(load.waiting).unwrap_or(i64::MAX),
            keys: vec![
                ("next", in_state(KeyState::Next)),
                ("active", in_state(KeyState::Active)),
                ("retired", in_state(KeyState::Retired)),
                ("revoked", in_state(KeyState::Revoked)),
            ],
            is_member: app.node.membership.standing() == Standing::Member,
            store: app.node.store.name(),
            clock_offset: app.node.store_clock.worst() as f64 / 1000.0,
            started_at: app.node.started_at.0 as f64 / 1000.0,
            panics: panics::seen(),
            lines_dropped: log::dropped(),
            usage: usage(),
        }
    }
}

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut out = Out(encoder);
        out.counters("relatch_refreshes", "Refreshes, by verdict", "verdict", &self.refreshes)?;
        out.counters("relatch_sign_ins", "Sign-ins, by outcome", "outcome", &self.sign_ins)?;
        out.counters(
            "relatch_sessions_ended",
            "Sessions that this node has ended, by reason",
            "reason",
            &self.sessions_ended,
        )?;
        let refused = ConstCounter::new(self.hashes_refused);
        out.one("relatch_password_hashes_refused", "Passwords that would have waited too long", &refused)?;
        let waiting = ConstGauge::new(self.hashes_waiting);
        out.one("relatch_password_hashes_waiting", "Passwords that wait to be hashed or checked", &waiting)?;
        out.gauges("relatch_signing_keys", "Signing keys, by state", "state", &self.keys)?;
        let member = [(self.store, i64::from(self.is_member))];
        out.gauges(
            "relatch_store_joined",
            "1 if the node serves from its store, 0 if not",
            "store",
            &member,
        )?;
        let offset = ConstGauge::new(self.clock_offset);
        out.one(
            "relatch_store_clock_offset_seconds",
            "How far the store's clock is ahead of the node's, of several the one that is furthest off",
            &offset,
        )?;
        let panics = ConstCounter::new(self.panics);
        out.one("relatch_panics", "Tasks that have panicked", &panics)?;
        let dropped = ConstCounter::new(self.lines_dropped);
        out.one("relatch_log_lines_dropped", "Lines of the log that nobody read in time", &dropped)?;
        let build = [(env!("CARGO_PKG_VERSION"), 1)];
        out.gauges("relatch_build", "The version that runs; always 1", "version", &build)?;
        let started = ConstGauge::new(self.started_at);
        out.one(
            "process_start_time_seconds",
            "When the process started, seconds since the Unix epoch",
            &started,
        )?;
        let Some(usage) = self.usage else { return Ok(()) };
        let cpu = ConstCounter::new(usage.cpu_seconds);
        out.one("process_cpu_seconds", "Processor time of all threads", &cpu)?;
        let resident = ConstGauge::new(usage.resident_bytes);
        out.one("process_resident_memory_bytes", "Memory that is in RAM", &resident)?;
        out.one("process_open_fds", "Open files and sockets", &ConstGauge::new(usage.open_fds))
    }
}

struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn one(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) -> Result<(), Error> {
        let encoder = self.0.encode_descriptor(name, help, None, metric.metric_type())?;
        metric.encode(encoder)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        counts: &[(&'static str, u64)],
    ) -> Result<(), Error> {
        self.family(name, help, label, counts, ConstCounter::new)
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&'static str, i64)],
    ) -> Result<(), Error> {
        self.family(name, help, label, values, ConstGauge::new)
    }

    fn family<N: Copy, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&'static str, N)],
        metric: impl Fn(N) -> M,
    ) -> Result<(), Error> {
        let Some((_, first)) = values.first() else { return Ok(()) };
        let mut encoder = self.0.encode_descriptor(name, help, None, metric(*first).metric_type())?;
        for (value, number) in values {
            let metric = metric(*number);
            let labels = [(label, *value)];
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
