//! Sign-ins that this node remembers and a store may have lost, until it is time to give them back.

use std::time::{Duration, Instant};

use crate::store::redis::SETTLES_FOR;
use crate::store::{BeginStep, Shard};

/// What cannot be given back for so long is given up: it may have ended since, and who remembers that forgets it after an hour
/// ([`crate::store::FEED_KEEPS`]). With the half hour in [`crate::app`]'s memory of sign-ins that is well before.
const GIVEN_UP_AFTER: Duration = Duration::from_mins(10);

/// What is owed.
#[derive(Default)]
pub(super) struct Owed(Vec<Batch>);

/// What is owed to a shard.
struct Batch {
    /// When it was opened.
    since: Instant,
    sign_ins: Vec<BeginStep>,
}

impl Owed {
    /// A shard was opened at `now`. What was owed to its users before waits anew, with what is remembered of them: the shard
    /// may have lost it once more.
    pub(super) fn owe(&mut self, shard: &Shard, remembered: Vec<BeginStep>, now: Instant) {
        let mut sign_ins = remembered;
        for batch in &mut self.0 {
            let (theirs, others) = std::mem::take(&mut batch.sign_ins)
                .into_iter()
                .partition(|step| shard.holds(step.session.user));
            batch.sign_ins = others;
            let theirs: Vec<BeginStep> = theirs;
            let news: Vec<_> = theirs
                .into_iter()
                .filter(|step| !sign_ins.iter().any(|other| other.session == step.session))
                .collect();
            sign_ins.extend(news);
        }
        self.0.retain(|batch| !batch.sign_ins.is_empty());
        self.0.push(Batch { since: now, sign_ins });
    }

    /// What may be given back at `now`: everybody had time to say what has ended.
    pub(super) fn due(&self, now: Instant) -> Vec<BeginStep> {
        let due = self.0.iter().filter(|batch| batch.is_due(now));
        due.flat_map(|batch| &batch.sign_ins).cloned().collect()
    }

    /// What was due at `now` was given back, or is given up.
    pub(super) fn settle(&mut self, now: Instant) {
        self.0.retain(|batch| !batch.is_due(now));
    }

    /// Gives up what was due long before `now`.
    pub(super) fn give_up(&mut self, now: Instant) {
        self.0.retain(|batch| now.saturating_duration_since(batch.since) < GIVEN_UP_AFTER);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Batch {
    fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= SETTLES_FOR
    }
}

#[cfg(test)]
mod tests {
    use relatch_domain::testing::live_record;
    use relatch_domain::{SessionId, SessionRef, UnixSeconds, UserId};

    use super::*;
    use crate::store::SessionDetails;

    fn sign_in_of(user: UserId) -> BeginStep {
        BeginStep {
            session: SessionRef { user, session: SessionId::from_bytes([9; 16]) },
            record: live_record(UnixSeconds(1_700_000_000)),
            details: SessionDetails::default(),
            thumbprint: None,
            changes: Vec::new(),
            max_found: 9,
            checked_hash: None,
            operation: None,
        }
    }

    #[test]
    fn what_is_owed_is_due_when_everybody_had_a_turn() {
        let begun = Instant::now();
        let at = |millis: u64| begun + Duration::from_millis(millis);
        let due = |owed: &Owed, now: u64| -> Vec<UserId> {
            owed.due(at(now)).iter().map(|step| step.session.user).collect()
        };
        let (one, other) = (UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        let all = Shard::whole("here", "a");
        let mut owed = Owed::default();
        owed.owe(&all, vec![sign_in_of(one)], at(0));
        assert_eq!((due(&owed, 999), due(&owed, 1000)), (vec![], vec![one]));
        // It was another process once more before that, and somebody else has signed in since.
        owed.owe(&all, vec![sign_in_of(other)], at(900));
        assert_eq!((due(&owed, 1899), due(&owed, 1900)), (vec![], vec![other, one]));
        owed.settle(at(1899));
        assert!(!owed.is_empty());
        owed.settle(at(1900));
        assert!(owed.is_empty());
    }

    #[test]
    fn what_cannot_be_given_back_is_given_up() {
        let begun = Instant::now();
        let mut owed = Owed::default();
        owed.owe(&Shard::whole("here", "a"), vec![sign_in_of(UserId::from_bytes([1; 16]))], begun);
        owed.give_up(begun + Duration::from_mins(9));
        assert!(!owed.is_empty());
        owed.give_up(begun + GIVEN_UP_AFTER);
        assert!(owed.is_empty());
    }
}
