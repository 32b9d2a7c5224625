//! Which of a user's sessions a revocation ends, and what everyone is told of it.

use std::fmt;
use std::str::FromStr;

use crate::ids::{ClientNumber, SessionId, SessionRef, UserId};
use crate::session::{EndReason, SessionRecord};
use crate::time::UnixMillis;

/// That somebody's tokens are good no more, as nodes and API servers are told. Needs no store to be understood.
///
/// Written as a line of text: `session ID REASON`, `user ID`, `cutoff MILLIS`, `client NUMBER MILLIS` or `key KID`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Revocation {
    /// A session has ended.
    Session {
        /// Which.
        session: SessionRef,
        /// Why.
        reason: EndReason,
    },
    /// A user was deleted, with all sessions.
    User(UserId),
    /// All sessions that began before this point are over.
    SignedInBefore(UnixMillis),
    /// All sessions of a client that began before a point in time are over.
    Client {
        /// The client.
        client: ClientNumber,
        /// The point in time.
        before: UnixMillis,
    },
    /// What this signing key has signed is good no more.
    Key(KeyId),
}

/// Longest id of a signing key that is announced, in bytes.
const MAX_KEY_ID: usize = 64;

/// The id of a signing key: `kid` of the tokens that it signs. Visible ASCII, at most 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyId(Box<str>);

impl KeyId {
    /// The id, if it is one that can be announced.
    pub fn new(kid: &str) -> Option<Self> {
        let is_one = (1..=MAX_KEY_ID).contains(&kid.len()) && kid.bytes().all(|byte| byte.is_ascii_graphic());
        is_one.then(|| Self(kid.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Revocation {
    /// What it is about: of one subject there is one live entry in the log at the most.
    pub fn subject(&self) -> String {
        match self {
            Self::Session { session, .. } => format!("session {session}"),
            Self::User(_) | Self::SignedInBefore(_) | Self::Client { .. } | Self::Key(_) => self.to_string(),
        }
    }
}

/// A text that is no [`Revocation`], or one of a kind that a later version has added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a revocation of a known kind")]
pub struct InvalidRevocation;

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session { session, reason } => write!(f, "session {session} {}", reason.code()),
            Self::User(user) => write!(f, "user {user}"),
            Self::SignedInBefore(cutoff) => write!(f, "cutoff {}", cutoff.0),
            Self::Client { client, before } => write!(f, "client {} {}", client.0, before.0),
            Self::Key(kid) => write!(f, "key {}", kid.as_str()),
        }
    }
}

impl FromStr for Revocation {
    type Err = InvalidRevocation;

    fn from_str(text: &str) -> Result<Self, InvalidRevocation> {
        let mut words = text.split(' ');
        let read = match (words.next(), words.next(), words.next()) {
            (Some("session"), Some(session), Some(reason)) => {
                let reason = EndReason::ALL.into_iter().find(|known| known.code() == reason);
                session.parse().ok().zip(reason).map(|(session, reason)| Self::Session { session, reason })
            }
            (Some("user"), Some(user), None) => user.parse().ok().map(Self::User),
            (Some("cutoff"), Some(at), None) => at.parse().ok().map(UnixMillis).map(Self::SignedInBefore),
            (Some("client"), Some(client), Some(before)) => {
                let before = before.parse().ok().map(UnixMillis);
                let client = client.parse().ok().map(ClientNumber);
                client.zip(before).map(|(client, before)| Self::Client { client, before })
            }
            (Some("key"), Some(kid), None) => KeyId::new(kid).map(Self::Key),
            _ => None,
        };
        read.filter(|_| words.next().is_none()).ok_or(InvalidRevocation)
    }
}

/// Which sessions of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This one.
    One(SessionId),
    /// All but this one.
    AllBut(SessionId),
    /// All of them.
    All,
    /// Those of one OAuth client.
    Client(ClientNumber),
}

impl Scope {
    /// Whether a session falls under the scope. Without a record that can be read, what the record would have to tell
    /// counts as no.
    pub fn covers(self, session: SessionId, record: Option<&SessionRecord>) -> bool {
        match self {
            Self::One(one) => session == one,
            Self::AllBut(spared) => session != spared,
            Self::All => true,
            Self::Client(client) => record.is_some_and(|record| record.client == client),
        }
    }
}

/// What a revocation does to one record it covers: the record to write, and whether a live session ended.
///
/// Nothing for a session that has ended already. One that is past a deadline is ended too, though it does not count:
/// after lost writes its deadline may be stale, and a heal must not get past a revocation.
pub fn end(record: &SessionRecord, reason: EndReason, now: UnixMillis) -> Option<(SessionRecord, bool)> {
    record.ended.is_none().then(|| (record.end(reason, now), record.is_live(now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Ended;
    use crate::testing::{record, sessions_at};
    use crate::time::UnixSeconds;
    use proptest::prelude::*;

    fn revocation() -> impl Strategy<Value = Revocation> {
        let id = any::<[u8; 16]>;
        prop_oneof![
            (id(), id(), proptest::sample::select(&EndReason::ALL[..])).prop_map(
                |(user, session, reason)| {
                    let (user, session) = (UserId::from_bytes(user), SessionId::from_bytes(session));
                    Revocation::Session { session: SessionRef { user, session }, reason }
                }
            ),
            id().prop_map(|user| Revocation::User(UserId::from_bytes(user))),
            any::<u64>().prop_map(|at| Revocation::SignedInBefore(UnixMillis(at))),
            any::<(u16, u64)>().prop_map(|(client, before)| {
                Revocation::Client { client: ClientNumber(client), before: UnixMillis(before) }
            }),
            "[!-~]{1,64}".prop_map(|kid| Revocation::Key(KeyId::new(&kid).unwrap())),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_else(revocation in revocation(), more in "[ -~]{1,9}") {
            let text = revocation.to_string();
            prop_assert!(text.starts_with(&revocation.subject()));
            prop_assert_eq!(text.parse(), Ok(revocation));
            let longer = format!("{text} {more}");
            prop_assert_eq!(longer.parse::<Revocation>(), Err(InvalidRevocation));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}") {
            prop_assert!(text.parse::<Revocation>().is_err());
        }

        #[test]
        fn an_end_is_final(record in record(), now in sessions_at()) {
            let ended = end(&record, EndReason::RevokedByAdmin, now);
            prop_assert_eq!(ended.is_none(), record.ended.is_some());
            if let Some((ended, counts)) = ended {
                prop_assert_eq!(counts, record.is_live(now));
                prop_assert!(end(&ended, EndReason::SignedOut, now).is_none());
                prop_assert!(!ended.is_live(UnixMillis(0)));
            }
        }
    }

    #[test]
    fn scopes_cover_what_they_say() {
        let (a, b) = (SessionId::from_bytes([1; 16]), SessionId::from_bytes([2; 16]));
        let covers = |scope: Scope, session| scope.covers(session, None);
        assert!(covers(Scope::One(a), a) && !covers(Scope::One(a), b));
        assert!(covers(Scope::AllBut(a), b) && !covers(Scope::AllBut(a), a));
        assert!(covers(Scope::All, a));
    }

    #[test]
    fn what_the_record_tells_decides_and_without_a_record_nothing_is_covered() {
        let id = SessionId::from_bytes([1; 16]);
        let record = crate::testing::live_record(UnixSeconds(1000));
        for (scope, covered) in
            [(Scope::Client(record.client), true), (Scope::Client(ClientNumber(record.client.0 + 1)), false)]
        {
            assert_eq!(scope.covers(id, Some(&record)), covered, "{scope:?}");
            assert!(!scope.covers(id, None), "{scope:?}");
        }
    }

    #[test]
    fn the_end_has_its_reason_and_second() {
        let record = crate::testing::live_record(UnixSeconds(1000));
        let (ended, counts) = end(&record, EndReason::Reuse, UnixMillis(1_001_900)).unwrap();
        assert!(counts);
        assert_eq!(ended.ended, Some(Ended { reason: EndReason::Reuse, at: UnixSeconds(1001) }));
    }
}
