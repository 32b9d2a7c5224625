//! A clock that stands still until somebody moves it, and one that is not in step with the machine's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use relatch::ambient::{Clock, SystemClock};
use relatch_domain::{UnixMillis, UnixSeconds};

/// A clock for tests. Clones show the same time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: UnixMillis) -> Self {
        Self(Arc::new(AtomicU64::new(now.0)))
    }

    /// Shows `now` from here on, be it earlier or later.
    pub fn set(&self, now: UnixMillis) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Goes on by so much.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }

    /// Goes on by so many seconds.
    pub fn advance_secs(&self, by: u64) {
        self.advance(Duration::from_secs(by));
    }

    /// The time so many seconds from now, as answers show it.
    pub fn rfc3339(&self, from_now: i64) -> String {
        let seconds = i64::from(self.now().seconds().0) + from_now;
        relatch::http::answer::rfc3339(UnixSeconds(u32::try_from(seconds).expect("a time of our days")))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}

/// A clock that goes as the machine's does, so many milliseconds ahead of it. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub struct SkewedClock(Arc<AtomicI64>);

impl SkewedClock {
    /// Goes on so many milliseconds ahead of the machine's clock, or behind it.
    pub fn set_ahead(&self, millis: i64) {
        self.0.store(millis, Ordering::SeqCst);
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(SystemClock.now().0.saturating_add_signed(self.0.load(Ordering::SeqCst)))
    }
}
