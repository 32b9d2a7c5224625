//! A store that has come back without some of its last sign-ins and revocations gets them again.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use relatch_domain::event::Event;
use relatch_domain::{SessionId, SessionRef};

use super::App;
use super::origin::Origin;
use super::revocations::Remembered;
use crate::store::{Begun, Shard, Store, StoreError};

/// How many revocations are applied at the same time.
const AT_ONCE: usize = 32;

/// What a store had lost, and has again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restored {
    /// Sessions that were live.
    pub sessions: usize,
    /// Users who were there.
    pub users: usize,
    /// Sign-ins that it had never heard of.
    pub sign_ins: usize,
}

/// Begins the last sign-ins of a shard's users once more, and applies every revocation that this node remembers, with those
/// that the store's own log has.
/// To be done before anything is served from a shard that may have lost writes: after its process was another one.
///
/// What it does may be repeated: what has ended has ended.
///
/// # Errors
/// The first error of the store.
pub async fn apply_again(app: &App, store: &dyn Store, shard: &Shard) -> Result<Restored, StoreError> {
    let log = app.complete_log(store).await;
    // Before what has ended: it may be one of these.
    let mut restored = Restored::default();
    let mut again = app.node.newcomers.of(shard, app.clock.now());
    again.retain(|step| app.node.revocations.of(step.session).is_none());
    let mut beginning = stream::iter(again.iter().map(|step| store.begin_session(step))).buffered(AT_ONCE);
    while let Some(begun) = beginning.try_next().await? {
        restored.sign_ins += usize::from(begun != Begun::Blocked);
    }
    let mut known = app.node.revocations.everything();
    known.sessions.retain(|(session, _)| shard.holds(session.user));
    known.users.retain(|user| shard.holds(*user));
    let deleting = stream::iter(known.users.iter().map(|user| {
        let any_session = SessionRef { user: *user, session: SessionId::from_bytes([0; 16]) };
        Remembered::UserDeleted.hold_again(store, any_session)
    }));
    let mut deleting = deleting.buffered(AT_ONCE);
    while let Some(was_there) = deleting.try_next().await? {
        restored.users += usize::from(was_there);
    }
    let ending =
        known.sessions.iter().map(|(session, reason)| Remembered::Ended(*reason).hold_again(store, *session));
    let mut ending = stream::iter(ending).buffered(AT_ONCE);
    while let Some(was_live) = ending.try_next().await? {
        restored.sessions += usize::from(was_live);
    }
    // The log may be on another shard, and that one away: it is completed when that one is back.
    match log {
        Err(error) if shard.slots.is_none() => Err(error),
        _ => Ok(restored),
    }
}

/// Tells what was restored, if anything was.
pub async fn tell_restored(app: &App, restored: Restored) {
    let Restored { sessions, users, .. } = restored;
    if sessions + users > 0 {
        app.tell(&Origin::server(), &Event::RevocationsRestored { sessions, users }).await;
    }
}
