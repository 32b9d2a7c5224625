//! When to send, at a steady rate, however long the answers take (an open loop). What could not be sent when it was due,
//! because an answer took too long, counts from when it was due: else a slow server would be asked less often just when
//! it is slow, and look faster than it is (coordinated omission).

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// When one of several connections sends, so that all together keep the rate.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    first: Instant,
    /// None: as soon as there is an answer.
    every: Option<Duration>,
    until: Instant,
}

impl Beat {
    /// That of connection `number` of `of`, which together send `rate` times a second, or as often as can be.
    pub fn of(number: u32, of: u32, rate: Option<f64>, begun: Instant, until: Instant) -> Self {
        let step = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
        Self { first: begun + step.unwrap_or_default() * number, every: step.map(|step| step * of), until }
    }

    /// Waits for the `number`th turn. Returns from when on its time counts: when it was due if we are late because
    /// an answer was, and else when we came to it; nothing once time is up.
    pub async fn turn(&self, number: u32) -> Option<Instant> {
        let Some(every) = self.every else {
            let now = Instant::now();
            return (now < self.until).then_some(now);
        };
        let due = self.first + every * number;
        if due >= self.until {
            return None;
        }
        if Instant::now() >= due {
            return Some(due);
        }
        sleep_until(due).await;
        Some(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(every: Option<Duration>) -> Beat {
        let now = Instant::now();
        Beat { first: now, every, until: now + Duration::from_secs(1) }
    }

    #[tokio::test]
    async fn whoever_is_late_counts_from_when_it_was_due() {
        let beat = beat(Some(Duration::from_millis(2)));
        sleep_until(beat.first + Duration::from_millis(7)).await;
        assert_eq!(beat.turn(3).await, Some(beat.first + Duration::from_millis(6)));
        let turn = beat.turn(20).await.unwrap();
        assert!(turn >= beat.first + Duration::from_millis(40));
        assert_eq!(beat.turn(500).await, None);
    }

    #[tokio::test]
    async fn without_a_rate_it_is_always_our_turn() {
        let beat = beat(None);
        assert!(beat.turn(u32::MAX).await.unwrap() < beat.until);
    }
}
