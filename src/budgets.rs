//! How much each of many may ask for, counted by this node alone.
//!
//! A meter that leaks (the generic cell rate algorithm, ITU-T I.371): so much at once, and then one in each interval.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Keys are counted in so many tables, so that workers rarely wait for one another.
const TABLES: usize = 16;
/// How many keys a table knows. Who comes when all of them are busy is not counted: to count is no reason to refuse.
const MOST_IN_A_TABLE: usize = 8192;

/// How much one may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// So often at once.
    pub burst: u32,
    /// After so long once more.
    pub interval: Duration,
}

impl Budget {
    /// That of so many callers together.
    #[must_use]
    pub fn times(self, many: u32) -> Self {
        Self { burst: self.burst.saturating_mul(many), interval: self.interval / many.max(1) }
    }

    /// How long who is so far ahead has to wait.
    fn wait(self, ahead: Duration) -> Duration {
        ahead.saturating_sub(self.interval * self.burst.saturating_sub(1))
    }
}

/// When what each has asked for will have been worth its time (the "theoretical arrival time").
#[derive(Debug)]
pub struct Budgets<K> {
    tables: [Mutex<HashMap<K, Instant>>; TABLES],
    hasher: RandomState,
}

impl<K> Default for Budgets<K> {
    fn default() -> Self {
        Self { tables: Default::default(), hasher: RandomState::new() }
    }
}

impl<K: Hash + Eq> Budgets<K> {
    /// Counts one more.
    ///
    /// # Errors
    /// The time after which it may be asked for: then it was not counted.
    pub fn ask(&self, key: K, budget: Budget, now: Instant) -> Result<(), Duration> {
        let mut all = self.table(&key);
        if all.len() >= MOST_IN_A_TABLE && !all.contains_key(&key) {
            all.retain(|_, due| *due > now);
            if all.len() >= MOST_IN_A_TABLE {
                return Ok(());
            }
        }
        let due = all.entry(key).or_insert(now);
        let ahead = due.saturating_duration_since(now);
        let wait = budget.wait(ahead);
        if !wait.is_zero() {
            return Err(wait);
        }
        *due = now + ahead + budget.interval;
        Ok(())
    }

    /// Whether one more may be asked for; it is not counted.
    ///
    /// # Errors
    /// The time after which it may.
    pub fn may_ask(&self, key: &K, budget: Budget, now: Instant) -> Result<(), Duration> {
        let ahead = self.table(key).get(key).map(|due| due.saturating_duration_since(now));
        let wait = budget.wait(ahead.unwrap_or_default());
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    fn table(&self, key: &K) -> MutexGuard<'_, HashMap<K, Instant>> {
        let number = usize::try_from(self.hasher.hash_one(key) % TABLES as u64).unwrap_or_default();
        let [first, ..] = &self.tables;
        self.tables.get(number).unwrap_or(first).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BUDGET: Budget = Budget { burst: 3, interval: Duration::from_millis(100) };

    #[test]
    fn a_burst_is_free_and_then_one_in_each_interval() {
        let (budgets, now) = (Budgets::default(), Instant::now());
        let ask = |key, millis| budgets.ask(key, BUDGET, now + Duration::from_millis(millis));
        for _ in 0..3 {
            assert_eq!(ask("one", 0), Ok(()));
        }
        assert_eq!(ask("one", 0), Err(Duration::from_millis(100)));
        assert_eq!(ask("one", 40), Err(Duration::from_millis(60)));
        assert_eq!(ask("another", 40), Ok(()));
        assert_eq!(ask("one", 100), Ok(()));
        assert_eq!(
            budgets.may_ask(&"one", BUDGET, now + Duration::from_millis(150)),
            Err(Duration::from_millis(50))
        );
        assert_eq!(budgets.may_ask(&"nobody", BUDGET, now), Ok(()));
        for _ in 0..3 {
            assert_eq!(ask("one", 5000), Ok(()));
        }
        assert!(ask("one", 5000).is_err());
    }

    #[test]
    fn memory_is_bounded_and_who_does_not_fit_is_let_in() {
        let (budgets, now) = (Budgets::default(), Instant::now());
        let once = Budget { burst: 1, ..BUDGET };
        for number in 0..200_000 {
            assert_eq!(budgets.ask(number, once, now), Ok(()), "{number}");
        }
        assert!(budgets.tables.iter().all(|table| table.lock().unwrap().len() <= MOST_IN_A_TABLE));
        assert_eq!(budgets.ask(-1, once, now + Duration::from_secs(1)), Ok(()));
    }

    proptest! {
        /// Whatever the pattern: never more than the burst and what has come since.
        #[test]
        fn no_pattern_gets_more_than_burst_and_time_allow(burst in 1_u32..10, steps in prop::collection::vec(0_u64..300, 1..100)) {
            let (budgets, begun) = (Budgets::default(), Instant::now());
            let budget = Budget { burst, ..BUDGET };
            let (mut passed, mut at) = (0_u128, 0);
            for step in steps {
                at += step;
                match budgets.ask((), budget, begun + Duration::from_millis(at)) {
                    Ok(()) => passed += 1,
                    // And the time that is told is enough.
                    Err(wait) => {
                        let then = begun + Duration::from_millis(at) + wait;
                        prop_assert!(budgets.ask((), budget, then).is_ok());
                        passed += 1;
                        at = u64::try_from((then - begun).as_millis()).unwrap() + 1;
                    }
                }
                prop_assert!(passed <= u128::from(burst) + u128::from(at) / 100);
            }
        }
    }
}
