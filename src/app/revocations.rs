//! What a node remembers of revocations, and how the nodes tell each other.
//!
//! A revocation is in force with its tombstone in the store. Then it goes into the store's feed, which every node follows,
//! and each node remembers it for an hour: the check of an access token that asks no store refuses the session, a refresh
//! does before it goes there, and a store that turns out to have lost the tombstone gets it again
//! ([`super::restore`]). What could not be announced stays here until it could.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use relatch_domain::cutoff::Whose;
use relatch_domain::revocation::{Revocation, Scope};
use relatch_domain::rotation::Verdict;
use relatch_domain::session::EndReason;
use relatch_domain::{SessionRef, UnixMillis, UserId};

use super::App;
use super::caller::NotLetIn;
use crate::store::{EndNote, EndStep, EntryId, FEED_KEEPS, FeedEntry, Shard, Store, StoreError};

/// How many revocations a node remembers at the most: some 25 MiB. The oldest go first.
const MOST: usize = 250_000;
/// How many entries of the feed are read at once.
const PAGE: usize = 1000;
/// How long what has been announced is kept to be announced again: a failover loses less than that.
const RECENTLY: Duration = Duration::from_mins(1);

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
            Self::UserDeleted => Ok(store.delete_user(session.user).await?.is_some()),
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
    /// Held by whoever announces, so that nobody takes what is on its way for what is there.
    announcing: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("remembered", &self.read().order.len()).finish_non_exhaustive()
    }
}

/// The memory itself. Time is handed in.
#[derive(Default)]
struct Memory {
    sessions: HashMap<SessionRef, EndReason>,
    users: HashSet<UserId>,
    /// When each was heard of, the oldest first.
    order: VecDeque<(UnixMillis, Subject)>,
    /// Made by this node and not announced yet, each with when it was made.
    pending: VecDeque<(UnixMillis, Revocation)>,
    /// How many of these, from the front, are on their way into the feed.
    sending: usize,
    /// Announced by this node of late, in case the feed loses it.
    recent: VecDeque<(UnixMillis, Revocation)>,
    /// How far the feed has been read.
    position: Option<EntryId>,
    unknown_kinds: bool,
}

#[derive(Clone, Copy)]
enum Subject {
    Session(SessionRef),
    User(UserId),
}

impl Memory {
    fn of(&self, session: SessionRef) -> Option<Remembered> {
        if self.users.contains(&session.user) {
            return Some(Remembered::UserDeleted);
        }
        self.sessions.get(&session).copied().map(Remembered::Ended)
    }

    /// Whether it is news. What has ended once has ended for its first reason.
    fn remember(&mut self, subject: Subject, reason: EndReason, now: UnixMillis, most: usize) -> bool {
        self.forget(now, most.saturating_sub(1));
        let is_news = match subject {
            Subject::User(user) => self.users.insert(user),
            Subject::Session(session) if self.sessions.contains_key(&session) => false,
            Subject::Session(session) => self.sessions.insert(session, reason).is_none(),
        };
        if is_news {
            self.order.push_back((now, subject));
        }
        is_news
    }

    /// Has a revocation announced.
    fn announce(&mut self, revocation: Revocation, now: UnixMillis) {
        if self.pending.len() == MOST {
            tracing::error!("too many revocations wait to be announced; the oldest is not");
            self.pending.pop_front();
            self.sending = self.sending.saturating_sub(1);
        }
        self.pending.push_back((now, revocation));
    }

    /// What was on its way has arrived.
    fn announced(&mut self) {
        let sent = std::mem::take(&mut self.sending);
        self.recent.extend(self.pending.drain(..sent));
        let Some((latest, _)) = self.recent.back() else { return };
        let latest = *latest;
        while self.recent.len() > MOST
            || self.recent.front().is_some_and(|(made, _)| latest.age_since(*made) > RECENTLY)
        {
            self.recent.pop_front();
        }
    }

    fn announce_recent_again(&mut self, now: UnixMillis) {
        let again = std::mem::take(&mut self.recent);
        self.pending.extend(again.into_iter().filter(|(made, _)| now.age_since(*made) <= RECENTLY));
    }

    /// Forgets what is too old, and the oldest of what is too much.
    fn forget(&mut self, now: UnixMillis, most: usize) {
        while let Some((heard, subject)) = self.order.front() {
            if self.order.len() <= most && now.age_since(*heard) <= FEED_KEEPS {
                break;
            }
            match subject {
                Subject::Session(session) => self.sessions.remove(session).is_some(),
                Subject::User(user) => self.users.remove(user),
            };
            self.order.pop_front();
        }
    }
}

/// All that a node remembers.
pub(super) struct Everything {
    pub(super) sessions: Vec<(SessionRef, EndReason)>,
    pub(super) users: Vec<UserId>,
}

impl Revocations {
    /// How a session is known to have ended, if it is.
    pub(super) fn of(&self, session: SessionRef) -> Option<Remembered> {
        self.read().of(session)
    }

    /// Remembers a revocation that this node has made, to be announced.
    pub(super) fn ours(&self, revocation: Revocation, now: UnixMillis) {
        self.heard(revocation, now);
        self.write().announce(revocation, now);
    }

    /// Remembers a revocation that somebody has made.
    fn heard(&self, revocation: Revocation, now: UnixMillis) {
        let (subject, reason) = match revocation {
            Revocation::Session { session, reason } => (Subject::Session(session), reason),
            Revocation::User(user) => (Subject::User(user), EndReason::RevokedByAdmin),
            // Every node holds the cutoffs for good.
            Revocation::SignedInBefore(_) | Revocation::Client { .. } => return,
        };
        self.write().remember(subject, reason, now, MOST);
    }

    /// Remembers what stands in a feed.
    fn heard_all(&self, app: &App, entries: &[FeedEntry]) {
        for entry in entries {
            match entry.revocation {
                Some(Revocation::SignedInBefore(at)) => app.node.cutoffs.learn(Whose::Everyone, at),
                Some(Revocation::Client { client, before }) => {
                    app.node.cutoffs.learn(Whose::Client(client), before);
                }
                Some(revocation) => self.heard(revocation, app.clock.now()),
                None if !std::mem::replace(&mut self.write().unknown_kinds, true) => {
                    tracing::warn!("the feed has revocations of a kind that this version does not know");
                }
                None => {}
            }
        }
    }

    pub(super) fn everything(&self) -> Everything {
        let memory = self.read();
        Everything {
            sessions: memory.sessions.iter().map(|(session, reason)| (*session, *reason)).collect(),
            users: memory.users.iter().copied().collect(),
        }
    }

    /// The feed may be another one, with less in it: has it read from its beginning, and what this node has just announced
    /// announced again. Who hears of it twice has heard of it.
    pub(super) fn begin_again(&self, now: UnixMillis) {
        let mut memory = self.write();
        memory.position = None;
        memory.announce_recent_again(now);
    }

    /// Writes everything that waits into the feed.
    pub(super) async fn announce_to(&self, store: &dyn Store) -> Result<(), StoreError> {
        let _announcing = self.announcing.lock().await;
        let pending: Vec<_> = {
            let mut memory = self.write();
            memory.sending = memory.pending.len();
            memory.pending.iter().map(|(_, revocation)| *revocation).collect()
        };
        if !pending.is_empty() {
            store.announce(&pending).await?;
            self.write().announced();
        }
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The store as it was when a revocation began.
#[must_use]
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    arrangement: u64,
    begun: Instant,
}

impl App {
    /// To be called before a revocation begins that somebody relies on: for [`App::in_force`].
    pub(super) fn since(&self) -> Since {
        Since { arrangement: self.store.arrangement(), begun: Instant::now() }
    }

    /// Whether what was revoked since is in force for good: announced, on as many replicas as the configuration asks for
    /// (`durable`, by the word of the store's step), and all that by a process that is still the store's.
    pub(super) async fn in_force(&self, since: Since, durable: bool) -> bool {
        let in_force = self.is_in_force(since, durable).await;
        self.node.metrics.revoked(since.begun.elapsed(), in_force);
        in_force
    }

    async fn is_in_force(&self, since: Since, durable: bool) -> bool {
        // In this order: whoever turns to another process hears this one out first.
        let announced = self.announce().await;
        if !(announced && durable) {
            return false;
        }
        let still = self.store.is_still(since.arrangement).await;
        if !still {
            tracing::warn!(
                "a revocation was made while the store was rearranged, or most Sentinels were away: it has to be repeated"
            );
        }
        still
    }

    /// Remembers the end of a session that the store does not know, to be announced like any other.
    pub(super) fn remember_as_ended(&self, session: SessionRef, reason: EndReason) {
        if self.node.revocations.of(session).is_none() {
            self.node.revocations.ours(Revocation::Session { session, reason }, self.clock.now());
        }
    }

    /// Announces what this node has revoked. False if it could not: it stays to be announced, by whoever tries next.
    pub(super) async fn announce(&self) -> bool {
        match self.node.revocations.announce_to(&*self.store).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "a revocation could not be announced to the other nodes yet");
                false
            }
        }
    }
}

/// Announces what is left to announce, and reads what others have.
///
/// # Errors
/// If the store fails. What was read is remembered.
pub async fn follow_revocations(app: &App) -> Result<(), StoreError> {
    follow(app, &*app.store).await
}

pub(super) async fn follow(app: &App, store: &dyn Store) -> Result<(), StoreError> {
    let known = &app.node.revocations;
    known.announce_to(store).await?;
    loop {
        let position = known.read().position;
        let entries = store.announced(position, PAGE).await?;
        known.heard_all(app, &entries);
        let Some(last) = entries.last() else { return Ok(()) };
        known.write().position = Some(last.id);
        if entries.len() < PAGE {
            return Ok(());
        }
    }
}

/// Hears out a process that the store consisted of until now: what it took last may not have come to the one in its place.
///
/// # Errors
/// If it does not answer. What it said until then is remembered.
pub async fn hear_out(app: &App, shard: &Shard) -> Result<(), StoreError> {
    let known = &app.node.revocations;
    let mut position = known.read().position;
    loop {
        let entries = app.store.last_words(shard, position, PAGE).await?;
        known.heard_all(app, &entries);
        match entries.last() {
            Some(last) if entries.len() == PAGE => position = Some(last.id),
            _ => return Ok(()),
        }
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

    fn remember(memory: &mut Memory, number: u8, reason: EndReason, now: UnixMillis, most: usize) -> bool {
        memory.remember(Subject::Session(session(number)), reason, now, most)
    }

    #[test]
    fn the_first_reason_stays() {
        let mut memory = Memory::default();
        assert!(remember(&mut memory, 1, EndReason::Reuse, at(0), 9));
        assert!(!remember(&mut memory, 1, EndReason::SignedOut, at(1), 9));
        assert_eq!(memory.of(session(1)), Some(Remembered::Ended(EndReason::Reuse)));
        assert_eq!(memory.of(session(2)), None);
    }

    #[test]
    fn what_was_announced_within_the_last_minute_is_announced_again() {
        let mut memory = Memory::default();
        let ended = |number| Revocation::Session { session: session(number), reason: EndReason::SignedOut };
        let send = |made: &[u64], memory: &mut Memory| {
            for second in made {
                memory.announce(ended(u8::try_from(*second).unwrap()), at(*second));
            }
            memory.sending = memory.pending.len();
            memory.announced();
        };
        send(&[0, 50], &mut memory);
        memory.announce(ended(61), at(61));
        memory.announce_recent_again(at(61));
        let waiting =
            |memory: &Memory| memory.pending.iter().map(|(made, _)| made.0 / 1000).collect::<Vec<_>>();
        assert_eq!(waiting(&memory), [61, 50], "what is older than a minute is not");
        send(&[], &mut memory);
        memory.announce_recent_again(at(70));
        assert_eq!(waiting(&memory), [61, 50], "as often as need be");
    }

    #[test]
    fn a_deleted_users_sessions_are_all_over() {
        let mut memory = Memory::default();
        let user = session(1).user;
        assert!(memory.remember(Subject::User(user), EndReason::RevokedByAdmin, at(0), 9));
        assert_eq!(memory.of(session(1)), Some(Remembered::UserDeleted));
        memory.forget(at(3601), 9);
        assert_eq!(memory.of(session(1)), None);
    }

    #[test]
    fn an_hour_is_remembered_and_no_more_than_fits() {
        let mut memory = Memory::default();
        for number in 0..5 {
            remember(&mut memory, number, EndReason::SignedOut, at(u64::from(number)), 3);
        }
        let remembered = |memory: &Memory| (0..6).filter(|n| memory.of(session(*n)).is_some()).count();
        assert_eq!(remembered(&memory), 3);
        assert_eq!(memory.of(session(1)), None, "the oldest are forgotten");
        let hour = FEED_KEEPS + Duration::from_secs(3);
        assert!(remember(&mut memory, 5, EndReason::SignedOut, at(hour.as_secs()), 3));
        assert_eq!((remembered(&memory), memory.order.len()), (3, 3), "3, 4 and 5: 2 is over an hour old");
        assert_eq!(memory.of(session(2)), None);
    }
}
