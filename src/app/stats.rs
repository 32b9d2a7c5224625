//! Stats: how things stand, and what this node has seen since it started.

use std::time::Duration;

use relatch_domain::UnixMillis;

use super::node::StoreKind;
use super::{App, Failure};
use crate::keys::ring::KeyState;
use crate::store::StoreError;

/// How things stand.
#[derive(Debug)]
pub struct Stats {
    /// How many users there are; nothing if the store does not answer.
    pub users: Option<u64>,
    /// How many keys there are in each state.
    pub keys: KeyCounts,
    /// What kind of store it is.
    pub store: StoreKind,
    /// Whoever signed in before this is signed out; nothing if there never was a cutoff.
    pub cutoff: Option<UnixMillis>,
    /// When this node started, by its clock.
    pub started_at: UnixMillis,
    /// For how long it has been running.
    pub uptime: Duration,
}

/// How many keys there are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCounts {
    /// They are published and will sign.
    pub next: usize,
    /// They sign, or could.
    pub active: usize,
    /// They sign no more.
    pub retired: usize,
    /// What they signed is good no more.
    pub revoked: usize,
}

/// Looks how things stand.
///
/// # Errors
/// If keys are missing, or the store holds what cannot be read. A store that is away is part of the answer.
pub async fn stats(app: &App) -> Result<Stats, Failure> {
    let users = match app.store.count_users().await {
        Ok(users) => Some(users),
        Err(error @ StoreError::Corrupt(_)) => return Err(error.into()),
        Err(StoreError::Unavailable(_) | StoreError::Indeterminate(_) | StoreError::Misconfigured(_)) => None,
    };
    let ring = app.ring()?;
    let in_state = |state| ring.keys().iter().filter(|key| key.state == state).count();
    let cutoff = app.node.cutoffs.all().everyone;
    Ok(Stats {
        users,
        keys: KeyCounts {
            next: in_state(KeyState::Next),
            active: in_state(KeyState::Active),
            retired: in_state(KeyState::Retired),
            revoked: in_state(KeyState::Revoked),
        },
        store: app.node.store,
        cutoff: (cutoff > UnixMillis(0)).then_some(cutoff),
        started_at: app.node.started_at,
        uptime: app.clock.now().age_since(app.node.started_at),
    })
}
