//! Answers that take the same time, whatever they are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// What such work is taken to need at the least, and before anything is known.
const LEAST: Duration = Duration::from_millis(5);
/// What it is taken to need at the most: whoever is slower than that does not make everybody slow.
const MOST: Duration = Duration::from_millis(250);

/// How long work of one kind takes of late: what it took at its slowest, forgotten by and by.
///
/// Creating a user takes several steps at the store, finding that the name is taken takes fewer. Whoever asks is to learn
/// no more from the time than from the answer, so neither comes before the slower one would have.
#[derive(Debug)]
pub(super) struct EvenPace {
    slowest_us: AtomicU64,
}

impl Default for EvenPace {
    fn default() -> Self {
        Self { slowest_us: AtomicU64::new(micros(LEAST)) }
    }
}

impl EvenPace {
    /// Does the work, and waits until as much time has passed as such work takes. Failures are told at once.
    pub(super) async fn keep<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let begun = Instant::now();
        let done = work.await?;
        let due = begun + self.due(begun.elapsed());
        sleep_until(due).await;
        Ok(done)
    }

    /// How long the work is to take, now that it took so long: a quarter more than the slowest of late.
    fn due(&self, took: Duration) -> Duration {
        // Of two at once one may be forgotten: others will come.
        let slowest = self.slowest_us.load(Ordering::Relaxed);
        let slowest = micros(took).max(slowest - slowest / 32).clamp(micros(LEAST), micros(MOST));
        self.slowest_us.store(slowest, Ordering::Relaxed);
        Duration::from_micros(slowest + slowest / 4)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn quick_work_takes_as_long_as_slow_work_did() {
        let pace = EvenPace::default();
        assert_eq!(pace.due(ms(1)), ms(5) * 5 / 4);
        assert_eq!(pace.due(ms(40)), ms(50));
        let after = pace.due(ms(1));
        assert!(after > ms(45) && after < ms(50), "{after:?}");
    }

    #[test]
    fn what_was_slow_once_is_forgotten() {
        let pace = EvenPace::default();
        pace.due(ms(100));
        for _ in 0..200 {
            pace.due(ms(1));
        }
        assert_eq!(pace.due(ms(1)), ms(5) * 5 / 4);
    }

    #[test]
    fn one_hiccup_makes_nobody_wait_for_long() {
        let pace = EvenPace::default();
        pace.due(Duration::from_mins(1));
        assert!(pace.due(ms(1)) <= MOST * 5 / 4);
    }

    #[tokio::test]
    async fn the_answer_comes_when_it_is_due_and_a_failure_at_once() {
        let pace = EvenPace::default();
        let begun = Instant::now();
        assert_eq!(pace.keep(async { Err::<(), _>("broken") }).await, Err("broken"));
        assert!(begun.elapsed() < LEAST);
        let begun = Instant::now();
        assert_eq!(pace.keep(async { Ok::<_, ()>(7) }).await, Ok(7));
        assert!(begun.elapsed() >= LEAST * 5 / 4);
    }
}
