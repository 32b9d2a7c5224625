//! A session's budget of refreshes: the generic cell rate algorithm (ITU-T I.371), kept in two bytes.
//!
//! What a session has spent is a *debt* in tenths of a second that time pays back. A refresh adds `interval` to
//! it and is allowed while the debt stays within `burst` intervals. The debt is as of the last rotation, whose
//! time the record keeps anyway. If that lies in the future, the clock has gone back since, and nobody can say how much of the
//! debt time has paid back: it counts as paid.

use std::time::Duration;

use crate::time::UnixMillis;

/// Debt of a session, in tenths of a second, as of its last rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Debt(pub u16);

/// How many refreshes one session may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    interval: u16,
    limit: u16,
}

/// A budget that two bytes cannot keep count of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an interval of at least 100 ms, and burst times interval of at most 6553 s")]
pub struct InvalidBudget;

impl Budget {
    /// No limit at all.
    pub const UNLIMITED: Self = Self { interval: 0, limit: u16::MAX };

    /// One refresh each `interval` on average, up to `burst` of them at once.
    ///
    /// # Errors
    /// If `interval` is under 100 ms, `burst` is 0, or their product is over 6553 s.
    pub fn new(interval: Duration, burst: u16) -> Result<Self, InvalidBudget> {
        let interval = u16::try_from(interval.as_millis() / 100).map_err(|_| InvalidBudget)?;
        let limit = interval.checked_mul(burst).ok_or(InvalidBudget)?;
        if limit == 0 { Err(InvalidBudget) } else { Ok(Self { interval, limit }) }
    }

    /// What one refresh costs, in tenths of a second.
    pub const fn interval_tenths(self) -> u16 {
        self.interval
    }

    /// The highest debt allowed, in tenths of a second.
    pub const fn limit_tenths(self) -> u16 {
        self.limit
    }

    /// The debt after one more refresh at `now`, or how long to wait for it.
    ///
    /// # Errors
    /// The time after which the same refresh would be within the budget.
    pub fn spend(self, debt: Debt, last: UnixMillis, now: UnixMillis) -> Result<Debt, Duration> {
        let due = self.owed(debt, last, now);
        match u16::try_from(due) {
            Ok(due) if due <= self.limit => Ok(Debt(due)),
            _ => Err(Duration::from_millis(u64::from(due - u32::from(self.limit)) * 100)),
        }
    }

    /// The debt after one more refresh at `now`, capped at the limit: for rotations that are not refused.
    #[must_use]
    pub fn spend_anyway(self, debt: Debt, last: UnixMillis, now: UnixMillis) -> Debt {
        let due = self.owed(debt, last, now).min(u32::from(self.limit));
        Debt(u16::try_from(due).unwrap_or(self.limit))
    }

    fn owed(self, debt: Debt, last: UnixMillis, now: UnixMillis) -> u32 {
        let paid_back = if last > now {
            u16::MAX
        } else {
            u16::try_from(now.age_since(last).as_millis() / 100).unwrap_or(u16::MAX)
        };
        u32::from(debt.0.saturating_sub(paid_back)) + u32::from(self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_each_interval() {
        let budget = Budget::new(Duration::from_secs(1), 3).unwrap();
        let mut debt = Debt::default();
        let start = UnixMillis(1_000_000);
        for _ in 0..3 {
            debt = budget.spend(debt, start, start).unwrap();
        }
        assert_eq!(budget.spend(debt, start, start), Err(Duration::from_secs(1)));
        let later = UnixMillis(start.0 + 1000);
        assert_eq!(budget.spend(debt, start, later), Ok(debt));
    }

    #[test]
    fn a_debt_of_the_future_is_paid() {
        let budget = Budget::new(Duration::from_secs(1), 3).unwrap();
        let (now, later) = (UnixMillis(1_000_000), UnixMillis(1_000_001));
        assert_eq!(budget.spend(Debt(30), later, now), Ok(Debt(10)));
        assert_eq!(budget.spend(Debt(30), now, now), Err(Duration::from_secs(1)));
    }

    #[test]
    fn an_unlimited_budget_keeps_no_debt() {
        let now = UnixMillis(7);
        assert_eq!(Budget::UNLIMITED.spend(Debt(0), now, now), Ok(Debt(0)));
    }

    #[test]
    fn refuses_what_two_bytes_cannot_count() {
        assert!(Budget::new(Duration::from_millis(99), 5).is_err());
        assert!(Budget::new(Duration::from_secs(1), 0).is_err());
        assert!(Budget::new(Duration::from_secs(7000), 1).is_err());
        assert!(Budget::new(Duration::from_secs(1), 655).is_ok());
    }
}
