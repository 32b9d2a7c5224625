//! A store that has come back without some of its last sign-ins and revocations gets them again.
//!
//! What has ended is ended again before anything is served. What has begun is begun again when those who may remember that it
//! has ended have had their turn: a session that somebody has left must not be served meanwhile.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use relatch_domain::event::Event;
use relatch_domain::{SessionId, SessionRef};

use super::App;
use super::origin::Origin;
use super::revocations::Remembered;
use crate::store::{BeginStep, Begun, Shard, Store, StoreError};

/// How many steps are taken at the same time.
const AT_ONCE: usize = 32;

/// What a store had lost, and has again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restored {
    /// Sessions that were live.
    pub sessions: usize,
    /// Users who were there.
    pub users: usize,
}

/// Applies every revocation of a shard's users that this node remembers, with those that the store's own log has.
/// To be done before anything is served from a shard that may have lost writes: after its process was another one.
///
/// What it does may be repeated: what has ended has ended.
///
/// # Errors
/// The first error of the store.
pub async fn end_again(app: &App, store: &dyn Store, shard: &Shard) -> Result<Restored, StoreError> {
    let log = app.complete_log(store).await;
    let mut restored = Restored::default();
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

/// The last sign-ins of a shard's users, which it may have lost.
pub fn last_sign_ins(app: &App, shard: &Shard) -> Vec<BeginStep> {
    app.node.newcomers.of(shard, app.clock.now())
}

/// Begins sign-ins once more, but for those of which this node knows that they have ended: to be done when the journal was
/// followed after everybody had time to say what has. Gives how many had been lost.
///
/// It may be repeated, too: what is there is not begun twice, and a step carries its conditions.
///
/// # Errors
/// The first error of the store.
pub async fn begin_again(app: &App, store: &dyn Store, steps: &[BeginStep]) -> Result<usize, StoreError> {
    let alive = steps.iter().filter(|step| app.node.revocations.of(step.session).is_none());
    let mut beginning = stream::iter(alive.map(|step| store.begin_session(step))).buffered(AT_ONCE);
    let mut lost = 0;
    while let Some(begun) = beginning.try_next().await? {
        lost += usize::from(begun != Begun::Blocked);
    }
    Ok(lost)
}

/// Tells what was restored, if anything was.
pub async fn tell_restored(app: &App, restored: Restored) {
    let Restored { sessions, users } = restored;
    if sessions + users > 0 {
        app.tell(&Origin::server(), &Event::RevocationsRestored { sessions, users }).await;
    }
}
