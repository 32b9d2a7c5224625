//! A user's own sessions: the devices on which they are signed in.

use relatch_domain::event::Event;
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_domain::{SessionRef, UserId};

use super::origin::Origin;
use super::revocations::Since;
use super::{App, Failure};
use crate::store::{EndStep, Ended, StoredSession, UserSessions};

/// A user's sessions as they are judged: by the lifetimes that are configured now.
///
/// # Errors
/// If the store fails.
pub(super) async fn sessions_of(app: &App, user: UserId) -> Result<UserSessions, Failure> {
    let mut all = app.store.sessions_of(user).await?;
    for stored in &mut all.sessions {
        stored.record = stored.record.bounded_by(&app.policy.rotation);
    }
    Ok(all)
}

/// The live sessions of a user, the latest sign-in first.
///
/// # Errors
/// If the store fails.
pub async fn live_sessions(app: &App, user: UserId) -> Result<Vec<StoredSession>, Failure> {
    let all = sessions_of(app, user).await?;
    if all.corrupt > 0 {
        tracing::error!(%user, corrupt = all.corrupt, "session records that cannot be read");
    }
    let mut live: Vec<_> = all.sessions;
    let cutoffs = app.node.cutoffs.all();
    live.retain(|session| {
        session.record.is_live(all.now) && cutoffs.of(session.record.client).end_of(session.id).is_none()
    });
    live.sort_by_key(|session| std::cmp::Reverse((session.record.signed_in_at, session.id)));
    Ok(live)
}

/// Ends sessions of one user.
///
/// # Errors
/// If the store fails.
pub async fn end_sessions(
    app: &App,
    origin: &Origin,
    user: UserId,
    scope: Scope,
    reason: EndReason,
    note: Option<String>,
) -> Result<Ended, Failure> {
    let note = origin.end_note(Some(user), note);
    let since = app.since();
    let mut ended =
        app.store.end_sessions(&EndStep { user, scope, begun_before: None, reason, note }).await?;
    tell_ended(app, origin, user, since, &mut ended, reason).await;
    Ok(ended)
}

/// Tells of the sessions that ended by a step since then. Such a step is durable once the other nodes can hear of it, too.
pub(super) async fn tell_ended(
    app: &App,
    origin: &Origin,
    user: UserId,
    since: Since,
    ended: &mut Ended,
    reason: EndReason,
) {
    for session in &ended.ended {
        let session = SessionRef { user, session: *session };
        app.tell(origin, &Event::SessionEnded { session, reason }).await;
    }
    ended.durable = app.in_force(since, ended.durable).await;
}
