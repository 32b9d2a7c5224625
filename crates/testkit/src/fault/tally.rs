//! What came of it all: counted while the clients run, and made into a table.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What clients of one kind saw.
#[derive(Debug, Default)]
pub struct KindTally {
    tried: AtomicU64,
    succeeded: AtomicU64,
    signed_out: AtomicU64,
    longest_wait: AtomicU64,
}

impl KindTally {
    pub(super) fn tried(&self) {
        self.tried.fetch_add(1, Ordering::Relaxed);
    }

    /// A refresh that took so long, all its tries together.
    pub(super) fn succeeded(&self, wait: Duration) {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.longest_wait.fetch_max(millis, Ordering::Relaxed);
    }

    pub(super) fn signed_out(&self) {
        self.signed_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Refreshes that were answered with a pair.
    pub fn successes(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// Honest clients that were told to sign in again.
    pub fn sign_outs(&self) -> u64 {
        self.signed_out.load(Ordering::Relaxed)
    }
}

/// What happened under one fault.
#[derive(Debug, Default)]
pub struct Tally {
    /// Clients that send attempt keys.
    pub keyed: KindTally,
    /// Two tabs that share token and key.
    pub tabs: KindTally,
    /// Clients that send none.
    pub keyless: KindTally,
    /// Sessions whose revocation was acknowledged.
    pub revoked: AtomicU64,
    /// Refreshes that were tried with their tokens.
    pub probes: AtomicU64,
    /// Of these, how many got a pair.
    pub came_back: AtomicU64,
    /// Thieves who got a pair.
    pub thefts: AtomicU64,
    /// Thieves whose session ended, or who got nothing more.
    pub caught: AtomicU64,
    /// Thieves who still got pairs after the honest client had refreshed twice.
    pub uncaught: AtomicU64,
    /// Connections that the proxy cut.
    pub cuts: AtomicU64,
    /// What honest clients were told when they were signed out.
    pub words: std::sync::Mutex<Vec<String>>,
}

impl Tally {
    /// What is promised and was not kept.
    pub fn broken_promises(&self) -> Vec<String> {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = [
            (self.keyed.sign_outs(), "honest clients with attempt keys were signed out"),
            (self.tabs.sign_outs(), "honest tabs were signed out"),
            (of(&self.came_back), "refreshes of revoked sessions succeeded"),
            (of(&self.uncaught), "thieves were not caught"),
        ];
        let mut broken: Vec<_> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if !broken.is_empty() {
            broken.extend(self.words.lock().expect("no panic").iter().take(5).cloned());
        }
        let idle = [
            (self.keyed.successes(), "attempt keys"),
            (self.tabs.successes(), "tabs"),
            (self.keyless.successes(), "no keys"),
        ];
        broken.extend(
            idle.into_iter()
                .filter(|(count, _)| *count == 0)
                .map(|(_, who)| format!("no client with {who} refreshed at all")),
        );
        if of(&self.probes) == 0 || of(&self.thefts) == 0 {
            broken.push("nothing was probed or stolen".to_owned());
        }
        broken
    }
}

/// The heads of the table, in Markdown.
pub const HEADS: &str = "\
| fault | clients | tried | succeeded | honest sign-outs | longest wait ms | revoked: sessions, probes, came back | thefts, caught, uncaught |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
";

/// The rows of one fault.
pub fn rows(name: &str, tally: &Tally) -> String {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let kinds =
        [("attempt keys", &tally.keyed), ("two tabs, one key", &tally.tabs), ("no keys", &tally.keyless)];
    let mut rows = String::new();
    for (at, (kind, seen)) in kinds.into_iter().enumerate() {
        let shared = if at == 0 {
            format!(
                "{}, {}, {} | {}, {}, {}",
                of(&tally.revoked),
                of(&tally.probes),
                of(&tally.came_back),
                of(&tally.thefts),
                of(&tally.caught),
                of(&tally.uncaught)
            )
        } else {
            " | ".to_owned()
        };
        let (tried, wait) = (of(&seen.tried), of(&seen.longest_wait));
        let (succeeded, signed_out) = (seen.successes(), seen.sign_outs());
        let cuts = of(&tally.cuts);
        let fault = match (at, cuts) {
            (0, 0) => name.to_owned(),
            (0, _) => format!("{name}: {cuts} cuts"),
            _ => String::new(),
        };
        writeln!(rows, "| {fault} | {kind} | {tried} | {succeeded} | {signed_out} | {wait} | {shared} |")
            .expect("a string takes text");
    }
    rows
}
