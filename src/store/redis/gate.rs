//! Which processes may be served from: those that were examined, as long as they hold the marker that they had then.
//!
//! A Redis that was restarted, or replaced by its replica, may have lost its last writes. So no request passes to a
//! process until somebody has looked at it, and has written again what must not be lost. Each connection knows to which
//! process it leads, and asks the gate before each request. Of a Cluster each primary is a process of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::store::{Marker, StoreError};

/// How long a server that remembers a sign-in waits before it gives it back to a store that has taken another's place: so long
/// others may still be about to say that the session has ended. Each notices within some tenths of a second.
pub const SETTLES_FOR: Duration = Duration::from_secs(1);
/// How long a session that is missing there is no verdict: the server that remembers its sign-in may have noticed up to
/// [`SETTLES_FOR`] later than this one, waits for as long, and has then some tenths of a second to look and to write.
const MAY_BE_MISSING_FOR: Duration = SETTLES_FOR.saturating_mul(3);

/// Lets requests through to the processes that were examined.
#[derive(Debug)]
pub struct Gate {
    state: ArcSwap<State>,
    knocked: Notify,
    /// Told to all who wait for an answer when a process may be none to wait for any more.
    changed: Notify,
}

#[derive(Debug, Clone)]
struct State {
    /// The marker of the store that is served from.
    marker: Option<Marker>,
    /// The processes that are known: open to those without a reason why not.
    processes: BTreeMap<String, Option<String>>,
    /// When it was last opened to another process.
    since: Option<Instant>,
    /// When it was last opened to one that has taken another's place.
    succession: Option<Instant>,
    /// Whether this node has yet to give back the sign-ins that it remembers.
    owes: bool,
    /// Why nothing passes to the others.
    why: String,
}

/// Whether a connection may be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passage {
    Free,
    /// It leads to a process of before: there is a newer one.
    Outdated,
    /// Not yet.
    Closed(StoreError),
}

impl State {
    fn open_to(&mut self, process: &str, marker: &Marker) {
        self.marker = Some(marker.clone());
        if self.processes.get(process) != Some(&None) {
            self.processes.insert(process.to_owned(), None);
            self.since = Some(Instant::now());
        }
    }
}

impl Gate {
    pub(super) fn closed() -> Self {
        let state = State {
            marker: None,
            processes: BTreeMap::new(),
            since: None,
            succession: None,
            owes: false,
            why: "the store has not been joined yet".to_owned(),
        };
        Self { state: ArcSwap::from_pointee(state), knocked: Notify::new(), changed: Notify::new() }
    }

    /// Lets requests through to this process of the store with this marker.
    pub fn open_to(&self, process: &str, marker: &Marker) {
        self.change(|state| state.open_to(process, marker));
    }

    /// The same for a process that has taken another's place, while all who served from that one look at it. This node owes it
    /// the sign-ins that it remembers.
    pub fn open_to_successor(&self, process: &str, marker: &Marker) {
        self.change(|state| {
            // At once: whoever finds it open must find it unsettled.
            state.open_to(process, marker);
            state.succession = Some(Instant::now());
            state.owes = true;
        });
    }

    /// This node has given back all sign-ins that it remembers.
    pub fn owes_nothing(&self) {
        if self.state.load().owes {
            self.change(|state| state.owes = false);
        }
    }

    /// An error while what is missing may yet be given back.
    pub(super) fn is_settled(&self) -> Result<(), StoreError> {
        let state = self.state.load();
        match state.succession {
            Some(since) if state.owes || since.elapsed() < MAY_BE_MISSING_FOR => {
                Err(StoreError::Unavailable(
                    "the store is another process, and may yet be given what is missing".to_owned(),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Forgets all processes but those that are still there.
    pub fn keep(&self, is_there: impl Fn(&str) -> bool) {
        if self.state.load().processes.keys().any(|process| !is_there(process)) {
            self.change(|state| {
                state.processes.retain(|process, _| is_there(process));
                "it is not examined yet".clone_into(&mut state.why);
            });
        }
    }

    /// Lets nothing through to this process, and says why. Somebody should look at it.
    pub fn shut(&self, process: &str, why: &str) {
        self.change(|state| drop(state.processes.insert(process.to_owned(), Some(why.to_owned()))));
        self.knocked.notify_one();
    }

    /// Lets nothing through at all, and says why.
    pub fn close(&self, why: &str) {
        self.change(|state| {
            state.processes.clear();
            why.clone_into(&mut state.why);
        });
        self.knocked.notify_one();
    }

    /// Whether requests pass to this process.
    pub fn is_open_to(&self, process: &str) -> bool {
        self.state.load().processes.get(process) == Some(&None)
    }

    /// Returns when the gate was found shut since the last call, or there is something else to look at.
    pub async fn knocked(&self) {
        self.knocked.notified().await;
    }

    /// Asks for somebody to look at the store.
    pub(super) fn knock(&self) {
        self.knocked.notify_one();
    }

    /// Whether a connection to `process` may be used that was opened at `opened`.
    pub(super) fn passage(&self, process: &str, opened: Instant) -> Passage {
        let state = self.state.load();
        let why = match state.processes.get(process) {
            Some(None) => return Passage::Free,
            Some(Some(why)) => why,
            None if state.since.is_some_and(|since| opened < since) => return Passage::Outdated,
            None => &state.why,
        };
        self.knocked.notify_one();
        Passage::Closed(StoreError::Unavailable(why.clone()))
    }

    /// Returns when this process is no part of the store any more: nobody need wait for its answer.
    pub(super) async fn given_up(&self, process: &str) {
        loop {
            let changed = self.changed.notified();
            if !self.state.load().processes.contains_key(process) {
                return;
            }
            changed.await;
        }
    }

    /// Returns when it is opened to another process, or shut to one.
    pub(super) async fn changes(&self) {
        self.changed.notified().await;
    }

    /// Since when requests pass to all the processes that they pass to.
    pub(super) fn open_since(&self) -> Option<Instant> {
        self.state.load().since
    }

    /// The marker that the store had when it was examined. An error while nothing passes.
    pub(super) fn marker(&self) -> Result<Marker, StoreError> {
        let state = self.state.load();
        match &state.marker {
            Some(marker) if state.processes.values().any(Option::is_none) => Ok(marker.clone()),
            _ => {
                let refused = state.processes.values().flatten().next();
                Err(StoreError::Unavailable(refused.unwrap_or(&state.why).clone()))
            }
        }
    }

    /// Whoever changes it does so on its own: the keeper, and whoever finds a store wiped.
    fn change(&self, change: impl Fn(&mut State)) {
        self.state.rcu(|state| {
            let mut state = State::clone(state);
            change(&mut state);
            state
        });
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker() -> Marker {
        Marker { store_id: "one".into(), issuer: "us".into(), master_key_check: "ours".into() }
    }

    #[tokio::test]
    async fn only_processes_that_were_examined_are_free() {
        let gate = Gate::closed();
        let before = Instant::now().checked_sub(Duration::from_millis(1)).unwrap();
        assert!(matches!(gate.passage("a", before), Passage::Closed(_)));
        assert!(gate.marker().is_err());
        gate.open_to("a", &marker());
        assert_eq!((gate.passage("a", before), gate.marker()), (Passage::Free, Ok(marker())));
        assert_eq!(gate.passage("b", before), Passage::Outdated);
        assert!(matches!(gate.passage("b", Instant::now()), Passage::Closed(_)));
        gate.open_to("b", &marker());
        assert!(gate.is_open_to("a") && gate.is_open_to("b"));
        let mut waiting = Box::pin(gate.given_up("a"));
        tokio::select! {
            biased;
            () = &mut waiting => panic!("it is still open to it"),
            () = std::future::ready(()) => {}
        }
        gate.keep(|process| process == "b");
        waiting.await;
        assert_eq!((gate.is_open_to("a"), gate.passage("a", before)), (false, Passage::Outdated));
        gate.knocked().await;
        gate.shut("b", "wiped");
        let wiped = || StoreError::Unavailable("wiped".into());
        assert_eq!(gate.passage("b", Instant::now()), Passage::Closed(wiped()));
        assert_eq!(gate.marker(), Err(wiped()));
        gate.open_to("b", &marker());
        assert_eq!(gate.passage("b", Instant::now()), Passage::Free);
        assert_eq!(gate.is_settled(), Ok(()));
        gate.open_to_successor("c", &marker());
        assert!(matches!(gate.is_settled(), Err(StoreError::Unavailable(_))));
        gate.change(|state| state.succession = Instant::now().checked_sub(MAY_BE_MISSING_FOR));
        assert!(gate.is_settled().is_err(), "the sign-ins that this node remembers are not back yet");
        gate.owes_nothing();
        assert_eq!(gate.is_settled(), Ok(()));
        gate.close("over");
        assert_eq!(gate.marker(), Err(StoreError::Unavailable("over".into())));
        assert!(matches!(gate.passage("b", Instant::now()), Passage::Closed(_)));
    }
}
