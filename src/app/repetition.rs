//! What one session may ask of the store again and again: repetitions of a refresh, and live checks. Counted by each node
//! alone. Refreshes that rotate are counted in the store.

use std::time::{Duration, Instant};

use relatch_domain::SessionRef;

use super::App;
use crate::budgets::Budget;

/// Enough for many tabs that all repeat the same refresh, or a page that asks before each of its calls.
const OF_A_SESSION: Budget = Budget { burst: 120, interval: Duration::from_millis(500) };

impl App {
    /// Counts a live check.
    ///
    /// # Errors
    /// The time after which the session may ask for one.
    pub(super) fn asks_live(&self, session: SessionRef) -> Result<(), Duration> {
        if !self.counts_repetitions() {
            return Ok(());
        }
        self.node.repetitions.ask(session, OF_A_SESSION, Instant::now())
    }

    /// Whether the session may refresh, for all that it has repeated.
    ///
    /// # Errors
    /// The time after which it may.
    pub(super) fn may_refresh(&self, session: SessionRef) -> Result<(), Duration> {
        if !self.counts_repetitions() {
            return Ok(());
        }
        self.node.repetitions.may_ask(&session, OF_A_SESSION, Instant::now())
    }

    /// Counts a refresh that was a repetition.
    pub(super) fn has_repeated(&self, session: SessionRef) {
        // That it was one too many holds for the next.
        let _ = self.asks_live(session);
    }

    /// Where nothing is limited, nothing is counted.
    const fn counts_repetitions(&self) -> bool {
        self.policy.guesses.is_some()
    }
}
