//! What a node remembers of revocations.
//!
//! A revocation is in force with its entry in the log of the store's journal, which every node follows and remembers as
//! long as it stays there: the check of an access token that asks no store refuses the session, a refresh does before it
//! goes there, and a store that turns out to have lost the tombstone gets it again ([`super::restore`]).

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use relatch_domain::revocation::{Revocation, Scope};
use relatch_domain::rotation::Verdict;
use relatch_domain::session::EndReason;
use relatch_domain::{SessionRef, UnixMillis, UserId};

use super::caller::NotLetIn;
use crate::store::{EndNote, EndStep, EntryId, LOG_KEEPS, NewEntry, OpenOperation, Store, StoreError};

/// How a session is known to have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remembered {
    /// It was ended.
    Ended(EndReason),
    /// Its user was deleted.
    UserDeleted,
}

impl Remembered {
    /// What becomes of a refresh: the same as the store would have it.
    pub(super) const fn verdict(self) -> Verdict {
        match self {
            Self::Ended(reason) => Verdict::Revoked(reason),
            Self::UserDeleted => Verdict::Unknown,
        }
    }

    /// Gives the store, which has lost it, the end again.
    pub(super) async fn hold_again(self, store: &dyn Store, session: SessionRef) -> Result<bool, StoreError> {
        match self {
            Self::Ended(reason) => {
                let note = EndNote::saying("ended again: the store had lost it");
                let step = EndStep {
                    user: session.user,
                    scope: Scope::One(session.session),
                    begun_before: None,
                    reason,
                    note,
                };
                Ok(!store.end_sessions(&step).await?.ended.is_empty())
            }
            Self::UserDeleted => {
                let was_there = store.user(session.user).await?.is_some();
                store.delete_user(session.user, None).await?;
                Ok(was_there)
            }
        }
    }

    /// What becomes of an access token.
    pub(super) const fn refusal(self) -> NotLetIn {
        match self {
            Self::Ended(reason) => NotLetIn::SessionRevoked(Some(reason)),
            Self::UserDeleted => NotLetIn::SessionRevoked(None),
        }
    }
}

/// What a node has heard of revocations.
#[derive(Default)]
pub struct Revocations {
    memory: RwLock<Memory>,
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("remembered", &self.read().order.len()).finish_non_exhaustive()
    }
}

/// How far a node has read the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    /// Another one each time that the log is read from its beginning.
    pub(super) reading: u64,
    /// The last entry that was read.
    pub(super) last: Option<EntryId>,
}

/// The memory itself. Nothing is dropped from it before its time: what ends many sessions is one entry, and each of the
/// others took a sign-in to be possible.
struct Memory {
    sessions: HashMap<SessionRef, (EndReason, Lasts)>,
    users: HashMap<UserId, Lasts>,
    /// Until when each is remembered, the earliest first, and how long that is by this machine's own clock.
    order: BTreeMap<(UnixMillis, u64), (Subject, Instant)>,
    /// How many have been remembered since the start.
    count: u64,
    position: Position,
    /// Operations that were open when the journal was last read, and when that was, by the store's clock.
    operations: (Vec<OpenOperation>, UnixMillis),
    /// The users whom these concern.
    unsettled: HashSet<UserId>,
    /// How long entries stay in the log.
    kept_for: Duration,
    /// How many of all that have been remembered are known to be on as many replicas as are asked for.
    durable: u64,
    /// What was heard within the last minute, with the audit records of it: a failover of the store loses no more.
    recent: VecDeque<(Instant, NewEntry)>,
}

/// How long an entry is recent.
const RECENTLY: Duration = Duration::from_mins(1);

/// Until when something is remembered, and the number that it got when it was heard of.
#[derive(Clone, Copy)]
struct Lasts {
    until: UnixMillis,
    number: u64,
}

#[derive(Clone, Copy)]
enum Subject {
    Session(SessionRef),
    User(UserId),
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            sessions: HashMap::new(),
            users: HashMap::new(),
            order: BTreeMap::new(),
            count: 0,
            position: Position::default(),
            operations: (Vec::new(), UnixMillis(0)),
            unsettled: HashSet::new(),
            kept_for: LOG_KEEPS,
            durable: 0,
            recent: VecDeque::new(),
        }
    }
}

impl Memory {
    fn of(&self, session: SessionRef) -> Option<Remembered> {
        if self.users.contains_key(&session.user) {
            return Some(Remembered::UserDeleted);
        }
        self.sessions.get(&session).map(|(reason, _)| Remembered::Ended(*reason))
    }

    /// What has ended once has ended for its first reason.
    fn remember(&mut self, subject: Subject, reason: EndReason, now: UnixMillis, until: UnixMillis) {
        self.forget(now);
        let unheard_of = Lasts { until: UnixMillis(0), number: self.count + 1 };
        let lasts = match subject {
            Subject::User(user) => self.users.entry(user).or_insert(unheard_of),
            Subject::Session(session) => &mut self.sessions.entry(session).or_insert((reason, unheard_of)).1,
        };
        if lasts.until < until {
            lasts.until = until;
            self.count += 1;
            let forgotten_at = Instant::now() + until.age_since(now);
            self.order.insert((until, self.count), (subject, forgotten_at));
        }
    }

    /// Forgets what the log has forgotten, by the store's clock and by this machine's: either may have been set.
    fn forget(&mut self, now: UnixMillis) {
        while let Some(first) = self.order.first_entry() {
            let ((until, _), (subject, at)) = (*first.key(), *first.get());
            if until > now || at > Instant::now() {
                return;
            }
            first.remove();
            match subject {
                Subject::Session(session)
                    if self.sessions.get(&session).is_some_and(|(_, own)| own.until <= until) =>
                {
                    self.sessions.remove(&session);
                }
                Subject::User(user) if self.users.get(&user).is_some_and(|own| own.until <= until) => {
                    self.users.remove(&user);
                }
                Subject::Session(_) | Subject::User(_) => {}
            }
        }
    }
}

/// All that a node remembers.
pub(super) struct Everything {
    pub(super) sessions: Vec<(SessionRef, EndReason)>,
    pub(super) users: Vec<UserId>,
}

impl Everything {
    fn revocations(&self) -> impl Iterator<Item = Revocation> {
        let session = |(session, reason): &(SessionRef, EndReason)| Revocation::Session {
            session: *session,
            reason: *reason,
        };
        let users = self.users.iter().map(|user| Revocation::User(*user));
        self.sessions.iter().map(session).chain(users)
    }
}

impl Revocations {
    /// How a session is known to have ended, if it is.
    pub(super) fn of(&self, session: SessionRef) -> Option<Remembered> {
        self.read().of(session)
    }

    /// Remembers a revocation of one session or user until then, by the store's clock, by which it is `now`.
    pub(super) fn remember(&self, entry: NewEntry, now: UnixMillis, until: UnixMillis) {
        let (subject, reason) = match entry.revocation {
            Revocation::Session { session, reason } => (Subject::Session(session), reason),
            Revocation::User(user) => (Subject::User(user), EndReason::RevokedByAdmin),
            // Every node holds the cutoffs and the keys for good.
            Revocation::SignedInBefore(_) | Revocation::Client { .. } | Revocation::Key(_) => return,
        };
        let mut memory = self.write();
        memory.remember(subject, reason, now, until);
        while memory.recent.front().is_some_and(|(heard, _)| heard.elapsed() > RECENTLY) {
            memory.recent.pop_front();
        }
        memory.recent.push_back((Instant::now(), entry));
    }

    /// Entries for a log that has lost all of these but those whose subjects are `present`, with their audit records if the
    /// log may have been written while it had not lost them yet.
    pub(super) fn missing(&self, present: &HashSet<String>) -> Vec<NewEntry> {
        let mut missing: HashMap<String, NewEntry> = HashMap::new();
        for revocation in self.everything().revocations() {
            let subject = revocation.subject();
            if !present.contains(&subject) {
                missing.insert(subject, NewEntry::unrecorded(revocation));
            }
        }
        for (_, entry) in self.read().recent.iter().filter(|(heard, _)| heard.elapsed() <= RECENTLY) {
            if let Some(missing) = missing.get_mut(&entry.revocation.subject()) {
                missing.record = missing.record.take().or_else(|| entry.record.clone());
            }
        }
        missing.into_values().collect()
    }

    /// How many have been heard of so far: see [`Revocations::are_durable`].
    pub(super) fn heard(&self) -> u64 {
        self.read().count
    }

    /// As many replicas as are asked for have the first so many that were heard of.
    pub(super) fn are_durable(&self, heard: u64) {
        let mut memory = self.write();
        memory.durable = memory.durable.max(heard);
    }

    /// Whether an end that is known may be told of: no failover loses its entry.
    pub(super) fn is_durable(&self, session: SessionRef) -> bool {
        let memory = self.read();
        let of_user = memory.users.get(&session.user);
        let lasts = of_user.or_else(|| memory.sessions.get(&session).map(|(_, lasts)| lasts));
        lasts.is_some_and(|lasts| lasts.number <= memory.durable)
    }

    pub(super) fn everything(&self) -> Everything {
        let memory = self.read();
        Everything {
            sessions: memory.sessions.iter().map(|(session, (reason, _))| (*session, *reason)).collect(),
            users: memory.users.keys().copied().collect(),
        }
    }

    /// How far the log has been read.
    pub(super) fn position(&self) -> Position {
        self.read().position
    }

    /// The log has been read up to here, unless it is being read anew.
    pub(super) fn has_read(&self, reading: u64, last: EntryId) {
        let position = &mut self.write().position;
        if position.reading == reading {
            position.last = position.last.max(Some(last));
        }
    }

    /// The log may be another one, with less in it: has it read from its beginning.
    pub(super) fn begin_again(&self) {
        let mut memory = self.write();
        memory.position = Position { reading: memory.position.reading + 1, last: None };
        memory.durable = 0;
    }

    /// At this time, by the store's clock, these operations were open, on these users. What the log has forgotten by then is
    /// forgotten.
    pub(super) fn heard_at(&self, now: UnixMillis, operations: Vec<OpenOperation>, users: HashSet<UserId>) {
        let mut memory = self.write();
        memory.operations = (operations, now);
        memory.unsettled = users;
        memory.forget(now);
    }

    /// The operations that were open when the journal was last read, and when that was, by the store's clock.
    pub(super) fn open_operations(&self) -> (Vec<OpenOperation>, UnixMillis) {
        self.read().operations.clone()
    }

    /// Whether an operation on this user is open, so that only the store knows how things stand.
    pub(super) fn is_unsettled(&self, user: UserId) -> bool {
        self.read().unsettled.contains(&user)
    }

    /// How long entries stay in the log, as far as is known.
    pub(super) fn kept_for(&self) -> Duration {
        self.read().kept_for
    }

    /// Entries have been seen to stay for so long.
    pub(super) fn keeps(&self, for_so_long: Duration) {
        if self.kept_for() < for_so_long {
            self.write().kept_for = for_so_long;
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use relatch_domain::SessionId;

    use super::*;

    fn session(number: u8) -> SessionRef {
        SessionRef { user: UserId::from_bytes([number; 16]), session: SessionId::from_bytes([9; 16]) }
    }

    fn at(seconds: u64) -> UnixMillis {
        UnixMillis(seconds * 1000)
    }

    fn remember(memory: &mut Memory, number: u8, reason: EndReason, now: UnixMillis, until: UnixMillis) {
        memory.remember(Subject::Session(session(number)), reason, now, until);
    }

    /// As if so much time had passed by the machine's own clock.
    fn later(memory: &mut Memory, by: Duration) {
        for (_, at) in memory.order.values_mut() {
            *at = at.checked_sub(by).unwrap();
        }
    }

    #[test]
    fn the_first_reason_stays() {
        let mut memory = Memory::default();
        remember(&mut memory, 1, EndReason::Reuse, at(0), at(9));
        remember(&mut memory, 1, EndReason::SignedOut, at(1), at(10));
        assert_eq!(memory.of(session(1)), Some(Remembered::Ended(EndReason::Reuse)));
        assert_eq!(memory.of(session(2)), None);
    }

    #[test]
    fn a_deleted_users_sessions_are_all_over() {
        let mut memory = Memory::default();
        memory.remember(Subject::User(session(1).user), EndReason::RevokedByAdmin, at(0), at(0));
        assert_eq!(memory.of(session(1)), Some(Remembered::UserDeleted));
    }

    #[test]
    fn an_entry_is_forgotten_when_both_clocks_say_so() {
        let mut memory = Memory::default();
        remember(&mut memory, 1, EndReason::SignedOut, at(0), at(3600));
        memory.forget(at(3600));
        assert!(memory.of(session(1)).is_some(), "the store's clock was set forward");
        later(&mut memory, Duration::from_hours(1));
        memory.forget(at(3599));
        assert!(memory.of(session(1)).is_some(), "the store's clock was set back");
        memory.forget(at(3600));
        assert_eq!(memory.of(session(1)), None);
    }

    #[test]
    fn what_is_announced_again_is_remembered_for_longer() {
        let mut memory = Memory::default();
        remember(&mut memory, 1, EndReason::SignedOut, at(0), at(60));
        remember(&mut memory, 1, EndReason::SignedOut, at(50), at(110));
        later(&mut memory, Duration::from_mins(2));
        memory.forget(at(60));
        assert!(memory.of(session(1)).is_some());
        memory.forget(at(110));
        assert_eq!((memory.of(session(1)), memory.order.len()), (None, 0));
    }

    #[test]
    fn a_slow_reader_of_an_earlier_log_does_not_skip_what_another_has() {
        let known = Revocations::default();
        let entry = |millis| EntryId { millis, seq: 0 };
        known.has_read(0, entry(7));
        known.has_read(0, entry(5));
        assert_eq!(known.position(), Position { reading: 0, last: Some(entry(7)) });
        known.begin_again();
        known.has_read(0, entry(9));
        assert_eq!(known.position(), Position { reading: 1, last: None });
    }
}
