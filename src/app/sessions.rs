//! A user's own sessions: the devices on which they are signed in, and how they end.

use relatch_domain::event::Event;
use relatch_domain::revocation::Scope;
use relatch_domain::session::{EndReason, SessionRecord};
use relatch_domain::{SessionId, SessionRef, UnixMillis, UserId};

use super::operation::{Done, End};
use super::origin::Origin;
use super::{App, Failure};
use crate::store::{EndNote, EndStep, StoredSession, UserSessions};

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
    if !all.corrupt.is_empty() {
        tracing::error!(%user, corrupt = all.corrupt.len(), "session records that cannot be read");
    }
    // A list without a session says that it has ended.
    app.reveal(user, &dead(&all)).await?;
    let mut live: Vec<_> = all.sessions;
    let cutoffs = app.node.cutoffs.all();
    live.retain(|session| {
        session.record.is_live(all.now) && cutoffs.of(session.record.client).end_of(session.id).is_none()
    });
    live.sort_by_key(|session| std::cmp::Reverse((session.record.signed_in_at, session.id)));
    Ok(live)
}

fn dead(all: &UserSessions) -> Vec<(SessionId, SessionRecord)> {
    let ended = all.sessions.iter().filter(|stored| stored.record.ended.is_some());
    ended.map(|stored| (stored.id, stored.record)).collect()
}

/// What came of the end of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedSessions {
    /// Whether there are such sessions, live or not.
    pub found: bool,
    /// How many live ones ended by it.
    pub ended: usize,
    /// Whether it is in force for good. If not, it should be repeated.
    pub in_force: bool,
}

impl EndedSessions {
    const NONE: Self = Self { found: false, ended: 0, in_force: true };
}

/// Ends sessions of one user, whatever state they are in. Repeating it changes nothing.
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
) -> Result<EndedSessions, Failure> {
    let note = origin.end_note(Some(user), note);
    let (Covered { sessions, dead }, begun_before) = if let Scope::One(session) = scope {
        (covered_one(app, SessionRef { user, session }).await?, None)
    } else {
        let all = sessions_of(app, user).await?;
        // Who signs in from now on signs in after it.
        (covered(&all, scope), Some(UnixMillis(all.now.0.saturating_add(1))))
    };
    if sessions.is_empty() && dead.is_empty() {
        // That there is none may be because the user is gone.
        app.reveal_deleted(user).await?;
        return Ok(EndedSessions::NONE);
    }
    app.reveal(user, &dead).await?;
    end(app, origin, End { user, scope, begun_before, reason, note, sessions }).await
}

/// The sessions that an end covers.
struct Covered {
    /// Those that have not ended, each with whether it is live.
    sessions: Vec<(SessionId, bool)>,
    /// Those that have, with their tombstones.
    dead: Vec<(SessionId, SessionRecord)>,
}

impl Covered {
    fn add(&mut self, session: SessionId, record: SessionRecord, now: UnixMillis) {
        match record.ended {
            Some(_) => self.dead.push((session, record)),
            None => self.sessions.push((session, record.is_live(now))),
        }
    }
}

async fn covered_one(app: &App, session: SessionRef) -> Result<Covered, Failure> {
    let observed = app.store.observe(session).await;
    let mut covered = Covered { sessions: Vec::new(), dead: Vec::new() };
    match observed {
        Ok(observed) => {
            if let Some(record) = observed.seen.session {
                covered.add(session.session, record, observed.now);
            }
        }
        // It ends all the same: another version might read it as live one day.
        Err(crate::store::StoreError::Corrupt(_)) => covered.sessions.push((session.session, true)),
        Err(error) => return Err(error.into()),
    }
    Ok(covered)
}

fn covered(all: &UserSessions, scope: Scope) -> Covered {
    let mut covered = Covered { sessions: Vec::new(), dead: Vec::new() };
    for stored in all.sessions.iter().filter(|stored| scope.covers(stored.id, Some(&stored.record))) {
        covered.add(stored.id, stored.record, all.now);
    }
    let corrupt = all.corrupt.iter().filter(|session| scope.covers(**session, None));
    covered.sessions.extend(corrupt.map(|session| (*session, true)));
    covered
}

/// Announces the end of sessions, and carries it out, or holds it once more if there is none that has not ended. The sessions of the scope must have been revealed if they are dead.
///
/// # Errors
/// If the store fails. Should it have been announced by then, it is in force, and some node carries it out.
pub(super) async fn end(app: &App, origin: &Origin, end: End) -> Result<EndedSessions, Failure> {
    let since = app.since();
    let opened = if end.sessions.is_empty() { None } else { Some(app.announce_end(origin, &end).await?) };
    let End { user, scope, begun_before, reason, note, .. } = end;
    let ended = app.store.end_sessions(&EndStep { user, scope, begun_before, reason, note }).await?;
    for session in &ended.ended {
        let session = SessionRef { user, session: *session };
        app.note(origin, &Event::SessionEnded { session, reason });
    }
    let in_force = match opened {
        None => app.in_force(since, ended.durable).await,
        Some((operation, announced)) => {
            let done = Done { dead: &ended.dead, durable: announced && ended.durable, ..Done::default() };
            app.close_end(operation, done).await?
        }
    };
    Ok(EndedSessions { found: true, ended: ended.ended.len(), in_force })
}

/// The end of a session that the store need not know: its token is genuine.
pub(super) async fn end_genuine(
    app: &App,
    origin: &Origin,
    session: SessionRef,
    reason: EndReason,
    note: EndNote,
) -> Result<EndedSessions, Failure> {
    let Covered { mut sessions, dead } = covered_one(app, session).await?;
    app.reveal(session.user, &dead).await?;
    if sessions.is_empty() && dead.is_empty() {
        // A store that has lost it may be given it back, by a server that remembers the sign-in.
        sessions.push((session.session, false));
    }
    let (user, scope) = (session.user, Scope::One(session.session));
    end(app, origin, End { user, scope, begun_before: None, reason, note, sessions }).await
}
