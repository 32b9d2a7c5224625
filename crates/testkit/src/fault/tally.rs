//! What came of it all: counted while the clients run, and made into a table.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Scene;

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
        self.longest_wait.fetch_max(millis(wait), Ordering::Relaxed);
    }

    pub(super) fn signed_out(&self) {
        self.signed_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Refreshes that were answered with a pair.
    pub fn successes(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// The longest time that one refresh took, all its tries together, in milliseconds.
    pub fn longest_wait(&self) -> u64 {
        self.longest_wait.load(Ordering::Relaxed)
    }

    /// Honest clients that were told to sign in again.
    pub fn sign_outs(&self) -> u64 {
        self.signed_out.load(Ordering::Relaxed)
    }
}

/// What the first node served while it was alone with an old primary and another had been promoted.
#[derive(Debug, Default)]
pub struct Alone {
    since: std::sync::Mutex<Option<Instant>>,
    served: AtomicU64,
    longest: AtomicU64,
}

impl Alone {
    pub(super) fn begin(&self) {
        *self.since.lock().expect("no panic") = Some(Instant::now());
    }

    pub(super) fn end(&self) {
        *self.since.lock().expect("no panic") = None;
    }

    pub(super) fn succeeded(&self) {
        if let Some(since) = *self.since.lock().expect("no panic") {
            self.served.fetch_add(1, Ordering::Relaxed);
            self.longest.fetch_max(millis(since.elapsed()), Ordering::Relaxed);
        }
    }

    /// How many answers of success it gave, and how long after the promotion the last one was, in milliseconds.
    pub fn served(&self) -> (u64, u64) {
        (self.served.load(Ordering::Relaxed), self.longest.load(Ordering::Relaxed))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
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
    /// Devices that were told that they are signed out at their first refresh.
    pub forgotten: AtomicU64,
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
    /// Connections that clients reset.
    pub resets: AtomicU64,
    /// Nodes that were killed.
    pub kills: AtomicU64,
    /// Operations that killed nodes left open.
    pub left_behind: AtomicU64,
    /// Of these, how many nobody finished.
    pub unfinished: AtomicU64,
    /// Refreshes that were healed.
    pub heals: AtomicU64,
    /// How often another Redis was promoted.
    pub failovers: AtomicU64,
    /// The longest time until it was, in milliseconds.
    pub longest_failover: AtomicU64,
    /// What was served on the wrong side of a partition.
    pub alone: Alone,
    /// What honest clients were told when they were signed out.
    pub words: std::sync::Mutex<Vec<String>>,
}

impl Tally {
    pub(super) fn failed_over(&self, after: Duration) {
        self.failovers.fetch_add(1, Ordering::Relaxed);
        self.longest_failover.fetch_max(millis(after), Ordering::Relaxed);
    }

    /// How much longer than the failover and what may follow it somebody waited, in milliseconds, if they did. Of two halves of a store one may
    /// not serve at all.
    pub fn too_slow(&self, scene: Scene) -> Option<u64> {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        if of(&self.failovers) == 0 || scene.parts_the_store() {
            return None;
        }
        let late = self
            .keyed
            .longest_wait()
            .saturating_sub(of(&self.longest_failover) + millis(scene.served_within()));
        (late > 0).then_some(late)
    }

    /// How often it struck, where only that tells how hard.
    fn strikes(&self) -> String {
        let counts = [
            (&self.cuts, "cuts"),
            (&self.resets, "resets"),
            (&self.kills, "kills"),
            (&self.left_behind, "operations left behind"),
        ];
        let counts = counts.map(|(count, what)| (count.load(Ordering::Relaxed), what));
        let told: Vec<_> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) }
    }

    /// Whether sessions that had ended were tried, and thieves had something.
    pub(super) fn has_met_everybody(&self) -> bool {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        of(&self.probes) > 0 && of(&self.thefts) > 0
    }

    /// What is promised and was not kept.
    pub fn broken_promises(&self, scene: Scene) -> Vec<String> {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Of two halves of a store neither knows what was revoked in the other.
        let parted = scene.parts_the_store();
        let whole = |counter: &AtomicU64| if parted { 0 } else { of(counter) };
        let counts = [
            (self.keyed.sign_outs(), "honest clients with attempt keys were signed out"),
            (self.tabs.sign_outs(), "honest tabs were signed out"),
            (whole(&self.forgotten), "devices were signed out just after they had signed in"),
            (whole(&self.came_back), "refreshes of revoked sessions succeeded"),
            (of(&self.uncaught), "thieves were not caught"),
            (of(&self.unfinished), "operations that a killed node left behind were not finished"),
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
        if !self.has_met_everybody() {
            broken.push("nothing was probed or stolen".to_owned());
        }
        broken
    }
}

/// The heads of the table, in Markdown.
pub const HEADS: &str = "\
| store | fault | clients | tried | succeeded | honest sign-outs | longest wait ms | failovers: number, longest ms | heals | signed out at once | revoked: sessions, probes, came back | thefts, caught, uncaught |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
";

/// The rows of one fault.
pub fn rows(scene: Scene, tally: &Tally) -> String {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let kinds =
        [("attempt keys", &tally.keyed), ("two tabs, one key", &tally.tabs), ("no keys", &tally.keyless)];
    let mut rows = String::new();
    for (at, (kind, seen)) in kinds.into_iter().enumerate() {
        let shared = if at == 0 {
            format!(
                "{}, {} | {} | {} | {}, {}, {} | {}, {}, {}",
                of(&tally.failovers),
                of(&tally.longest_failover),
                of(&tally.heals),
                of(&tally.forgotten),
                of(&tally.revoked),
                of(&tally.probes),
                of(&tally.came_back),
                of(&tally.thefts),
                of(&tally.caught),
                of(&tally.uncaught)
            )
        } else {
            " | | | | ".to_owned()
        };
        let (tried, wait) = (of(&seen.tried), of(&seen.longest_wait));
        let (succeeded, signed_out) = (seen.successes(), seen.sign_outs());
        let fault = match at {
            0 => format!("{} | {}{}", scene.ground(), scene.name(), tally.strikes()),
            _ => " | ".to_owned(),
        };
        writeln!(rows, "| {fault} | {kind} | {tried} | {succeeded} | {signed_out} | {wait} | {shared} |")
            .expect("a string takes text");
    }
    if scene.parts_the_store() {
        let (served, last) = tally.alone.served();
        writeln!(
            rows,
            "|  | the node alone with the old primary: {served} answers after the promotion, the last {last} ms after it \
             | | | | | | | | | | |"
        )
        .expect("a string takes text");
    }
    rows
}
