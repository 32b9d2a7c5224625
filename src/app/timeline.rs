//! Timeline: what happened to a session, told from what the store still has of it.
//!
//! A session leaves its sign-in, its last rotation and its end: [`entries`] reads them from record, details and note. What
//! happened between stands in its [history]. An ended session is remembered for a day or longer (`SessionLimits::tombstone_ttl`); with it goes its timeline.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use relatch_domain::event::Event;
use relatch_domain::session::{EndReason, SessionRecord};
use relatch_domain::user::Role;
use relatch_domain::{Generation, SessionId, SessionRef, UnixMillis, UnixSeconds, UserId};

use super::caller::LiveCaller;
use super::history::{self, Line};
use super::origin::Origin;
use super::sessions::sessions_of;
use super::{App, Failure};
use crate::store::{EndNote, SessionDetails, StoredSession, UserSessions};

/// Something that happened to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: UnixSeconds,
    /// To which session.
    pub session: SessionId,
    /// What.
    pub what: What,
    /// Its place among others of the same kind.
    rank: u8,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It began.
    SignedIn(SessionDetails),
    /// It rotated: so many times that it has come to this generation. The entry's time is that of the last rotation.
    Refreshed(Generation),
    /// Something else than an ordinary refresh.
    Happened(Line),
    /// It was not used for too long, or reached its end.
    Expired(Deadline),
    /// It was ended.
    Ended(EndReason, EndNote),
}

impl What {
    /// The same as the session's user may read it. What administrators write is for administrators, and so is where
    /// they sit: who ended the session is told of only if it was its user, or somebody who came with its tokens.
    #[must_use]
    pub fn for_its_user(self) -> Self {
        let Self::Ended(reason, note) = self else { return self };
        let told = note.by_its_user
            || match reason {
                EndReason::SignedOut | EndReason::RevokedByUser | EndReason::Reuse | EndReason::Replaced => {
                    true
                }
                EndReason::RevokedByAdmin
                | EndReason::PasswordChanged
                | EndReason::SignedInBefore
                | EndReason::UserDisabled => false,
            };
        let note = if told { EndNote { text: None, ..note } } else { EndNote::default() };
        Self::Ended(reason, note)
    }
}

/// A deadline that a session can miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// Moved by each rotation.
    Idle,
    /// Never moved.
    Absolute,
}

impl Deadline {
    /// The machine code that clients see.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Absolute => "absolute",
        }
    }
}

/// Where an entry stands in a timeline, which goes from the highest place to the lowest.
pub type Place = (UnixSeconds, SessionId, u8);

impl Entry {
    /// Where it stands. What happened to one session within a second stands in the order in which it can happen.
    pub const fn place(&self) -> Place {
        let rank = match self.what {
            What::SignedIn(_) => 0,
            What::Refreshed(_) => 1,
            // Those of one second stand in the order in which they were kept.
            What::Happened(_) => self.rank.saturating_add(2),
            What::Expired(_) => 254,
            What::Ended(..) => 255,
        };
        (self.at, self.session, rank)
    }
}

/// The timeline of a session, newest first, for whoever reads it: its user or an administrator. Nothing if there is no
/// such session for this reader.
///
/// # Errors
/// If the store fails.
pub async fn session_timeline(
    app: &App,
    origin: &Origin,
    reader: &LiveCaller,
    session: SessionRef,
) -> Result<Option<Vec<Entry>>, Failure> {
    let is_own = session.user == reader.caller.session.user;
    if !is_own && !reader.profile.roles.has(Role::ADMIN) {
        return Ok(None);
    }
    let mut all = sessions_of(app, session.user).await?;
    all.sessions.retain(|stored| stored.id == session.session);
    let found = if all.sessions.is_empty() {
        None
    } else {
        let history = app.store.history(session).await?;
        Some(newest_first(&all, &[(session.session, history)].into()))
    };
    if !is_own {
        let status = if found.is_some() { 200 } else { 404 };
        let route = "/sessions/{id}/timeline".to_owned();
        let call = Event::AdminCall { method: "GET", route, user: Some(session.user), status };
        app.tell(origin, &call).await;
    }
    Ok(found)
}

/// The timelines of all sessions of a user as one, newest first. Nothing if there is no such user.
///
/// # Errors
/// If the store fails.
pub async fn user_timeline(app: &App, user: UserId) -> Result<Option<Vec<Entry>>, Failure> {
    let all = sessions_of(app, user).await?;
    if !all.corrupt.is_empty() {
        tracing::error!(%user, corrupt = all.corrupt.len(), "session records that cannot be read");
    }
    if all.user.is_none() {
        return Ok(None);
    }
    Ok(Some(newest_first(&all, &app.store.histories(user).await?)))
}

fn newest_first(all: &UserSessions, histories: &BTreeMap<SessionId, Vec<String>>) -> Vec<Entry> {
    let history = |id| histories.get(&id).map(Vec::as_slice).unwrap_or_default();
    let of = |stored: &StoredSession| entries(stored, history(stored.id), all.now);
    let mut entries: Vec<_> = all.sessions.iter().flat_map(of).collect();
    entries.sort_by_key(|entry| Reverse(entry.place()));
    entries
}

/// What a stored session and the lines of its history tell about it at `now`, oldest first.
pub fn entries(stored: &StoredSession, history: &[String], now: UnixMillis) -> Vec<Entry> {
    let record = &stored.record;
    let entry = |at, what| Entry { at, session: stored.id, what, rank: 0 };
    let mut entries = vec![entry(record.signed_in_at, What::SignedIn(stored.details.clone()))];
    if record.generation > Generation(0) {
        entries.push(entry(record.rotated_at.seconds(), What::Refreshed(record.generation)));
    }
    entries.extend(history::lines(history).into_iter().zip(0..).map(|(line, rank)| Entry {
        at: line.time(),
        session: stored.id,
        what: What::Happened(line),
        rank,
    }));
    if let Some((_, since)) = entries.split_first_mut() {
        since.sort_by_key(Entry::place);
    }
    if let Some((at, deadline)) = missed_deadline(record, now) {
        entries.push(entry(at, What::Expired(deadline)));
    }
    if let Some(ended) = record.ended {
        entries.push(entry(ended.at, What::Ended(ended.reason, stored.note.clone())));
    }
    entries
}

/// The deadline that a session missed while it had not been ended. One that expired can still be ended, which then
/// is not why its user was signed out.
fn missed_deadline(record: &SessionRecord, now: UnixMillis) -> Option<(UnixSeconds, Deadline)> {
    let (at, deadline) = if record.absolute_deadline <= record.idle_deadline {
        (record.absolute_deadline, Deadline::Absolute)
    } else {
        (record.idle_deadline, Deadline::Idle)
    };
    let missed = match record.ended {
        Some(ended) => at <= ended.at,
        None => at.is_over(now),
    };
    missed.then_some((at, deadline))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use relatch_domain::session::Ended;
    use relatch_domain::testing::{live_record, record, sessions_at};

    fn stored(record: SessionRecord) -> StoredSession {
        let details = SessionDetails { device_name: Some("phone".to_owned()), ..SessionDetails::default() };
        let id = SessionId::from_bytes([7; 16]);
        StoredSession { id, record, details, note: EndNote::saying("lost") }
    }

    fn told(record: SessionRecord, now: u32) -> Vec<(u32, What)> {
        let entries = entries(&stored(record), &[], UnixSeconds(now).millis());
        entries.into_iter().map(|entry| (entry.at.0, entry.what)).collect()
    }

    fn begun() -> SessionRecord {
        SessionRecord {
            generation: Generation(0),
            rotated_at: UnixMillis(1_000_400),
            idle_deadline: UnixSeconds(2000),
            absolute_deadline: UnixSeconds(5000),
            ..live_record(UnixSeconds(1000))
        }
    }

    fn signed_in() -> (u32, What) {
        (1000, What::SignedIn(stored(begun()).details))
    }

    #[test]
    fn a_session_that_goes_on_tells_of_sign_in_and_last_rotation() {
        assert_eq!(told(begun(), 1500), [signed_in()]);
        let used = SessionRecord { generation: Generation(7), rotated_at: UnixMillis(1_700_900), ..begun() };
        assert_eq!(told(used, 1800), [signed_in(), (1700, What::Refreshed(Generation(7)))]);
    }

    #[test]
    fn an_expired_session_tells_which_deadline_it_missed() {
        assert_eq!(told(begun(), 1999), [signed_in()]);
        assert_eq!(told(begun(), 2000), [signed_in(), (2000, What::Expired(Deadline::Idle))]);
        let worn = SessionRecord { idle_deadline: UnixSeconds(5000), ..begun() };
        assert_eq!(told(worn, 6000), [signed_in(), (5000, What::Expired(Deadline::Absolute))]);
    }

    #[test]
    fn an_ended_session_tells_why_and_what_is_noted() {
        let ended_at = |at| {
            let ended = Some(Ended { reason: EndReason::RevokedByAdmin, at: UnixSeconds(at) });
            SessionRecord { ended, ..begun() }
        };
        let ended = |at| (at, What::Ended(EndReason::RevokedByAdmin, EndNote::saying("lost")));
        // It does not expire any more, however late it is read.
        assert_eq!(told(ended_at(1999), 9000), [signed_in(), ended(1999)]);
        // Nor is it forgotten that it had expired before.
        let expired = (2000, What::Expired(Deadline::Idle));
        assert_eq!(told(ended_at(2000), 9000), [signed_in(), expired, ended(2000)]);
    }

    #[test]
    fn its_user_reads_of_whoever_held_its_tokens_and_of_no_administrator() {
        let read = |reason, by_its_user| {
            let note = EndNote {
                address: Some("192.0.2.7".to_owned()),
                user_agent: Some("agent".to_owned()),
                by_its_user,
                ..EndNote::saying("lost")
            };
            match What::Ended(reason, note).for_its_user() {
                What::Ended(same, note) if same == reason => (note.text, note.address, note.user_agent),
                other => unreachable!("{other:?}"),
            }
        };
        let told = (None, Some("192.0.2.7".to_owned()), Some("agent".to_owned()));
        for reason in [EndReason::SignedOut, EndReason::RevokedByUser, EndReason::Reuse, EndReason::Replaced]
        {
            assert_eq!(read(reason, false), told, "{reason:?}");
        }
        for reason in [
            EndReason::RevokedByAdmin,
            EndReason::PasswordChanged,
            EndReason::SignedInBefore,
            EndReason::UserDisabled,
        ] {
            assert_eq!(read(reason, false), (None, None, None), "{reason:?}");
            assert_eq!(read(reason, true), told, "{reason:?}");
        }
        assert_eq!(signed_in().1.for_its_user(), signed_in().1);
    }

    proptest! {
        #[test]
        fn every_session_begins_and_is_told_in_order(record in record(), now in sessions_at()) {
            let entries = entries(&stored(record), &[], now);
            prop_assert!(matches!(entries[0].what, What::SignedIn(_)));
            prop_assert_eq!(record.is_live(now), entries.iter().all(|entry| {
                matches!(entry.what, What::SignedIn(_) | What::Refreshed(_))
            }));
            let mut ranks: Vec<_> = entries.iter().map(|entry| entry.place().2).collect();
            prop_assert!(ranks.is_sorted());
            ranks.dedup();
            prop_assert_eq!(ranks.len(), entries.len());
        }
    }
}
