//! What a run found, as a row of text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::cpu::Usage;
use super::tally::Tally;

/// What a run found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Connections that refreshed at the same time.
    pub connections: usize,
    /// Sessions that were refreshed in turns.
    pub sessions: usize,
    /// Measured time, in seconds.
    pub seconds: f64,
    /// Refreshes that succeeded within it.
    pub refreshes: usize,
    /// The same, per second.
    pub refreshes_per_second: f64,
    /// How long a refresh took its client.
    pub latency_us: Latency,
    /// Processor time of the processes that were to be watched.
    pub cpu: Vec<Cpu>,
    /// The load generator's own.
    pub load_cpu: Option<Cpu>,
    /// How often each status was answered, warm-up included.
    pub statuses: BTreeMap<u16, u64>,
    /// Refreshes that got no pair, warm-up included.
    pub failures: u64,
    /// The first few of them, in words.
    pub failure_samples: Vec<String>,
}

/// Nearest-rank percentiles, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Half of all refreshes were as quick.
    pub p50: u32,
    /// Nine tenths were.
    pub p90: u32,
    /// 99 in 100 were.
    pub p99: u32,
    /// The slowest.
    pub max: u32,
}

/// Processor time that a process used within the measured time.
#[derive(Debug, Serialize)]
pub struct Cpu {
    /// The process.
    pub pid: u32,
    /// The name of its program.
    pub name: String,
    /// All its threads together, in seconds.
    pub seconds: f64,
    /// The same for each refresh, in microseconds.
    pub us_per_refresh: f64,
}

/// The measured time and what was used in it.
#[derive(Debug)]
pub struct Measured {
    /// How long it was.
    pub time: Duration,
    /// Processor time at its beginning; the load generator's own stands last.
    pub before: Vec<Usage>,
    /// Processor time at its end, in the same order.
    pub after: Vec<Usage>,
}

impl Latency {
    /// Of these times, which are sorted for it.
    pub fn of(times: &mut [u32]) -> Self {
        times.sort_unstable();
        let [p50, p90, p99, max] = [50, 90, 99, 100].map(|percent| percentile(times, percent));
        Self { p50, p90, p99, max }
    }
}

impl Report {
    /// Sums up.
    pub fn new(connections: usize, sessions: usize, mut tally: Tally, measured: &Measured) -> Self {
        let refreshes = tally.latencies.len();
        let mut cpu: Vec<Cpu> = measured
            .before
            .iter()
            .zip(&measured.after)
            .map(|(before, after)| Cpu::between(before, after, refreshes))
            .collect();
        let load_cpu = cpu.pop();
        Self {
            connections,
            sessions,
            seconds: measured.time.as_secs_f64(),
            refreshes,
            refreshes_per_second: count(refreshes) / measured.time.as_secs_f64(),
            latency_us: Latency::of(&mut tally.latencies),
            cpu,
            load_cpu,
            statuses: tally.statuses,
            failures: tally.failures,
            failure_samples: tally.samples,
        }
    }

    /// One line of JSON.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A heading and a row.
    pub fn text(&self) -> String {
        let mut heading =
            format!("{:>12} {:>8} {:>8} {:>8} {:>8}", "refreshes/s", "p50 µs", "p90 µs", "p99 µs", "max µs");
        let Latency { p50, p90, p99, max } = self.latency_us;
        let mut row = format!("{:>12.0} {p50:>8} {p90:>8} {p99:>8} {max:>8}", self.refreshes_per_second);
        for cpu in self.cpu.iter().chain(&self.load_cpu) {
            let name = format!("{} µs CPU/refresh", cpu.name);
            // Writing to a string cannot fail.
            let _ = write!(heading, "  {name}");
            let width = name.chars().count();
            let _ = write!(row, "  {:>width$.1}", cpu.us_per_refresh);
        }
        format!("{heading}\n{row}")
    }

    /// What is wrong with the run, for people; nothing if every refresh succeeded.
    pub fn complaint(&self) -> Option<String> {
        if self.failures > 0 {
            let statuses: Vec<String> =
                self.statuses.iter().map(|(status, count)| format!("{count} × {status}")).collect();
            let samples = self.failure_samples.join("\n  ");
            return Some(format!(
                "!!! {} refreshes FAILED (answers: {}), so the figures mean nothing. The first:\n  {samples}",
                self.failures,
                statuses.join(", "),
            ));
        }
        (self.refreshes == 0).then(|| "!!! not one refresh finished within the measured time".to_owned())
    }
}

impl Cpu {
    fn between(before: &Usage, after: &Usage, refreshes: usize) -> Self {
        let seconds = after.time.saturating_sub(before.time).as_secs_f64();
        // No refreshes: a figure that JSON can hold, and that the complaint makes void anyway.
        let us_per_refresh = seconds * 1e6 / count(refreshes.max(1));
        Self { pid: after.pid, name: after.name.clone(), seconds, us_per_refresh }
    }
}

#[expect(clippy::cast_precision_loss, reason = "far fewer refreshes than 2^52")]
const fn count(refreshes: usize) -> f64 {
    refreshes as f64
}

/// The value that `percent` of all are not above; 0 for none.
fn percentile(sorted: &[u32], percent: usize) -> u32 {
    let rank = (sorted.len() * percent).div_ceil(100);
    rank.checked_sub(1).and_then(|index| sorted.get(index)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(pid: u32, millis: u64) -> Usage {
        Usage { pid, name: format!("p{pid}"), time: Duration::from_millis(millis) }
    }

    fn report(tally: Tally) -> Report {
        let measured = Measured {
            time: Duration::from_secs(2),
            before: vec![usage(1, 1000), usage(2, 500), usage(3, 10)],
            after: vec![usage(1, 1600), usage(2, 700), usage(3, 30)],
        };
        Report::new(4, 20, tally, &measured)
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!([50, 99, 100].map(|percent| percentile(&hundred, percent)), [50, 99, 100]);
        assert_eq!([50, 99, 100].map(|percent| percentile(&[7, 9], percent)), [7, 9, 9]);
        assert_eq!(percentile(&[], 50), 0);
    }

    #[test]
    fn rates_and_costs_are_per_refresh() {
        let report = report(Tally { latencies: vec![30, 10, 20, 40], ..Tally::default() });
        assert!((report.refreshes_per_second - 2.0).abs() < 1e-9);
        assert_eq!(report.latency_us, Latency { p50: 20, p90: 40, p99: 40, max: 40 });
        let costs: Vec<f64> = report.cpu.iter().map(|cpu| cpu.us_per_refresh).collect();
        assert!((costs[0] - 150_000.0).abs() < 1e-6 && (costs[1] - 50_000.0).abs() < 1e-6);
        assert_eq!(report.load_cpu.as_ref().map(|cpu| cpu.pid), Some(3));
        assert_eq!(report.complaint(), None);
    }

    #[test]
    fn one_failure_spoils_the_run() {
        let tally = Tally {
            latencies: vec![10; 1000],
            statuses: BTreeMap::from([(200, 1000), (409, 1)]),
            failures: 1,
            samples: vec!["409 refresh_superseded".to_owned()],
        };
        let complaint = report(tally).complaint().unwrap();
        assert!(complaint.contains("1 refreshes FAILED"), "{complaint}");
        assert!(complaint.contains("1 × 409") && complaint.contains("refresh_superseded"), "{complaint}");
    }

    #[test]
    fn a_run_without_a_single_refresh_is_no_success() {
        let report = report(Tally::default());
        assert!(report.complaint().is_some());
        assert!(serde_json::from_str::<serde_json::Value>(&report.json()).is_ok());
    }
}
