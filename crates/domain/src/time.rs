//! Points in time as tokens and records carry them. Durations are [`std::time::Duration`].

use std::time::Duration;

/// Milliseconds since the Unix epoch. Records keep 48 bits of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub u64);

/// Seconds since the Unix epoch, in 32 bits: until the year 2106.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixSeconds(pub u32);

impl UnixMillis {
    /// The last point in time that a record can hold: 48 bits.
    pub const MAX: Self = Self((1 << 48) - 1);

    /// The second in which this point lies. Times after 2106 count as the last second.
    pub fn seconds(self) -> UnixSeconds {
        UnixSeconds(u32::try_from(self.0 / 1000).unwrap_or(u32::MAX))
    }

    /// The first second that does not begin before this point: for deadlines, which must not come early.
    pub fn seconds_up(self) -> UnixSeconds {
        UnixSeconds(u32::try_from(self.0.div_ceil(1000)).unwrap_or(u32::MAX))
    }

    /// How long ago `earlier` was. A negative age counts as zero: clocks of a failed-over store may go backwards.
    pub fn age_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whether less than `span` lies between the two, whichever comes first: for what was recorded a short while ago by a
    /// clock that may have gone back since.
    pub fn is_within(self, span: Duration, other: Self) -> bool {
        self.age_since(other).max(other.age_since(self)) < span
    }

    /// This much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis).min(Self::MAX.0))
    }
}

impl UnixSeconds {
    /// The first millisecond of this second.
    pub const fn millis(self) -> UnixMillis {
        UnixMillis(self.0 as u64 * 1000)
    }

    /// This much later, in whole seconds.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let seconds = u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        Self(self.0.saturating_add(seconds))
    }

    /// This much earlier, in whole seconds.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let seconds = u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        Self(self.0.saturating_sub(seconds))
    }

    /// Whether a deadline at this point is over at `now`. At the deadline itself it is.
    pub fn is_over(self, now: UnixMillis) -> bool {
        now >= self.millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_went_back_gives_age_zero() {
        assert_eq!(UnixMillis(5).age_since(UnixMillis(9)), Duration::ZERO);
        assert_eq!(UnixMillis(9).age_since(UnixMillis(5)), Duration::from_millis(4));
    }

    #[test]
    fn a_deadline_ends_with_the_first_millisecond_of_its_second() {
        assert!(!UnixSeconds(10).is_over(UnixMillis(9_999)));
        assert!(UnixSeconds(10).is_over(UnixMillis(10_000)));
    }

    #[test]
    fn what_is_far_ahead_is_not_close() {
        let span = Duration::from_millis(3);
        for (other, is_close) in [(4, false), (5, true), (9, true), (10, false)] {
            assert_eq!(UnixMillis(7).is_within(span, UnixMillis(other)), is_close, "{other}");
        }
    }

    #[test]
    fn a_deadline_is_rounded_up() {
        for (millis, second) in [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2)] {
            assert_eq!(UnixMillis(millis).seconds_up(), UnixSeconds(second));
        }
    }

    #[test]
    fn nothing_overflows() {
        assert_eq!(UnixSeconds(u32::MAX).plus(Duration::MAX), UnixSeconds(u32::MAX));
        assert_eq!(UnixMillis(u64::MAX).plus(Duration::MAX), UnixMillis::MAX);
        assert_eq!(UnixMillis(u64::MAX).seconds(), UnixSeconds(u32::MAX));
        assert_eq!(UnixMillis(u64::MAX).seconds_up(), UnixSeconds(u32::MAX));
        assert_eq!(UnixSeconds(3).minus(Duration::from_secs(5)), UnixSeconds(0));
    }
}
