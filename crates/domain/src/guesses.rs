//! Budgets of guesses: how many failed sign-ins count, and how long the next try has to wait.
//!
//! A meter that leaks (the generic cell rate algorithm, ITU-T I.371) says how many failures count at a moment. Some are
//! free; with each above these the wait doubles, up to a longest one (exponential back-off). A try is counted before its
//! password is looked at, so that a thousand at once are no more than a thousand one after the other; one that succeeds is
//! taken back.

use std::time::Duration;

use crate::time::UnixMillis;

/// How many guesses are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessLimit {
    /// After so long a failure counts no more, one after the other. At least a millisecond.
    pub forgotten_after: Duration,
    /// So many failures may count without any wait.
    pub free: u32,
    /// The wait after one more.
    pub first_wait: Duration,
    /// No wait is longer.
    pub longest_wait: Duration,
}

/// What is kept of the guesses of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guesses {
    /// When all failures will be forgotten.
    pub until: UnixMillis,
    /// When the last try was counted.
    pub last: UnixMillis,
}

impl Guesses {
    /// The same at `now`. If the last try was counted in the future, the clock has gone back since: then it is as if it had
    /// been counted now, or whoever had to wait would wait until the clock has caught up. To be kept in place of what was
    /// found, or the wait would begin again with each look.
    #[must_use]
    pub fn as_of(self, now: UnixMillis) -> Self {
        let ahead = self.last.0.saturating_sub(now.0);
        Self { until: UnixMillis(self.until.0.saturating_sub(ahead)), last: self.last.min(now) }
    }
}

/// A try that has been counted: what it takes to take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// When it was counted.
    pub at: UnixMillis,
    /// When the one before was.
    pub before: UnixMillis,
}

impl GuessLimit {
    /// Counts a try at `now`, if it need not wait. If it has to, [`Guesses::as_of`] is what is kept.
    ///
    /// # Errors
    /// The time after which it may be made.
    pub fn guess(&self, seen: Option<Guesses>, now: UnixMillis) -> Result<(Guesses, Try), Duration> {
        let forgotten = Guesses { until: now, last: UnixMillis(0) };
        let seen = seen.map(|seen| seen.as_of(now)).filter(|seen| seen.until > now).unwrap_or(forgotten);
        let may_be_made = seen.last.0.saturating_add(millis(self.wait(self.counting(seen, now))));
        if may_be_made > now.0 {
            return Err(Duration::from_millis(may_be_made - now.0));
        }
        let until = seen.until.0.max(now.0).saturating_add(self.interval());
        Ok((Guesses { until: UnixMillis(until), last: now }, Try { at: now, before: seen.last }))
    }

    /// What remains when a counted try has turned out to be none: if it was the last one, the next waits from the one before.
    pub fn take_back(&self, seen: Guesses, counted: Try, now: UnixMillis) -> Option<Guesses> {
        let Guesses { until, last } = seen.as_of(now);
        let until = UnixMillis(until.0.saturating_sub(self.interval()));
        let last = if seen.last == counted.at { counted.before.min(last) } else { last };
        (until > now).then_some(Guesses { until, last })
    }

    /// The limit of as many as so many callers have.
    #[must_use]
    pub fn times(&self, many: u32) -> Self {
        let forgotten_after = (self.forgotten_after / many.max(1)).max(Duration::from_millis(1));
        Self { forgotten_after, free: self.free.saturating_mul(many), ..*self }
    }

    /// How many failures count at `now`.
    pub fn counting(&self, seen: Guesses, now: UnixMillis) -> u64 {
        seen.as_of(now).until.0.saturating_sub(now.0).div_ceil(self.interval())
    }

    /// How long the next try has to wait after the last one if so many failures count.
    fn wait(&self, counting: u64) -> Duration {
        let Some(above) = counting.checked_sub(u64::from(self.free)) else { return Duration::ZERO };
        let doublings = u32::try_from(above).unwrap_or(u32::MAX).min(31);
        self.first_wait.saturating_mul(1 << doublings).min(self.longest_wait)
    }

    fn interval(&self) -> u64 {
        millis(self.forgotten_after).max(1)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: GuessLimit = GuessLimit {
        forgotten_after: Duration::from_mins(15),
        free: 3,
        first_wait: Duration::from_secs(1),
        longest_wait: Duration::from_mins(10),
    };

    fn at(seconds: u64) -> UnixMillis {
        UnixMillis(1_700_000_000_000 + seconds * 1000)
    }

    #[test]
    fn some_are_free_and_then_each_waits_twice_as_long() {
        let mut seen = None;
        for _ in 0..3 {
            seen = Some(LIMIT.guess(seen, at(0)).unwrap().0);
        }
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..12 {
            let wait = LIMIT.guess(seen, at(now)).unwrap_err();
            waits.push(wait.as_secs());
            now += wait.as_secs();
            seen = Some(LIMIT.guess(seen, at(now)).unwrap().0);
        }
        // After a quarter of an hour of waiting the first is forgotten; ten minutes are the longest.
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 512, 600]);
    }

    #[test]
    fn what_is_taken_back_or_long_ago_counts_no_more() {
        let seen = Guesses { until: at(3600), last: at(0) };
        assert_eq!(LIMIT.counting(seen, at(0)), 4);
        assert_eq!(LIMIT.counting(seen, at(901)), 3);
        assert!(LIMIT.guess(Some(seen), at(3600)).is_ok());
        let (counted, this) = LIMIT.guess(Some(seen), at(2)).unwrap();
        assert_eq!(LIMIT.take_back(counted, this, at(2)), Some(seen), "as if nothing had been");
        let (later, _) = LIMIT.guess(Some(counted), at(10)).unwrap();
        let left = LIMIT.take_back(later, this, at(10)).unwrap();
        assert_eq!((LIMIT.counting(left, at(10)), left.last), (5, at(10)), "somebody else has tried since");
        let (one, this) = LIMIT.guess(None, at(0)).unwrap();
        assert_eq!(LIMIT.take_back(one, this, at(0)), None);
    }

    #[test]
    fn what_was_counted_by_a_clock_ahead_is_as_if_it_were_counted_now() {
        const SIX_HOURS: u64 = 6 * 3600;
        let (one, this) = LIMIT.guess(None, at(SIX_HOURS)).unwrap();
        assert_eq!(LIMIT.counting(one, at(0)), 1);
        assert!(LIMIT.guess(Some(one), at(0)).is_ok(), "two more are free");
        assert_eq!(LIMIT.take_back(one, this, at(0)), None);

        let mut seen = Guesses { until: at(SIX_HOURS + 20 * 900), last: at(SIX_HOURS) };
        assert_eq!(LIMIT.guess(Some(seen), at(0)), Err(LIMIT.longest_wait));
        seen = seen.as_of(at(0));
        assert_eq!(
            LIMIT.guess(Some(seen), at(LIMIT.longest_wait.as_secs() - 1)),
            Err(Duration::from_secs(1))
        );
        assert!(LIMIT.guess(Some(seen), at(LIMIT.longest_wait.as_secs())).is_ok(), "the wait passes");

        // The one before is not moved if it was counted by the right clock.
        let (first, _) = LIMIT.guess(Some(Guesses { until: at(1800), last: at(0) }), at(10)).unwrap();
        let (second, this) = LIMIT.guess(Some(first), at(1000)).unwrap();
        assert_eq!(LIMIT.take_back(second, this, at(20)).unwrap().last, at(10));
    }

    proptest! {
        /// Whoever tries as often as possible gets through the free ones, and after that as many as the waits allow.
        #[test]
        fn nobody_gets_more_tries_than_free_ones_and_one_for_each_wait(
            free in 1_u32..20,
            pauses in prop::collection::vec(0_u64..4000, 0..400),
        ) {
            let limit = GuessLimit { free, ..LIMIT };
            let (mut seen, mut now, mut tries) = (None, 0, 0_u64);
            for pause in pauses {
                now += pause;
                if let Ok((next, _)) = limit.guess(seen, UnixMillis(now)) {
                    (seen, tries) = (Some(next), tries + 1);
                }
            }
            // The waits of one more than is free are 1, 2, 4 … 512 s; what leaks is one in a quarter of an hour.
            let leaked = now / 900_000;
            let waited = u64::from((now / 1000 + 1).ilog2()) + 1;
            prop_assert!(tries <= u64::from(free) + leaked * 2 + waited + 1, "{tries} in {now} ms");
        }

        #[test]
        fn a_wait_is_true(until in 0_u64..10_000_000, last in 0_u64..5_000_000, now in 1_000_000_u64..2_000_000) {
            let seen = Some(Guesses { until: UnixMillis(until), last: UnixMillis(last) }.as_of(UnixMillis(now)));
            if let Err(wait) = LIMIT.guess(seen, UnixMillis(now)) {
                prop_assert!(wait <= LIMIT.longest_wait);
                let then = UnixMillis(now + u64::try_from(wait.as_millis()).unwrap());
                prop_assert!(LIMIT.guess(seen, then).is_ok());
            }
        }
    }
}
