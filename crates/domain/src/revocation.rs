//! Which of a user's sessions a revocation ends.

use crate::ids::{ClientNumber, SessionId};
use crate::session::{EndReason, SessionRecord};
use crate::time::{UnixMillis, UnixSeconds};

/// Which sessions of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This one.
    One(SessionId),
    /// All but this one.
    AllBut(SessionId),
    /// All of them.
    All,
    /// Those that began before this point.
    SignedInBefore(UnixSeconds),
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
            Self::SignedInBefore(cutoff) => record.is_some_and(|record| record.signed_in_at < cutoff),
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
    use proptest::prelude::*;

    proptest! {
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
        for (scope, covered) in [
            (Scope::SignedInBefore(UnixSeconds(1000)), false),
            (Scope::SignedInBefore(UnixSeconds(1001)), true),
            (Scope::Client(record.client), true),
            (Scope::Client(ClientNumber(record.client.0 + 1)), false),
        ] {
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
