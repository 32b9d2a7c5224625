//! The store in Redis 7.0 or later.
//!
//! Every step that must be atomic is one script on the keys of one user, one round trip. The scripts hold no policy:
//! they check the conditions that `relatch_domain` states and write the bytes that it lays out, and are fuzzed against
//! it. `keyspace` names all keys; `lane` is the connection; `failure` says what an error means.

mod audit;
mod changes;
mod cutoffs;
mod failure;
mod gate;
mod guesses;
mod histories;
pub mod inspect;
mod journal;
mod keyspace;
mod lane;
mod listing;
mod marker;
mod pooled;
mod process;
mod reply;
mod request;
mod router;
mod sessions;
mod settings;
mod shelf;
mod skeletons;
mod synced;
mod target;
mod topology;
mod trouble;
mod users;
mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Value;
use relatch_domain::cutoff::{Cutoffs, Whose};
use relatch_domain::guesses::{Guesses, Try};
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_domain::user::{User, Username};
use relatch_domain::{OperationId, SessionId, SessionRef, UnixMillis, UserId};

pub use gate::{Gate, SETTLES_FOR};
pub use settings::{ClientCertificate, Login, OpenError, RedisSettings, TimeSource};

use super::shard::slot_of_key;
use super::{
    Bearing, BeginStep, Begun, Credentials, CutoffRaised, EndStep, Ended, EntryId, GuessStep, Guesser,
    JournalPage, JournalWrite, JournalWritten, KeyShelf, LogEntry, Look, Marker, NewUser, Observation,
    RotateStep, Rotated, Settled, Shard, Shards, Store, StoreError, StoredKey, SwapStep, Trail, TrailEntry,
    UserChange, UserChangeOutcome, UserCreation, UserDeleted, UserQuery, UserSessions, WholeUser,
};
use keyspace::Keyspace;
use request::Request;
use router::{Network, Router};
use synced::{SyncedWrites, Written};
use target::Target;

/// Redis as it was configured, from which each worker takes a [`RedisBackend::gated_handle`] of its own.
#[derive(Clone)]
pub struct RedisBackend {
    network: Network,
    keyspace: Keyspace,
    synced: Option<Arc<SyncedWrites>>,
    gate: Arc<Gate>,
    gated: Option<Arc<SyncedWrites>>,
    time: TimeSource,
}

impl RedisBackend {
    /// Checks the settings. Opens no connection: Redis need not be there yet.
    ///
    /// # Errors
    /// If no Redis could ever be reached with these settings.
    pub fn open(settings: &RedisSettings, time: TimeSource) -> Result<Self, OpenError> {
        let keyspace = Keyspace::new(&settings.key_prefix)?;
        let target = Target::read(settings)?;
        let network = Network::new(target, settings::connection_config(settings), settings.response_timeout);
        let gate = Arc::new(Gate::closed());
        let synced = |gate| SyncedWrites::new(network.clone(), settings, gate).map(Arc::new);
        let (synced, gated) = (synced(None), synced(Some(gate.clone())));
        Ok(Self { network, keyspace, synced, gate, gated, time })
    }

    /// What stands before all handles that [`RedisBackend::gated_handle`] gives.
    pub const fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// A handle with a connection of its own, opened when it is first used and driven by the runtime that does so.
    /// One for each worker; a handle may be shared within a runtime.
    ///
    /// It takes any Redis for ours: for whoever examines it.
    pub fn handle(&self) -> Arc<dyn Store> {
        self.handle_with(self.synced.clone(), None)
    }

    /// As [`RedisBackend::handle`], for whoever only reads: a replica will do.
    pub fn reading_handle(&self) -> Arc<dyn Store> {
        Self { network: self.network.clone().for_reading(), ..self.clone() }.handle_with(None, None)
    }

    /// As [`RedisBackend::handle`], but no replica is waited for: for whoever writes again what somebody remembers. A replica that
    /// has just been promoted may have none itself.
    pub fn restoring_handle(&self) -> Arc<dyn Store> {
        self.handle_with(None, None)
    }

    /// As [`RedisBackend::handle`], but every step is `Unavailable` unless the gate is open to the process behind it; also if
    /// the store turns out to have lost its marker since.
    pub fn gated_handle(&self) -> Arc<dyn Store> {
        self.handle_with(self.gated.clone(), Some(self.gate.clone()))
    }

    fn handle_with(&self, synced: Option<Arc<SyncedWrites>>, gate: Option<Arc<Gate>>) -> Arc<dyn Store> {
        Arc::new(Handle {
            router: Router::new(self.network.clone(), gate.clone()),
            keyspace: self.keyspace.clone(),
            synced,
            gate,
            time: self.time.clone(),
        })
    }
}

impl std::fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisBackend").field("keyspace", &self.keyspace).finish_non_exhaustive()
    }
}

struct Handle {
    router: Router,
    keyspace: Keyspace,
    synced: Option<Arc<SyncedWrites>>,
    gate: Option<Arc<Gate>>,
    time: TimeSource,
}

impl Handle {
    /// Makes sure that the store is still the one that was examined, for something is missing in this slot. One that was
    /// wiped has nothing to say about anybody's session.
    async fn confirm(&self, slot: u16) -> Result<(), StoreError> {
        let Some(gate) = &self.gate else { return Ok(()) };
        let known = gate.marker()?;
        let why = match self.bearing_of_slot(slot, &known).await? {
            Bearing::Known => return Ok(()),
            Bearing::Another => {
                "the store's marker is another one: it is not the store that this server knew"
            }
            Bearing::Wiped => "the store has lost its marker: it is not the store that this server knew",
        };
        match self.router.process_of(slot) {
            Some(process) => gate.shut(&process, why),
            None => gate.close(why),
        }
        Err(StoreError::Unavailable(why.to_owned()))
    }

    async fn confirm_user(&self, user: UserId) -> Result<(), StoreError> {
        self.confirm(slot_of_key(&self.keyspace.user(user))).await
    }

    /// The same where a session is missing. Nor says anything about it a store that may yet be given it.
    async fn confirm_missing(&self, user: UserId) -> Result<(), StoreError> {
        self.confirm_user(user).await?;
        self.is_settled()
    }

    fn is_settled(&self) -> Result<(), StoreError> {
        self.gate.as_ref().map_or(Ok(()), |gate| gate.is_settled())
    }

    /// Sends a write that replicas have to acknowledge, if any are asked to.
    async fn write<T>(
        &self,
        request: &Request,
        read: impl FnOnce(Value) -> Result<T, StoreError>,
        wrote: impl FnOnce(&T) -> bool,
    ) -> Result<Written<T>, StoreError> {
        match &self.synced {
            None => {
                let answer = self.router.ask(request).await.and_then(read)?;
                Ok(Written { answer, durable: true, abandoned: false })
            }
            Some(synced) => synced.write(&self.router, request, read, wrote).await,
        }
    }
}

#[async_trait]
impl Store for Handle {
    async fn rotate(&self, step: &RotateStep) -> Result<Rotated, StoreError> {
        let rotated = self.rotate_session(step).await?;
        if matches!(&rotated, Rotated::Blocked(seen) if seen.seen.session.is_none()) {
            Box::pin(self.confirm_missing(step.presented.session.user)).await?;
        }
        Ok(rotated)
    }

    async fn swap(&self, step: &SwapStep) -> Result<Rotated, StoreError> {
        let swapped = self.swap_record(step).await?;
        if matches!(&swapped, Rotated::Blocked(seen) if seen.seen.session.is_none()) {
            self.confirm_missing(step.session.user).await?;
        }
        Ok(swapped)
    }

    async fn observe(&self, session: SessionRef) -> Result<Observation, StoreError> {
        let observed = self.observe_session(session).await?;
        if observed.seen.session.is_none() {
            self.confirm_missing(session.user).await?;
        }
        Ok(observed)
    }

    async fn end_sessions(&self, step: &EndStep) -> Result<Ended, StoreError> {
        // Of all sessions none may be missing that another server is about to give back.
        let is_one = matches!(step.scope, Scope::One(_));
        // The guards refuse these sessions, wherever they are.
        let by_cutoff = step.reason == EndReason::SignedInBefore || matches!(step.scope, Scope::Client(_));
        if !is_one && !by_cutoff {
            self.is_settled()?;
        }
        let ended = self.end(step).await?;
        if ended.covered == 0 && is_one {
            self.confirm_missing(step.user).await?;
        } else if ended.covered == 0 && !by_cutoff {
            self.confirm_user(step.user).await?;
        }
        Ok(ended)
    }

    async fn sessions_of(&self, user: UserId) -> Result<UserSessions, StoreError> {
        self.list_sessions(user).await
    }

    async fn append_history(&self, session: SessionRef, line: &str) -> Result<(), StoreError> {
        self.add_to_history(session, line).await
    }

    async fn history(&self, session: SessionRef) -> Result<Vec<String>, StoreError> {
        self.history_of(session).await
    }

    async fn histories(&self, user: UserId) -> Result<BTreeMap<SessionId, Vec<String>>, StoreError> {
        self.histories_of(user).await
    }

    async fn begin_session(&self, step: &BeginStep) -> Result<Begun, StoreError> {
        self.begin(step).await
    }

    async fn create_user(&self, new: &NewUser) -> Result<UserCreation, StoreError> {
        Box::pin(self.create(new)).await
    }

    async fn claim_skeleton(&self, name: &Username, user: UserId) -> Result<bool, StoreError> {
        self.hold_skeleton(name, user).await
    }

    async fn release_skeleton(&self, name: &Username, user: UserId) -> Result<(), StoreError> {
        self.free_skeleton(name, user).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let found = self.find_user(id).await?;
        if found.is_none() {
            self.confirm_user(id).await?;
        }
        Ok(found)
    }

    async fn credentials(&self, name: &Username) -> Result<Option<Credentials>, StoreError> {
        // At the same time, and whether or not there are any: how long it takes must not tell.
        let slot = slot_of_key(&self.keyspace.name(name));
        let (found, confirmed) = tokio::join!(self.find_credentials(name), self.confirm(slot));
        confirmed?;
        found
    }

    async fn list_users(&self, query: &UserQuery) -> Result<Vec<User>, StoreError> {
        self.list(query).await
    }

    async fn count_users(&self) -> Result<u64, StoreError> {
        self.count().await
    }

    async fn change_user(&self, change: &UserChange) -> Result<UserChangeOutcome, StoreError> {
        // As of an end of all sessions.
        if change.end.is_some() {
            self.is_settled()?;
        }
        let outcome = self.change(change).await?;
        if matches!(outcome, UserChangeOutcome::Unknown) {
            self.confirm_user(change.user).await?;
        }
        Ok(outcome)
    }

    async fn delete_user(
        &self,
        user: UserId,
        operation: Option<OperationId>,
    ) -> Result<Option<UserDeleted>, StoreError> {
        let deleted = self.delete(user, operation).await?;
        if deleted.is_none() {
            self.confirm_user(user).await?;
        }
        Ok(deleted)
    }

    async fn settle_operation(&self, user: UserId, operation: OperationId) -> Result<Settled, StoreError> {
        self.settle_change(user, operation).await
    }

    fn asks_replicas(&self) -> bool {
        self.synced.is_some()
    }

    async fn cutoffs(&self) -> Result<Cutoffs, StoreError> {
        self.read_cutoffs().await
    }

    async fn raise_cutoff(&self, whose: Whose, at: UnixMillis) -> Result<CutoffRaised, StoreError> {
        self.raise(whose, at).await
    }

    async fn latest_time(&self) -> Result<UnixMillis, StoreError> {
        self.latest_of_all().await
    }

    async fn append_audit(&self, trail: Trail, record: &[u8], keep: usize) -> Result<(), StoreError> {
        self.append(trail, record, keep).await
    }

    async fn audit(
        &self,
        trail: Trail,
        before: Option<EntryId>,
        limit: usize,
    ) -> Result<Vec<TrailEntry>, StoreError> {
        self.page(trail, before, limit).await
    }

    async fn write_journal(&self, write: &JournalWrite) -> Result<JournalWritten, StoreError> {
        Self::write_journal(self, write).await
    }

    async fn journal(&self, after: Option<EntryId>, limit: usize) -> Result<JournalPage, StoreError> {
        self.read_journal(after, limit).await
    }

    async fn guess(&self, step: &GuessStep) -> Result<Result<Try, Duration>, StoreError> {
        self.count_guess(step).await
    }

    async fn take_back_guess(&self, step: &GuessStep, counted: Try) -> Result<(), StoreError> {
        self.uncount_guess(step, counted).await
    }

    async fn guesses(&self, guesser: Guesser) -> Result<Option<Guesses>, StoreError> {
        self.guesses_of(guesser).await
    }

    async fn forget_guesses(&self, guesser: Guesser) -> Result<bool, StoreError> {
        self.forget_guesses_of(guesser).await
    }

    async fn keys(&self) -> Result<KeyShelf, StoreError> {
        self.all_keys().await
    }

    async fn put_key(&self, expected: u64, key: &StoredKey) -> Result<bool, StoreError> {
        self.put(expected, key).await
    }

    async fn remove_key(&self, expected: u64, id: &str) -> Result<bool, StoreError> {
        self.remove(expected, id).await
    }

    async fn identify(&self, marker: &Marker) -> Result<Option<Marker>, StoreError> {
        self.identify_store(marker).await
    }

    async fn adopt(&self, marker: &Marker) -> Result<(Marker, bool), StoreError> {
        self.take_as_it_is(marker).await
    }

    async fn marker(&self) -> Result<Option<Marker>, StoreError> {
        self.read_marker().await
    }

    async fn bearing(&self, shard: &Shard, marker: &Marker, look: Look) -> Result<Bearing, StoreError> {
        self.bearing_of(shard, marker, look).await
    }

    async fn place_user(&self, user: &WholeUser) -> Result<(), StoreError> {
        self.place(user).await
    }

    async fn relabel(&self, marker: &Marker) -> Result<(), StoreError> {
        self.label(marker).await
    }

    async fn shards(&self) -> Result<Shards, StoreError> {
        let mut shards = self.router.shards().await?;
        if let TimeSource::Handed(clock) = &self.time {
            shards.clocks.iter_mut().for_each(|shown| shown.time = clock.now());
        }
        Ok(shards)
    }

    async fn rearranged(&self) {
        self.router.rearranged().await;
    }

    fn arrangement(&self) -> u64 {
        self.router.arrangement()
    }

    async fn is_still(&self, arrangement: u64) -> bool {
        // Who asks no replicas takes the primary's word for it.
        self.synced.is_none() || self.router.is_still(arrangement).await
    }

    async fn last_words(
        &self,
        of: &Shard,
        after: Option<EntryId>,
        limit: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        self.read_log_of(of, after, limit).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.router.ping().await
    }
}
