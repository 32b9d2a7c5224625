//! What the application asks of a store: atomic protocol steps, not rows.
//!
//! Every write carries its condition, and every step says what it saw. A store decides nothing: the conditions are
//! [`relatch_domain::rotation::guards_hold`] and equality with what was seen, and what to write comes from the
//! rules. Two stores implement the steps, Redis and an embedded database, and one conformance suite holds them to the
//! same answers.

pub mod embedded;
pub mod error;
pub mod guesses;
pub mod histories;
pub mod journal;
pub mod measured;
pub mod redis;
pub mod shard;
pub mod steps;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use relatch_domain::cutoff::{Cutoffs, Whose};
use relatch_domain::guesses::{Guesses, Try};
use relatch_domain::user::{User, Username};
use relatch_domain::{OperationId, SessionId, SessionRef, UnixMillis, UserId};

pub use error::StoreError;
pub use guesses::{GuessBook, GuessKind, GuessStep, Guesser};
pub use histories::{HISTORY_BYTES, HISTORY_KEEPS, HISTORY_LINE};
pub use journal::{
    JournalPage, JournalWrite, JournalWritten, LOG_KEEPS, LogEntry, NewEntry, OpenOperation, kept_for,
};
pub use measured::{Measured, StoreMetrics};
pub use relatch_domain::event::Party;
pub use shard::{Away, Bearing, Look, Shard, Shards, ShownTime};
pub use steps::{
    BeginStep, Begun, Credentials, CutoffRaised, EndNote, EndStep, Ended, EntryId, KeyShelf, Marker, NewUser,
    Observation, RotateStep, Rotated, SessionDetails, Settled, StoredKey, StoredSession, SwapStep, Trail,
    TrailEntry, UserAsSeen, UserChange, UserChangeOutcome, UserChanged, UserCreation, UserDeleted, UserQuery,
    UserSessions, WholeSession, WholeUser,
};

/// For `skip_serializing_if` of serde.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
pub(crate) const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A store of users, sessions and keys. Cheap to share; every method may be called at the same time as any other.
///
/// All methods fail with [`StoreError`]: `Unavailable` if nothing was applied, `Indeterminate` if the step may have
/// been, `Corrupt` if what the store holds cannot be read.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The ordinary refresh: if the guards hold, writes the next record; says what it saw either way. One round trip.
    async fn rotate(&self, step: &RotateStep) -> Result<Rotated, StoreError>;

    /// Replaces a record if it is still exactly as it was seen and the user is enabled.
    async fn swap(&self, step: &SwapStep) -> Result<Rotated, StoreError>;

    /// What a session and its user look like now.
    async fn observe(&self, session: SessionRef) -> Result<Observation, StoreError>;

    /// Ends sessions, whatever state they are in. The first end of a session is final.
    async fn end_sessions(&self, step: &EndStep) -> Result<Ended, StoreError>;

    /// A user's sessions, ended ones too, without their histories.
    async fn sessions_of(&self, user: UserId) -> Result<UserSessions, StoreError>;

    /// Adds a line to a session's history. The latest [`HISTORY_KEEPS`] lines of a session are kept, and of all sessions of
    /// a user no more than [`HISTORY_BYTES`]: [`histories`] has the rule. Writes nothing if there is no such session, or if
    /// it is no line ([`histories::is_line`]).
    async fn append_history(&self, session: SessionRef, line: &str) -> Result<(), StoreError>;

    /// The lines of a session's history, the earliest first. Empty if there is no such session.
    async fn history(&self, session: SessionRef) -> Result<Vec<String>, StoreError>;

    /// The histories of all sessions of a user that have one, each as [`Store::history`] gives it.
    async fn histories(&self, user: UserId) -> Result<BTreeMap<SessionId, Vec<String>>, StoreError>;

    /// Begins a session and makes room for it, if the user is enabled, the password is still the one that was checked,
    /// the session's id is free, every session that changes is still as it was seen and there are not too many others.
    async fn begin_session(&self, step: &BeginStep) -> Result<Begun, StoreError>;

    /// Creates a user, if the name is free. Keeps the name's skeleton (UTS 39) for the user, if it is no other user's.
    async fn create_user(&self, new: &NewUser) -> Result<UserCreation, StoreError>;

    /// Keeps the skeleton of this name for this user, who is created or renamed next. False if it is kept for another
    /// user whose name has it, or for one who has not been created within the last minute.
    async fn claim_skeleton(&self, name: &Username, user: UserId) -> Result<bool, StoreError>;

    /// Gives up the skeleton of this name, if it is kept for this user.
    async fn release_skeleton(&self, name: &Username, user: UserId) -> Result<(), StoreError>;

    /// A user by id.
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// A user by name, with the password hash.
    async fn credentials(&self, name: &Username) -> Result<Option<Credentials>, StoreError>;

    /// Users in the byte order of their names.
    async fn list_users(&self, query: &UserQuery) -> Result<Vec<User>, StoreError>;

    /// How many users there are.
    async fn count_users(&self) -> Result<u64, StoreError>;

    /// Changes a user and ends sessions, all in one step, if what the change was made from is still as it was seen.
    async fn change_user(&self, change: &UserChange) -> Result<UserChangeOutcome, StoreError>;

    /// Deletes a user with all sessions and all that is kept with them; the name is free again, the id never is.
    /// Nothing if there is no such user, and was none within the last day. May be repeated.
    /// `operation` is the one that it is a part of: noted if it is carried out.
    async fn delete_user(
        &self,
        user: UserId,
        operation: Option<OperationId>,
    ) -> Result<Option<UserDeleted>, StoreError>;

    /// Says whether an operation was carried out on a user. If not, it never is: a step that is a part of it and still on its
    /// way is `Unavailable`.
    async fn settle_operation(&self, user: UserId, operation: OperationId) -> Result<Settled, StoreError>;

    /// All cutoffs: sessions that began before one that concerns them are over.
    async fn cutoffs(&self) -> Result<Cutoffs, StoreError>;

    /// Raises a cutoff. It never goes back. Everyone's is not raised into the future; those of clients are made by servers,
    /// from [`Store::latest_time`], and it does not matter which part of the store keeps them.
    async fn raise_cutoff(&self, whose: Whose, at: UnixMillis) -> Result<CutoffRaised, StoreError>;

    /// The store's time; of several shards, the latest: no session has begun after it. Fails if any of them is away.
    async fn latest_time(&self) -> Result<UnixMillis, StoreError>;

    /// Adds a record to a trail, which keeps at least the `keep` latest and not many more.
    async fn append_audit(&self, trail: Trail, record: &[u8], keep: usize) -> Result<(), StoreError>;

    /// At most `limit` records of a trail, the latest first; only those before `before`, if given.
    async fn audit(
        &self,
        trail: Trail,
        before: Option<EntryId>,
        limit: usize,
    ) -> Result<Vec<TrailEntry>, StoreError>;

    /// Writes to the journal, all or nothing. Also when the store is full. May be repeated after an error.
    async fn write_journal(&self, write: &JournalWrite) -> Result<JournalWritten, StoreError>;

    /// The open operations, and at most `limit` entries of the log, the earliest first; only those after `after`, if given.
    async fn journal(&self, after: Option<EntryId>, limit: usize) -> Result<JournalPage, StoreError>;

    /// Counts a try, if it need not wait; else how long it has to.
    async fn guess(&self, step: &GuessStep) -> Result<Result<Try, Duration>, StoreError>;

    /// Takes a counted try back: it was none.
    async fn take_back_guess(&self, step: &GuessStep, counted: Try) -> Result<(), StoreError>;

    /// What is kept of somebody's guesses. Nothing if nothing counts any more.
    async fn guesses(&self, guesser: Guesser) -> Result<Option<Guesses>, StoreError>;

    /// Forgets somebody's guesses, and says whether there were any that counted.
    async fn forget_guesses(&self, guesser: Guesser) -> Result<bool, StoreError>;

    /// All signing keys, sealed.
    async fn keys(&self) -> Result<KeyShelf, StoreError>;

    /// Adds a key or replaces the one of the same id, if the shelf still has the version `expected`. False if not.
    async fn put_key(&self, expected: u64, key: &StoredKey) -> Result<bool, StoreError>;

    /// Removes the key of this id, if there is one and the shelf still has the version `expected`. False if the shelf has
    /// another one.
    async fn remove_key(&self, expected: u64, id: &str) -> Result<bool, StoreError>;

    /// Leaves the marker if the store has none yet, and returns the one that it has. Nothing if the store has lost its
    /// marker though a part of it still shows that there was one.
    async fn identify(&self, marker: &Marker) -> Result<Option<Marker>, StoreError>;

    /// Takes the store as it is: leaves the marker wherever one is missing. Returns the one that it has, and whether it was
    /// missing anywhere.
    async fn adopt(&self, marker: &Marker) -> Result<(Marker, bool), StoreError> {
        let was_there = self.marker().await?.is_some();
        let found = self.identify(marker).await?.unwrap_or_else(|| marker.clone());
        Ok((found, !was_there))
    }

    /// The marker that the store has.
    async fn marker(&self) -> Result<Option<Marker>, StoreError>;

    /// Whether a shard bears the marker.
    async fn bearing(&self, _shard: &Shard, marker: &Marker, _look: Look) -> Result<Bearing, StoreError> {
        Ok(Bearing::of(self.marker().await?.as_ref(), marker))
    }

    /// The processes that the store consists of now, found out anew.
    async fn shards(&self) -> Result<Shards, StoreError>;

    /// Writes all of a user, over whatever is there under the same id: nobody else may use the store meanwhile.
    async fn place_user(&self, user: &WholeUser) -> Result<(), StoreError>;

    /// Replaces the marker, where there is one of the same store: nobody else may use the store meanwhile.
    async fn relabel(&self, marker: &Marker) -> Result<(), StoreError>;

    /// Returns when the store consists of other processes than shortly after the call: what is being waited for may never
    /// come.
    async fn rearranged(&self) {
        std::future::pending::<()>().await;
    }

    /// The number of the arrangement of processes that is known: another one each time that it turns out to be another.
    fn arrangement(&self) -> u64 {
        0
    }

    /// Whether the store is arranged as it was then, by the word of those who would have to agree to a change. If not, what
    /// was acknowledged since may have been acknowledged by a process that another has taken the place of.
    async fn is_still(&self, _arrangement: u64) -> bool {
        true
    }

    /// Entries of the log as [`Store::journal`] gives them, asked of a process that the store consisted of until now.
    async fn last_words(
        &self,
        _of: &Shard,
        _after: Option<EntryId>,
        _limit: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        Ok(Vec::new())
    }

    /// Whether writes that matter wait for replicas.
    fn asks_replicas(&self) -> bool {
        false
    }

    /// Whether the store answers; of several shards, any.
    async fn ping(&self) -> Result<(), StoreError>;
}
