//! What the connections count.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use super::response::Response;
use super::session::summary;

/// Failures that are kept in words; the rest is only counted.
const MAX_SAMPLES: usize = 5;

/// What came of refreshes.
#[derive(Debug, Default)]
pub struct Tally {
    /// Latency of each refresh that succeeded while it was measured, in microseconds.
    pub latencies: Vec<u32>,
    /// How often each status was answered, unmeasured refreshes included.
    pub statuses: BTreeMap<u16, u64>,
    /// How many refreshes got no pair.
    pub failures: u64,
    /// The first few failures, in words.
    pub samples: Vec<String>,
}

impl Tally {
    /// A refresh succeeded within the measured time.
    pub fn measured(&mut self, latency: Duration) {
        self.latencies.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    /// A refresh was answered.
    pub fn answered(&mut self, response: &Response) {
        *self.statuses.entry(response.status).or_default() += 1;
    }

    /// A refresh was answered, but not with a pair.
    pub fn refused(&mut self, response: &Response) {
        self.failed(|| summary(response));
    }

    /// A refresh was not answered.
    pub fn broken(&mut self, why: &impl Display) {
        self.failed(|| why.to_string());
    }

    fn failed(&mut self, why: impl FnOnce() -> String) {
        self.failures += 1;
        if self.samples.len() < MAX_SAMPLES {
            self.samples.push(why());
        }
    }

    /// Adds what another connection counted.
    pub fn merge(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.failures += other.failures;
        let room = MAX_SAMPLES.saturating_sub(self.samples.len());
        self.samples.extend(other.samples.into_iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_counted_and_the_first_few_are_told() {
        let mut all = Tally::default();
        for _ in 0..3 {
            let mut one = Tally::default();
            for status in [409, 401, 409] {
                let response = Response { status, body: b"why".to_vec(), last: false, retry_after: None };
                one.answered(&response);
                one.refused(&response);
            }
            all.merge(one);
        }
        assert_eq!(all.failures, 9);
        assert_eq!(all.statuses, BTreeMap::from([(401, 3), (409, 6)]));
        assert_eq!(all.samples, ["409 why", "401 why", "409 why", "409 why", "401 why"]);
    }
}
