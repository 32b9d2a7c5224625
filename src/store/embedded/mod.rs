//! The embedded store: one file, one process, no other server to run.
//!
//! Writes go to one thread ([`writer`]) that commits them in batches and answers after the commit. Reads see the last
//! commit, on threads that may block. Time is the clock's, read when a step is executed.

mod audit;
mod file;
mod histories;
mod journal;
mod operated;
mod operation;
mod sessions;
mod shelf;
mod skeletons;
mod sweep;
mod tables;
#[cfg(test)]
mod tests;
mod users;
mod whole;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use redb::{Database, ReadableDatabase, ReadableTableMetadata as _};
use relatch_domain::cutoff::{Cutoffs, Whose};
use relatch_domain::guesses::{Guesses, Try};
use relatch_domain::user::{User, Username};
use relatch_domain::{OperationId, SessionId, SessionRef, UnixMillis, UserId};

pub use file::OpenError;
pub use sweep::{Housekeeping, Swept};

use self::operation::Queue;
use self::tables::{Failure, Snapshot};
use self::writer::{Reopen, Shared};
use super::{
    BeginStep, Begun, Credentials, CutoffRaised, EndStep, Ended, EntryId, GuessBook, GuessStep, Guesser,
    JournalPage, JournalWrite, JournalWritten, KeyShelf, Marker, NewUser, Observation, RotateStep, Rotated,
    Settled, Shard, Shards, Store, StoreError, StoredKey, SwapStep, Trail, TrailEntry, UserChange,
    UserChangeOutcome, UserCreation, UserDeleted, UserQuery, UserSessions, WholeUser,
};
use crate::ambient::Clock;

/// A store in a file. Clones share it; the last one closes the file when it goes, and waits for that.
#[derive(Clone)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    queue: Arc<Queue>,
    housekeeping: Housekeeping,
    /// In memory: what they cost is waiting, and who restarts the server may spare it.
    guesses: Arc<GuessBook>,
}

/// What the writer has done since the file was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterStats {
    /// Durable commits.
    pub commits: u64,
    /// Operations that they carried.
    pub operations: u64,
}

impl EmbeddedStore {
    /// Opens the file, or makes it (mode 0600) and its directory (mode 0700). Blocks: after a crash the file is
    /// checked first.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if another process has the file open; see there for the others.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_with(path, clock, Housekeeping::default())
    }

    /// As [`EmbeddedStore::open`], with a sweep to order.
    ///
    /// # Errors
    /// As [`EmbeddedStore::open`].
    pub fn open_with(
        path: &Path,
        clock: Arc<dyn Clock>,
        housekeeping: Housekeeping,
    ) -> Result<Self, OpenError> {
        let database = file::create(path)?;
        let again = path.to_owned();
        let reopen = Box::new(move || file::reopen(&again));
        Self::start(database, clock, reopen, housekeeping)
            .map_err(|source| OpenError::Io { path: path.to_owned(), source })
    }

    fn start(
        database: Database,
        clock: Arc<dyn Clock>,
        reopen: Reopen,
        housekeeping: Housekeeping,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            database: ArcSwapOption::from_pointee(database),
            commits: AtomicU64::new(0),
            operations: AtomicU64::new(0),
        });
        let queue = writer::start(shared.clone(), clock.clone(), reopen, housekeeping)?;
        Ok(Self { shared, clock, queue: Arc::new(queue), housekeeping, guesses: Arc::default() })
    }

    /// The store as the application knows it.
    pub fn handle(&self) -> Arc<dyn Store> {
        Arc::new(self.clone())
    }

    /// What the writer has done so far.
    pub fn stats(&self) -> WriterStats {
        WriterStats {
            commits: self.shared.commits.load(Ordering::Relaxed),
            operations: self.shared.operations.load(Ordering::Relaxed),
        }
    }

    /// One step of the sweep, beside those that the writer makes by itself: looks at the sessions after `after` and
    /// forgets those that died long ago.
    ///
    /// # Errors
    /// As any step of the store.
    pub async fn sweep(&self, after: Option<SessionRef>) -> Result<Swept, StoreError> {
        let housekeeping = self.housekeeping;
        self.queue.run(move |tables, now| sweep::sweep(tables, now, after, &housekeeping)).await
    }

    /// Finishes what is under way and closes the file, whoever else still has a clone: their steps are `Unavailable`
    /// from now on. Returns when the file is closed, unless a read is still under way.
    pub async fn close(&self) {
        self.queue.stop().await;
    }

    /// Reads what the last commit left, on a thread that may block.
    async fn read<A: Send + 'static>(
        &self,
        look: impl FnOnce(&Snapshot, UnixMillis) -> Result<A, Failure> + Send + 'static,
    ) -> Result<A, StoreError> {
        let closed = || StoreError::Unavailable("the database is not open".to_owned());
        let database = self.shared.database.load_full().ok_or_else(closed)?;
        let clock = self.clock.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let transaction = database.begin_read().map_err(Failure::from)?;
            let snapshot = Snapshot::open(&transaction).map_err(Failure::from)?;
            Ok(look(&snapshot, clock.now())?)
        });
        reading.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn rotate(&self, step: &RotateStep) -> Result<Rotated, StoreError> {
        let step = *step;
        self.queue.run(move |tables, now| sessions::rotate(tables, now, &step)).await
    }

    async fn swap(&self, step: &SwapStep) -> Result<Rotated, StoreError> {
        let step = *step;
        self.queue.run(move |tables, now| sessions::swap(tables, now, &step)).await
    }

    async fn observe(&self, session: SessionRef) -> Result<Observation, StoreError> {
        self.read(move |snapshot, now| sessions::observe(snapshot, now, session)).await
    }

    async fn end_sessions(&self, step: &EndStep) -> Result<Ended, StoreError> {
        let step = step.clone();
        self.queue.run(move |tables, now| sessions::end(tables, now, &step)).await
    }

    async fn sessions_of(&self, user: UserId) -> Result<UserSessions, StoreError> {
        self.read(move |snapshot, now| sessions::sessions_of(snapshot, now, user)).await
    }

    async fn append_history(&self, session: SessionRef, line: &str) -> Result<(), StoreError> {
        let line = line.to_owned();
        self.queue.run(move |tables, _| histories::append(tables, session, &line)).await
    }

    async fn history(&self, session: SessionRef) -> Result<Vec<String>, StoreError> {
        self.read(move |snapshot, _| histories::of_session(snapshot, session)).await
    }

    async fn histories(&self, user: UserId) -> Result<BTreeMap<SessionId, Vec<String>>, StoreError> {
        self.read(move |snapshot, _| histories::of_user(snapshot, user)).await
    }

    async fn begin_session(&self, step: &BeginStep) -> Result<Begun, StoreError> {
        let step = step.clone();
        self.queue.run(move |tables, now| sessions::begin(tables, now, &step)).await
    }

    async fn create_user(&self, new: &NewUser) -> Result<UserCreation, StoreError> {
        let new = new.clone();
        self.queue.run(move |tables, now| users::create(tables, now, &new)).await
    }

    async fn claim_skeleton(&self, name: &Username, user: UserId) -> Result<bool, StoreError> {
        let name = name.clone();
        self.queue.run(move |tables, now| skeletons::claim(tables, now, &name, user)).await
    }

    async fn release_skeleton(&self, name: &Username, user: UserId) -> Result<(), StoreError> {
        let name = name.clone();
        self.queue.run(move |tables, _| skeletons::release(tables, &name, user)).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.read(move |snapshot, _| Ok(users::load(&snapshot.users, id)?.map(|found| found.user))).await
    }

    async fn credentials(&self, name: &Username) -> Result<Option<Credentials>, StoreError> {
        let name = name.clone();
        self.read(move |snapshot, _| users::credentials(snapshot, &name)).await
    }

    async fn list_users(&self, query: &UserQuery) -> Result<Vec<User>, StoreError> {
        let query = query.clone();
        self.read(move |snapshot, _| users::list(snapshot, &query)).await
    }

    async fn count_users(&self) -> Result<u64, StoreError> {
        self.read(|snapshot, _| Ok(snapshot.names.len()?)).await
    }

    async fn change_user(&self, change: &UserChange) -> Result<UserChangeOutcome, StoreError> {
        let change = change.clone();
        self.queue.run(move |tables, now| users::change(tables, now, &change)).await
    }

    async fn delete_user(
        &self,
        user: UserId,
        operation: Option<OperationId>,
    ) -> Result<Option<UserDeleted>, StoreError> {
        self.queue.run(move |tables, now| users::delete(tables, now, user, operation)).await
    }

    async fn settle_operation(&self, user: UserId, operation: OperationId) -> Result<Settled, StoreError> {
        self.queue.run(move |tables, now| operated::settle(tables, now, user, operation)).await
    }

    async fn cutoffs(&self) -> Result<Cutoffs, StoreError> {
        self.read(|snapshot, _| shelf::cutoffs(&snapshot.meta)).await
    }

    async fn raise_cutoff(&self, whose: Whose, at: UnixMillis) -> Result<CutoffRaised, StoreError> {
        self.queue.run(move |tables, now| shelf::raise_cutoff(tables, now, whose, at)).await
    }

    async fn latest_time(&self) -> Result<UnixMillis, StoreError> {
        Ok(self.clock.now())
    }

    async fn append_audit(&self, trail: Trail, record: &[u8], keep: usize) -> Result<(), StoreError> {
        let record = record.to_vec();
        self.queue.run(move |tables, now| audit::append(tables, now, trail, &record, keep)).await
    }

    async fn audit(
        &self,
        trail: Trail,
        before: Option<EntryId>,
        limit: usize,
    ) -> Result<Vec<TrailEntry>, StoreError> {
        self.read(move |snapshot, _| audit::page(snapshot, trail, before, limit)).await
    }

    async fn write_journal(&self, write: &JournalWrite) -> Result<JournalWritten, StoreError> {
        let write = write.clone();
        self.queue.run(move |tables, now| journal::write(tables, now, &write)).await
    }

    async fn journal(&self, after: Option<EntryId>, limit: usize) -> Result<JournalPage, StoreError> {
        self.read(move |snapshot, now| journal::journal(snapshot, now, after, limit)).await
    }

    async fn guess(&self, step: &GuessStep) -> Result<Result<Try, Duration>, StoreError> {
        Ok(self.guesses.guess(step, self.clock.now()))
    }

    async fn take_back_guess(&self, step: &GuessStep, counted: Try) -> Result<(), StoreError> {
        self.guesses.take_back(step, counted, self.clock.now());
        Ok(())
    }

    async fn guesses(&self, guesser: Guesser) -> Result<Option<Guesses>, StoreError> {
        Ok(self.guesses.of(guesser, self.clock.now()))
    }

    async fn forget_guesses(&self, guesser: Guesser) -> Result<bool, StoreError> {
        Ok(self.guesses.forget(guesser, self.clock.now()))
    }

    async fn keys(&self) -> Result<KeyShelf, StoreError> {
        self.read(|snapshot, _| shelf::keys(snapshot)).await
    }

    async fn put_key(&self, expected: u64, key: &StoredKey) -> Result<bool, StoreError> {
        let key = key.clone();
        self.queue.run(move |tables, _| shelf::put_key(tables, expected, &key)).await
    }

    async fn remove_key(&self, expected: u64, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.queue.run(move |tables, _| shelf::remove_key(tables, expected, &id)).await
    }

    async fn identify(&self, marker: &Marker) -> Result<Option<Marker>, StoreError> {
        let marker = marker.clone();
        self.queue.run(move |tables, _| shelf::identify(tables, &marker)).await.map(Some)
    }

    async fn marker(&self) -> Result<Option<Marker>, StoreError> {
        self.read(|snapshot, _| shelf::read_marker(&snapshot.meta)).await
    }

    /// The file is ours alone as long as it is open.
    async fn place_user(&self, user: &WholeUser) -> Result<(), StoreError> {
        let user = user.clone();
        self.queue.run(move |tables, now| whole::place(tables, now, &user)).await
    }

    async fn relabel(&self, marker: &Marker) -> Result<(), StoreError> {
        let marker = marker.clone();
        self.queue.run(move |tables, _| shelf::relabel(tables, &marker)).await
    }

    async fn shards(&self) -> Result<Shards, StoreError> {
        Ok(Shards::one(Shard::whole("the file", "embedded")))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read(|_, _| Ok(())).await
    }
}
