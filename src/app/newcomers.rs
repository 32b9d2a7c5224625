//! The last sign-ins of a node, for a store that turns out to have lost them.
//!
//! A sign-in is answered before every replica and every disk has it. Whoever has just signed in must not be signed out
//! because the primary died right then: the node does the same step again on the store that has come in its place, as soon as
//! the other nodes have had time to say what has ended since ([`super::restore`]). Until then the session is missing, which is
//! no verdict. The step carries its conditions: where the session is there, or the password is another one by now, nothing
//! happens.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use relatch_domain::UnixMillis;

use crate::store::{BeginStep, Shard};

/// How long before the latest sign-in the earliest was that is remembered: no store loses more than that.
const LAST: Duration = Duration::from_secs(10);
/// A sign-in older than that is not done again, whenever the latest was: it may have ended since, and who remembers that
/// forgets it after an hour ([`crate::store::FEED_KEEPS`]).
const OLDEST: Duration = Duration::from_mins(30);
/// How many are remembered at the most. The oldest go first.
const MOST: usize = 10_000;

/// Sign-ins that a store may have lost.
#[derive(Debug, Default)]
pub(super) struct Newcomers(Mutex<VecDeque<(UnixMillis, BeginStep)>>);

impl Newcomers {
    /// Remembers a sign-in that has just been made.
    pub(super) fn remember(&self, step: BeginStep, now: UnixMillis) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while all.front().is_some_and(|(made, _)| all.len() >= MOST || now.age_since(*made) > LAST) {
            all.pop_front();
        }
        all.push_back((now, step));
    }

    /// The sign-ins of a shard's users, the earliest first.
    pub(super) fn of(&self, shard: &Shard, now: UnixMillis) -> Vec<BeginStep> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may_be_lost = |(made, step): &&(UnixMillis, BeginStep)| {
            now.is_within(OLDEST, *made) && shard.holds(step.session.user)
        };
        all.iter().filter(may_be_lost).map(|(_, step)| step.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use relatch_domain::ids::{ClientNumber, OriginTag};
    use relatch_domain::policy::RotationPolicy;
    use relatch_domain::session::{Authentication, Delivery};
    use relatch_domain::sign_in::{NewSession, first_record};
    use relatch_domain::{MacKeyId, Nonce, SessionId, SessionRef, UserId};

    use super::*;
    use crate::store::SessionDetails;

    fn step(number: u8) -> BeginStep {
        let new = NewSession {
            nonce: Nonce([0; 8]),
            mac_key: MacKeyId(1),
            delivery: Delivery::Body,
            authentication: Authentication::Password,
            client: ClientNumber::FIRST_PARTY,
            dpop_bound: false,
            origin: OriginTag(0),
        };
        BeginStep {
            session: SessionRef {
                user: UserId::from_bytes([number; 16]),
                session: SessionId::from_bytes([number; 16]),
            },
            record: first_record(&new, UnixMillis(0), &RotationPolicy::default()),
            details: SessionDetails::default(),
            thumbprint: None,
            changes: Vec::new(),
            max_found: 9,
            checked_hash: None,
            operation: None,
        }
    }

    #[test]
    fn the_last_ten_seconds_of_sign_ins_are_remembered_for_half_an_hour() {
        let newcomers = Newcomers::default();
        let at = |seconds: u64| UnixMillis(seconds * 1000);
        let shard = Shard { at: String::new(), process: String::new(), slots: None };
        let remembered = |now| -> Vec<_> {
            newcomers.of(&shard, now).iter().map(|step| step.session.user.as_bytes()[0]).collect()
        };
        for second in [0, 1, 5, 11] {
            newcomers.remember(step(second), at(second.into()));
        }
        assert_eq!(remembered(at(12)), [1, 5, 11]);
        assert_eq!(remembered(at(10 + 1800)), [11], "nobody has signed in since");
        assert_eq!(remembered(at(11 + 1800)), Vec::<u8>::new());
        for _ in 0..=MOST {
            newcomers.remember(step(12), at(12));
        }
        assert_eq!(newcomers.of(&shard, at(12)).len(), MOST);
    }
}
