//! When to send, at a steady rate, however long the answers take (an open loop). What could not be sent when it was due,
//! because an answer took too long, counts from when it was due: else a slow server would be asked less often just when
//! it is slow, and look faster than it is (coordinated omission).

//!
//! The runtime's own timers go by whole milliseconds: at 20,000 requests a second they would send twenty at once and then
//! none for a while, which is no steady rate. A timer of the kernel is waited for instead.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use crate::Error;

/// When one of several connections sends, so that all together keep the rate.
#[derive(Debug)]
pub struct Beat {
    first: Instant,
    /// None: as soon as there is an answer.
    steady: Option<Steady>,
    until: Instant,
}

#[derive(Debug)]
struct Steady {
    every: Duration,
    timer: Timer,
}

impl Beat {
    /// That of connection `number` of `of`, which together send `rate` times a second, or as often as can be.
    ///
    /// # Errors
    /// If the kernel has no timer left.
    pub fn of(
        number: u32,
        of: u32,
        rate: Option<f64>,
        begun: Instant,
        until: Instant,
    ) -> Result<Self, Error> {
        let Some(rate) = rate else { return Ok(Self { first: begun, steady: None, until }) };
        let step = Duration::from_secs_f64(1.0 / rate);
        let steady = Steady { every: step * of, timer: Timer::new()? };
        Ok(Self { first: begun + step * number, steady: Some(steady), until })
    }

    /// Waits for the `number`th turn. Returns from when on its time counts: when it was due if we are late because
    /// an answer was, and else when we came to it; nothing once time is up.
    ///
    /// # Errors
    /// If the kernel takes its timer back.
    pub async fn turn(&self, number: u32) -> Result<Option<Instant>, Error> {
        let Some(Steady { every, timer }) = &self.steady else {
            let now = Instant::now();
            return Ok((now < self.until).then_some(now));
        };
        let due = self.first + *every * number;
        if due >= self.until {
            return Ok(None);
        }
        let now = Instant::now();
        if now >= due {
            return Ok(Some(due));
        }
        timer.after(due - now).await?;
        Ok(Some(Instant::now()))
    }
}

/// A timer of the kernel's, which goes by nanoseconds.
#[derive(Debug)]
struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    #[expect(
        deprecated,
        reason = "sound for what owns its descriptor; what replaces it is unsafe, and no crate here may be"
    )]
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self(AsyncFd::with_interest(timer, Interest::READABLE)?))
    }

    /// Waits for so long. A zero would switch the timer off.
    async fn after(&self, time: Duration) -> Result<(), Error> {
        let nothing = Timespec { tv_sec: 0, tv_nsec: 0 };
        let time = time.max(Duration::from_nanos(1));
        let value = Timespec { tv_sec: time.as_secs().try_into()?, tv_nsec: time.subsec_nanos().into() };
        timerfd_settime(
            &self.0,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: nothing, it_value: value },
        )?;
        // That it went off is all there is to know: setting it anew forgets it.
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(rate: Option<f64>) -> Beat {
        let now = Instant::now();
        Beat::of(0, 1, rate, now, now + Duration::from_secs(1)).unwrap()
    }

    #[tokio::test]
    async fn whoever_is_late_counts_from_when_it_was_due() {
        let beat = beat(Some(500.0));
        tokio::time::sleep_until(beat.first + Duration::from_millis(7)).await;
        assert_eq!(beat.turn(3).await.unwrap(), Some(beat.first + Duration::from_millis(6)));
        let turn = beat.turn(20).await.unwrap().unwrap();
        assert!(turn >= beat.first + Duration::from_millis(40));
        assert_eq!(beat.turn(500).await.unwrap(), None);
    }

    #[tokio::test]
    async fn without_a_rate_it_is_always_our_turn() {
        let beat = beat(None);
        assert!(beat.turn(u32::MAX).await.unwrap().unwrap() < beat.until);
    }

    /// Turns that are closer together than a timer of the runtime can tell apart.
    #[tokio::test]
    async fn turns_come_one_by_one_and_not_in_crowds() {
        let beat = beat(Some(5000.0));
        let mut least_late = [Duration::MAX; 5];
        for number in 0..1000 {
            let due = beat.first + Duration::from_micros(200) * number;
            let late = beat.turn(number).await.unwrap().unwrap().checked_duration_since(due).unwrap();
            let least = &mut least_late[number as usize % 5];
            *least = late.min(*least);
        }
        // Of five turns in a millisecond a timer of whole ones has the first wait for at least four fifths of it, always.
        assert!(least_late.iter().all(|late| *late < Duration::from_micros(500)), "{least_late:?}");
    }
}
