//! How far the clock of a store is from the one of a server.
//!
//! Sessions and access tokens carry the store's time; a server checks access tokens by its own clock.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::{Finding, Severity};

/// What kind of finding it is.
pub const CLOCK: &str = "clock";
/// From here on it is a warning, in milliseconds: expiry is told in whole seconds, and clocks that are kept in step differ by a
/// few milliseconds.
const WARNING: u64 = 1000;
/// From here on it is an error: clients refresh some seconds before an access token expires, so a server that leads by more
/// refuses tokens that they take for good; and nothing keeps such a clock in step.
const ERROR: u64 = 10_000;

/// What was measured of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockOffset {
    /// Where it is.
    pub at: String,
    /// How far its clock is ahead of the server's, in milliseconds.
    pub ahead: i64,
    /// How far that may be from the truth, in milliseconds: half of the round trip.
    pub error: u64,
}

impl ClockOffset {
    /// How far the clocks differ at the least.
    fn at_least(&self) -> u64 {
        self.ahead.unsigned_abs().saturating_sub(self.error)
    }

    /// How bad it is, if it is.
    pub fn severity(&self) -> Option<Severity> {
        match self.at_least() {
            ERROR.. => Some(Severity::Error),
            WARNING..ERROR => Some(Severity::Warning),
            ..WARNING => None,
        }
    }

    /// What to tell an operator, if anything.
    pub fn finding(&self) -> Option<Finding> {
        let severity = self.severity()?;
        let (side, why) = if self.ahead > 0 {
            (
                "ahead of",
                "access tokens carry Redis' time and are checked by the server's clock: a server that lags takes them for so \
                 long after they expired",
            )
        } else {
            (
                "behind",
                "access tokens carry Redis' time and are checked by the server's clock: a server that leads refuses them so \
                 long before they expire",
            )
        };
        let (at, millis) = (Some(self.at.clone()), self.ahead.unsigned_abs());
        let what = format!("its clock is {millis} ms {side} this server's");
        let change = "keep the clocks of both machines in step (NTP)".to_owned();
        Some(Finding { severity, finding: CLOCK, at, what, why, change })
    }
}

/// What was last measured.
#[derive(Debug, Default)]
pub struct StoreClock {
    last: ArcSwap<Vec<ClockOffset>>,
    /// How bad it was when it was last told.
    told: Mutex<Option<Severity>>,
}

/// What is to be told of a measurement.
#[derive(Debug, PartialEq, Eq)]
pub enum Crossed {
    /// A limit was crossed.
    Beyond(Finding),
    /// The clocks are in step again.
    Back,
}

impl StoreClock {
    /// What was last measured, of each process.
    pub fn last(&self) -> Arc<Vec<ClockOffset>> {
        self.last.load_full()
    }

    /// How far the clock of the process that is furthest off is ahead of the server's, in milliseconds.
    pub fn worst(&self) -> i64 {
        self.last
            .load()
            .iter()
            .map(|offset| offset.ahead)
            .max_by_key(|ahead| ahead.unsigned_abs())
            .unwrap_or(0)
    }

    /// Keeps what was measured, or what was before if nothing was. Gives what is to be told: once for each limit, and not again while an offset stays about there.
    pub fn learn(&self, offsets: Vec<ClockOffset>) -> Option<Crossed> {
        let worst = offsets.iter().max_by_key(|offset| offset.at_least()).cloned();
        let worst = worst?;
        self.last.store(Arc::new(offsets));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // The worse a severity is, the less it is.
        match (worst.finding(), *told) {
            (Some(finding), before) if before.is_none_or(|before| finding.severity < before) => {
                *told = Some(finding.severity);
                Some(Crossed::Beyond(finding))
            }
            (None, Some(_)) if worst.at_least() < WARNING / 2 => {
                *told = None;
                Some(Crossed::Back)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(ahead: i64, error: u64) -> ClockOffset {
        ClockOffset { at: "here".to_owned(), ahead, error }
    }

    #[test]
    fn the_limits_are_a_second_and_ten() {
        for (ahead, error, severity) in [
            (0, 0, None),
            (999, 0, None),
            (-1000, 0, Some(Severity::Warning)),
            (1200, 250, None),
            (9_999, 0, Some(Severity::Warning)),
            (-10_000, 0, Some(Severity::Error)),
            (10_200, 250, Some(Severity::Warning)),
            (i64::MIN, 0, Some(Severity::Error)),
        ] {
            assert_eq!(offset(ahead, error).severity(), severity, "{ahead} ± {error}");
        }
        let said = |ahead| offset(ahead, 0).finding().unwrap().what;
        assert_eq!(said(3000), "its clock is 3000 ms ahead of this server's");
        assert_eq!(said(-3000), "its clock is 3000 ms behind this server's");
    }

    #[test]
    fn each_limit_is_told_once() {
        let clock = StoreClock::default();
        let learn = |ahead| match clock.learn(vec![offset(0, 0), offset(ahead, 0)]) {
            Some(Crossed::Beyond(finding)) => Some(Some(finding.severity)),
            Some(Crossed::Back) => Some(None),
            None => None,
        };
        assert_eq!([learn(3), learn(900)], [None, None]);
        assert_eq!([learn(1100), learn(950), learn(-1100)], [Some(Some(Severity::Warning)), None, None]);
        assert_eq!([learn(11_000), learn(9000), learn(11_000)], [Some(Some(Severity::Error)), None, None]);
        assert_eq!([learn(400), learn(400)], [Some(None), None]);
        assert_eq!(learn(-12_000), Some(Some(Severity::Error)));
        assert_eq!(clock.worst(), -12_000);
        assert_eq!(clock.learn(Vec::new()), None);
        assert_eq!(clock.worst(), -12_000, "nothing else is known");
    }
}
