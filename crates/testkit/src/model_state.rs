//! What [`crate::model_store`] keeps, and the parts of its steps that several of them share.

use std::collections::BTreeMap;
use std::time::Duration;

use relatch::store::histories::{is_line, later_half, to_shorten, with_line};
use relatch::store::{
    Credentials, EndNote, EndStep, Ended, EntryId, KeyShelf, Marker, Observation, SessionDetails, Settled,
    StoreError, Trail, TrailEntry,
};
use relatch_domain::cutoff::Cutoffs;
use relatch_domain::ids::Thumbprint;
use relatch_domain::record::encode;
use relatch_domain::session::{Seen, SessionRecord, Standing};
use relatch_domain::unicode::Skeleton;
use relatch_domain::user::{User, Username};
use relatch_domain::{OperationId, SessionId, SessionRef, UnixMillis, UserId, revocation};

use crate::model_journal::ModelJournal;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) users: BTreeMap<UserId, Credentials>,
    pub(crate) names: BTreeMap<Username, UserId>,
    /// Who has a name of the skeleton, and since when.
    pub(crate) skeletons: BTreeMap<Skeleton, (UserId, UnixMillis)>,
    pub(crate) sessions: BTreeMap<SessionRef, Session>,
    pub(crate) shelf: KeyShelf,
    pub(crate) marker: Option<Marker>,
    pub(crate) cutoffs: Cutoffs,
    pub(crate) journal: ModelJournal,
    pub(crate) deleted: BTreeMap<UserId, (UnixMillis, User)>,
    /// Whether each operation on a user was carried out, or given up.
    pub(crate) operations: BTreeMap<(UserId, OperationId), bool>,
    pub(crate) audit: BTreeMap<Trail, Vec<TrailEntry>>,
}

pub(crate) struct Session {
    pub(crate) record: SessionRecord,
    pub(crate) thumbprint: Option<Thumbprint>,
    pub(crate) details: SessionDetails,
    pub(crate) note: EndNote,
    /// Its lines, a line break between two.
    pub(crate) history: String,
}

impl State {
    pub(crate) fn claim_skeleton(&mut self, now: UnixMillis, name: &Username, user: UserId) -> bool {
        let skeleton = Skeleton::of(name);
        let is_free = self.skeletons.get(&skeleton).is_none_or(|(holder, since)| {
            let named = self.users.get(holder).map(|found| Skeleton::of(&found.user.profile.username));
            let is_held =
                named.map_or(now.is_within(Duration::from_mins(1), *since), |other| other == skeleton);
            *holder == user || !is_held
        });
        if is_free {
            self.skeletons.insert(skeleton, (user, now));
        }
        is_free
    }

    pub(crate) fn release_skeleton(&mut self, name: &Username, user: UserId) {
        let skeleton = Skeleton::of(name);
        if self.skeletons.get(&skeleton).is_some_and(|(holder, _)| *holder == user) {
            self.skeletons.remove(&skeleton);
        }
    }

    pub(crate) fn observe(&self, now: UnixMillis, session: SessionRef) -> Observation {
        let owner = self.users.get(&session.user).map(|credentials| &credentials.user);
        let stored = self.sessions.get(&session);
        let seen = Seen {
            session: stored.map(|stored| stored.record),
            thumbprint: stored.filter(|stored| stored.record.dpop_bound).and_then(|stored| stored.thumbprint),
            user: standing(owner),
        };
        Observation { now, seen, profile: owner.map(|user| user.profile.clone()) }
    }

    pub(crate) fn replace(&mut self, session: SessionRef, record: SessionRecord) {
        if let Some(stored) = self.sessions.get_mut(&session) {
            stored.record = record;
        }
    }

    pub(crate) fn holds(&self, session: SessionRef, as_seen: &SessionRecord) -> bool {
        self.sessions.get(&session).is_some_and(|stored| encode(&stored.record) == encode(as_seen))
    }

    /// Each session that the step covers gets its tombstone.
    pub(crate) fn end(&mut self, now: UnixMillis, step: &EndStep) -> Ended {
        let mut answer = Ended { now, covered: 0, ended: Vec::new(), dead: Vec::new(), durable: true };
        let of_user = self.sessions.range_mut(sessions_from(step.user));
        for (id, stored) in of_user.filter(|(id, stored)| step.covers(id.session, Some(&stored.record))) {
            answer.covered += 1;
            if let Some((tombstone, was_live)) = revocation::end(&stored.record, step.reason, now) {
                stored.record = tombstone;
                if !step.note.is_empty() {
                    stored.note = step.note.clone();
                }
                if was_live {
                    answer.ended.push(id.session);
                }
            }
            answer.dead.push((id.session, stored.record));
        }
        answer
    }

    /// Adds a line to a session's history and makes room for it.
    pub(crate) fn append_history(&mut self, session: SessionRef, line: &str) {
        let Some(stored) = self.sessions.get_mut(&session).filter(|_| is_line(line)) else { return };
        stored.history = with_line(&stored.history, line);
        loop {
            let of_user = self.sessions.range_mut(sessions_from(session.user)).map(|(_, stored)| stored);
            let lengths = of_user.map(|stored| {
                let length = stored.history.len();
                (stored, length)
            });
            let Some(longest) = to_shorten(lengths) else { return };
            longest.history = later_half(&longest.history).to_owned();
        }
    }

    /// The lines of the histories of all sessions of a user that have one.
    pub(crate) fn histories(&self, user: UserId) -> BTreeMap<SessionId, Vec<String>> {
        let of_user = self.sessions.range(sessions_from(user));
        let with_history = of_user.filter(|(_, stored)| !stored.history.is_empty());
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        with_history.map(|(id, stored)| (id.session, lines(&stored.history))).collect()
    }

    pub(crate) fn note(&mut self, user: UserId, operation: Option<OperationId>) {
        self.operations.extend(operation.map(|operation| ((user, operation), true)));
    }

    pub(crate) fn is_open(&self, user: UserId, operation: Option<OperationId>) -> Result<(), StoreError> {
        let found = operation.and_then(|operation| self.operations.get(&(user, operation)));
        if found == Some(&false) {
            return Err(StoreError::Unavailable(Settled::GIVEN_UP.to_owned()));
        }
        Ok(())
    }

    pub(crate) fn append(&mut self, now: UnixMillis, trail: Trail, record: &[u8], keep: usize) {
        let kept = self.audit.entry(trail).or_default();
        let id = kept.last().map_or(EntryId { millis: now.0, seq: 0 }, |last| EntryId {
            millis: last.id.millis.max(now.0),
            seq: last.id.seq + 1,
        });
        kept.push(TrailEntry { id, record: record.to_vec() });
        let surplus = kept.len().saturating_sub(keep);
        kept.drain(..surplus);
    }
}

fn standing(user: Option<&User>) -> Standing {
    match user {
        None => Standing::Gone,
        Some(user) if user.disabled => Standing::Disabled,
        Some(_) => Standing::Enabled,
    }
}

pub(crate) fn sessions_from(user: UserId) -> std::ops::RangeInclusive<SessionRef> {
    let at = |byte| SessionRef { user, session: SessionId::from_bytes([byte; 16]) };
    at(0)..=at(0xff)
}
