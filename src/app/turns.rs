//! Requests about one user that meet at the store: they take turns, each node's by itself.
//!
//! A step that writes only what is still as it was read lets one of those through that meet, and the others begin anew. Of a
//! crowd on one node only one tries at a time, so that what it meets are the other nodes' at most.

use std::time::Duration;

use relatch_domain::UserId;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

/// Users share so many turns, which costs them nothing but a short wait.
const TURNS: usize = 64;
/// How long somebody waits for a turn. Then they try without one.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct Turns([Mutex<()>; TURNS]);

impl Default for Turns {
    fn default() -> Self {
        Self([const { Mutex::const_new(()) }; TURNS])
    }
}

/// A turn, or that it did not come in time.
pub(super) type Turn<'a> = Option<MutexGuard<'a, ()>>;

impl Turns {
    /// Waits for a turn of this user. It lasts until it is dropped.
    pub(super) async fn of(&self, user: UserId) -> Turn<'_> {
        let [first, ..] = &self.0;
        let [.., last] = *user.as_bytes();
        let turn = self.0.get(usize::from(last) % TURNS).unwrap_or(first);
        timeout(PATIENCE, turn.lock()).await.ok()
    }
}
