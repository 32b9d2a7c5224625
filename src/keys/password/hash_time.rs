//! An estimate of how long the next password hashes take.

use std::time::{Duration, Instant};

/// How long a hash of cost 12 takes, by and large: until the first one has been timed.
const AT_COST_12: Duration = Duration::from_millis(250);
/// When nothing has been hashed for so long, what slowed the last ones down is taken to be over.
const CALM_AFTER: Duration = Duration::from_secs(1);

/// A mean of the last hashes, and the shortest of many.
#[derive(Debug)]
pub(super) struct HashTime {
    mean: Duration,
    shortest: Duration,
    last: Option<Instant>,
}

impl HashTime {
    /// Before the first hash.
    pub(super) fn of_cost(cost: u32) -> Self {
        let guessed = AT_COST_12.mul_f64((f64::from(cost) - 12.0).exp2());
        Self { mean: guessed, shortest: guessed, last: None }
    }

    /// A hash took so long.
    pub(super) fn took(&mut self, time: Duration, now: Instant) {
        self.mean = self.mean * 7 / 8 + time / 8;
        // It rises slowly: a machine can become slower for good.
        self.shortest =
            if self.last.is_none() { time } else { time.min(self.shortest + self.shortest / 256) };
        self.last = Some(now);
    }

    /// How long the next ones will take. A busy hour that is over does not count: a crowd that comes then is let in.
    pub(super) fn expected(&self, now: Instant) -> Duration {
        match self.last {
            Some(last) if now.saturating_duration_since(last) >= CALM_AFTER => self.mean.min(self.shortest),
            _ => self.mean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn before_the_first_hash_it_is_that_of_the_cost() {
        let of_cost = |cost| HashTime::of_cost(cost).expected(Instant::now()).as_micros();
        assert_eq!([of_cost(12), of_cost(14), of_cost(4)], [250_000, 1_000_000, 976]);
    }

    #[test]
    fn it_is_a_mean_as_long_as_hashes_are_made_and_then_the_shortest() {
        let (mut hash_time, begun) = (HashTime::of_cost(12), Instant::now());
        hash_time.took(200 * MILLI, begun);
        for _ in 0..100 {
            hash_time.took(1000 * MILLI, begun);
        }
        let busy = hash_time.expected(begun + CALM_AFTER / 2);
        assert!((900 * MILLI..=1000 * MILLI).contains(&busy), "{busy:?}");
        let calm = hash_time.expected(begun + CALM_AFTER);
        assert!((200 * MILLI..=300 * MILLI).contains(&calm), "{calm:?}");
        for _ in 0..1000 {
            hash_time.took(1000 * MILLI, begun);
        }
        assert_eq!(hash_time.expected(begun + CALM_AFTER), hash_time.expected(begun), "slower for good");
    }
}
