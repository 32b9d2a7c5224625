//! Session history: a user's sessions as operators see them, those that are over too, and how they ended.

use relatch_domain::cutoff::Cutoffs;
use relatch_domain::session::{EndReason, SessionRecord};
use relatch_domain::{SessionId, UnixMillis, UnixSeconds, UserId};

use super::sessions::sessions_of;
use super::{App, Failure};
use crate::store::StoredSession;

/// What has become of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// It can be refreshed.
    Live,
    /// It is past a deadline.
    Expired,
    /// It was ended.
    Ended {
        /// Why.
        reason: EndReason,
        /// When; unknown while only a cutoff tells that it is over.
        at: Option<UnixSeconds>,
    },
}

/// A session that the store still knows of.
#[derive(Debug, Clone)]
pub struct KnownSession {
    /// The session.
    pub stored: StoredSession,
    /// What has become of it.
    pub state: SessionState,
}

/// All sessions of a user that the store remembers, the latest sign-in first. Those that are over are remembered for a
/// while only.
///
/// # Errors
/// If the store fails.
pub async fn known_sessions(app: &App, user: UserId) -> Result<Vec<KnownSession>, Failure> {
    let all = sessions_of(app, user).await?;
    if !all.corrupt.is_empty() {
        tracing::error!(%user, corrupt = all.corrupt.len(), "session records that cannot be read");
    }
    let cutoffs = app.node.cutoffs.all();
    let known = |stored: StoredSession| {
        let state = state_of(stored.id, &stored.record, all.now, &cutoffs);
        KnownSession { stored, state }
    };
    let mut sessions: Vec<_> = all.sessions.into_iter().map(known).collect();
    sessions.sort_by_key(|known| std::cmp::Reverse((known.stored.record.signed_in_at, known.stored.id)));
    Ok(sessions)
}

/// As a refresh would judge it: an end comes before the cutoff, and that before a deadline.
pub(super) fn state_of(
    session: SessionId,
    record: &SessionRecord,
    now: UnixMillis,
    cutoffs: &Cutoffs,
) -> SessionState {
    if let Some(ended) = record.ended {
        return SessionState::Ended { reason: ended.reason, at: Some(ended.at) };
    }
    if let Some(reason) = cutoffs.of(record.client).end_of(session) {
        return SessionState::Ended { reason, at: None };
    }
    if record.is_live(now) { SessionState::Live } else { SessionState::Expired }
}

#[cfg(test)]
mod tests {
    use super::*;
    use relatch_domain::testing::{live_record, session_began_at};

    #[test]
    fn a_session_is_what_a_refresh_would_say() {
        let (record, now) = (live_record(UnixSeconds(1000)), UnixMillis(1_000_500));
        let session = session_began_at(UnixMillis(1_000_300));
        let state = |record: &SessionRecord, now, cutoff| {
            let cutoffs = Cutoffs { everyone: UnixMillis(cutoff), ..Cutoffs::default() };
            state_of(session, record, now, &cutoffs)
        };
        assert_eq!(state(&record, now, 1_000_300), SessionState::Live);
        let after = record.idle_deadline.millis();
        assert_eq!(state(&record, after, 0), SessionState::Expired);
        let cut = SessionState::Ended { reason: EndReason::SignedInBefore, at: None };
        assert_eq!(state(&record, after, 1_000_301), cut);
        let ended = record.end(EndReason::Reuse, now);
        let reuse = SessionState::Ended { reason: EndReason::Reuse, at: Some(UnixSeconds(1000)) };
        assert_eq!(state(&ended, after, 1_000_301), reuse);
    }
}
