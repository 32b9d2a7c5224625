//! Which Redis may be served from: the process that was examined, as long as it holds the marker that it had then.
//!
//! A Redis that was restarted, or replaced by its replica, may have lost its last writes. So no request passes to a
//! process until somebody has looked at it, and has written again what must not be lost. Each connection knows to which
//! process it leads, and asks the gate before each request.

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::store::{Marker, StoreError};

/// Lets requests through to one process, or to none.
#[derive(Debug)]
pub struct Gate {
    state: ArcSwap<State>,
    knocked: Notify,
}

#[derive(Debug)]
enum State {
    Closed { why: String },
    Open { process: String, marker: Marker, since: Instant },
}

/// Whether a connection may be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passage {
    Free,
    /// It leads to the process before: there is a newer one.
    Outdated,
    /// Not yet.
    Closed(StoreError),
}

impl Gate {
    pub(super) fn closed() -> Self {
        let why = "the store has not been joined yet".to_owned();
        Self { state: ArcSwap::from_pointee(State::Closed { why }), knocked: Notify::new() }
    }

    /// Lets requests through to this process.
    pub fn open_to(&self, process: String, marker: Marker) {
        self.state.store(State::Open { process, marker, since: Instant::now() }.into());
    }

    /// Lets nothing through, and says why.
    pub fn close(&self, why: String) {
        self.state.store(State::Closed { why }.into());
        self.knocked.notify_one();
    }

    /// Whether requests pass to this process.
    pub fn is_open_to(&self, other: &str) -> bool {
        matches!(&**self.state.load(), State::Open { process, .. } if process == other)
    }

    /// Returns when the gate was found shut since the last call: there is something to examine.
    pub async fn knocked(&self) {
        self.knocked.notified().await;
    }

    /// Whether a connection to `process` may be used that was opened at `opened`.
    pub(super) fn passage(&self, process: &str, opened: Instant) -> Passage {
        let why = match &**self.state.load() {
            State::Open { process: examined, .. } if examined == process => return Passage::Free,
            State::Open { since, .. } if opened < *since => return Passage::Outdated,
            State::Open { .. } => "the store's process is another one, and is not examined yet".to_owned(),
            State::Closed { why } => why.clone(),
        };
        self.knocked.notify_one();
        Passage::Closed(StoreError::Unavailable(why))
    }

    /// Since when requests pass, if they do.
    pub(super) fn open_since(&self) -> Option<Instant> {
        match &**self.state.load() {
            State::Open { since, .. } => Some(*since),
            State::Closed { .. } => None,
        }
    }

    /// The marker that the store had when it was examined. An error while nothing passes.
    pub(super) fn marker(&self) -> Result<Marker, StoreError> {
        match &**self.state.load() {
            State::Open { marker, .. } => Ok(marker.clone()),
            State::Closed { why } => Err(StoreError::Unavailable(why.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker() -> Marker {
        Marker { store_id: "one".into(), issuer: "us".into(), master_key_check: "ours".into() }
    }

    #[tokio::test]
    async fn only_the_process_that_was_examined_is_free() {
        let gate = Gate::closed();
        let before = Instant::now().checked_sub(std::time::Duration::from_millis(1)).unwrap();
        assert!(matches!(gate.passage("a", before), Passage::Closed(_)));
        gate.open_to("a".into(), marker());
        assert_eq!(gate.passage("a", before), Passage::Free);
        assert_eq!(gate.passage("b", before), Passage::Outdated);
        assert!(matches!(gate.passage("b", Instant::now()), Passage::Closed(_)));
        gate.knocked().await;
        gate.close("wiped".into());
        assert_eq!(gate.marker(), Err(StoreError::Unavailable("wiped".into())));
        assert!(matches!(gate.passage("a", Instant::now()), Passage::Closed(_)));
    }
}
