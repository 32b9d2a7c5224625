//! The store in Redis 7.0 or later.
//!
//! Every step that must be atomic is one script on the keys of one user, one round trip. The scripts hold no policy:
//! they check the conditions that `relatch_domain` states and write the bytes that it lays out, and are fuzzed against
//! it. `keyspace` names all keys; `lane` is the connection; `failure` says what an error means.

mod audit;
mod changes;
mod failure;
mod feed;
mod gate;
mod keyspace;
mod lane;
mod listing;
mod reply;
mod request;
mod sessions;
mod settings;
mod shelf;
mod synced;
mod target;
mod users;

use std::sync::Arc;

use async_trait::async_trait;
use redis::{Client, Cmd, Value};
use relatch_domain::revocation::Revocation;
use relatch_domain::user::{User, Username};
use relatch_domain::{SessionRef, UnixSeconds, UserId};

pub use gate::Gate;
pub use settings::{ClientCertificate, Login, OpenError, RedisSettings, TimeSource};

use super::{
    BeginStep, Begun, Credentials, CutoffRaised, EndStep, Ended, EntryId, FeedEntry, KeyShelf, Marker,
    NewUser, Observation, RotateStep, Rotated, Store, StoreError, StoredKey, SwapStep, Trail, TrailEntry,
    UserChange, UserChangeOutcome, UserCreation, UserDeleted, UserQuery, UserSessions,
};
use keyspace::Keyspace;
use lane::Lane;
use request::Request;
use synced::{SyncedWrites, Written};
use target::{Form, Target};

/// Redis as it was configured, from which each worker takes a [`RedisBackend::gated_handle`] of its own.
#[derive(Clone)]
pub struct RedisBackend {
    client: Client,
    config: redis::AsyncConnectionConfig,
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
        let Target { form: Form::Single(address), doors } = Target::read(settings)? else {
            return Err(OpenError::UnknownUrl);
        };
        let client = doors.redis(&address).map_err(|error| OpenError::InvalidUrl(error.to_string()))?;
        let config = settings::connection_config(settings);
        let gate = Arc::new(Gate::closed());
        let synced = SyncedWrites::new(&client, settings, None)?.map(Arc::new);
        let gated = SyncedWrites::new(&client, settings, Some(gate.clone()))?.map(Arc::new);
        Ok(Self { client, config, keyspace, synced, gate, gated, time })
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

    /// As [`RedisBackend::handle`], but every step is `Unavailable` unless the gate is open to the process behind it; also if
    /// the store turns out to have lost its marker since.
    pub fn gated_handle(&self) -> Arc<dyn Store> {
        self.handle_with(self.gated.clone(), Some(self.gate.clone()))
    }

    fn handle_with(&self, synced: Option<Arc<SyncedWrites>>, gate: Option<Arc<Gate>>) -> Arc<dyn Store> {
        Arc::new(Handle {
            lane: Lane::new(self.client.clone(), self.config.clone(), gate.clone()),
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
    lane: Lane,
    keyspace: Keyspace,
    synced: Option<Arc<SyncedWrites>>,
    gate: Option<Arc<Gate>>,
    time: TimeSource,
}

impl Handle {
    /// Makes sure that the store is still the one that was examined, for something is missing in it. One that was wiped
    /// has nothing to say about anybody's session.
    async fn confirm(&self) -> Result<(), StoreError> {
        let Some(gate) = &self.gate else { return Ok(()) };
        let known = gate.marker()?;
        let why = match self.read_marker().await? {
            Some(found) if found == known => return Ok(()),
            Some(_) => "the store's marker is another one: it is not the store that this server knew",
            None => "the store has lost its marker: it is not the store that this server knew",
        };
        gate.close(why.to_owned());
        Err(StoreError::Unavailable(why.to_owned()))
    }

    /// Sends a write that replicas have to acknowledge, if any are asked to.
    async fn write<T>(
        &self,
        request: &Request,
        read: impl FnOnce(Value) -> Result<T, StoreError>,
        wrote: impl FnOnce(&T) -> bool,
    ) -> Result<Written<T>, StoreError> {
        match &self.synced {
            None => Ok(Written { answer: self.lane.ask(request).await.and_then(read)?, durable: true }),
            Some(synced) => synced.write(request, read, wrote).await,
        }
    }
}

#[async_trait]
impl Store for Handle {
    async fn rotate(&self, step: &RotateStep) -> Result<Rotated, StoreError> {
        let rotated = self.rotate_session(step).await?;
        if matches!(&rotated, Rotated::Blocked(seen) if seen.seen.session.is_none()) {
            self.confirm().await?;
        }
        Ok(rotated)
    }

    async fn swap(&self, step: &SwapStep) -> Result<Rotated, StoreError> {
        let swapped = self.swap_record(step).await?;
        if matches!(&swapped, Rotated::Blocked(seen) if seen.seen.session.is_none()) {
            self.confirm().await?;
        }
        Ok(swapped)
    }

    async fn observe(&self, session: SessionRef) -> Result<Observation, StoreError> {
        let observed = self.observe_session(session).await?;
        if observed.seen.session.is_none() {
            self.confirm().await?;
        }
        Ok(observed)
    }

    async fn end_sessions(&self, step: &EndStep) -> Result<Ended, StoreError> {
        self.end(step).await
    }

    async fn sessions_of(&self, user: UserId) -> Result<UserSessions, StoreError> {
        self.list_sessions(user).await
    }

    async fn append_history(&self, session: SessionRef, line: &str) -> Result<(), StoreError> {
        self.add_to_history(session, line).await
    }

    async fn begin_session(&self, step: &BeginStep) -> Result<Begun, StoreError> {
        self.begin(step).await
    }

    async fn create_user(&self, new: &NewUser) -> Result<UserCreation, StoreError> {
        self.create(new).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let found = self.find_user(id).await?;
        if found.is_none() {
            self.confirm().await?;
        }
        Ok(found)
    }

    async fn credentials(&self, name: &Username) -> Result<Option<Credentials>, StoreError> {
        // At the same time, and whether or not there are any: how long it takes must not tell.
        let (found, confirmed) = tokio::join!(self.find_credentials(name), self.confirm());
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
        self.change(change).await
    }

    async fn delete_user(&self, user: UserId) -> Result<Option<UserDeleted>, StoreError> {
        self.delete(user).await
    }

    async fn cutoff(&self) -> Result<UnixSeconds, StoreError> {
        self.read_cutoff().await
    }

    async fn raise_cutoff(&self, cutoff: UnixSeconds) -> Result<CutoffRaised, StoreError> {
        self.raise(cutoff).await
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

    async fn announce(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        self.add_to_feed(revocations).await
    }

    async fn announced(&self, after: Option<EntryId>, limit: usize) -> Result<Vec<FeedEntry>, StoreError> {
        self.read_feed(after, limit).await
    }

    async fn keys(&self) -> Result<KeyShelf, StoreError> {
        self.all_keys().await
    }

    async fn put_key(&self, expected: u64, key: &StoredKey) -> Result<bool, StoreError> {
        self.put(expected, key).await
    }

    async fn identify(&self, marker: &Marker) -> Result<Marker, StoreError> {
        self.mark(marker).await
    }

    async fn marker(&self) -> Result<Option<Marker>, StoreError> {
        self.read_marker().await
    }

    async fn process(&self) -> Result<String, StoreError> {
        Ok(self.lane.process().await?.to_string())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let mut ping = Cmd::new();
        ping.arg("PING");
        self.lane.ask(&Request::read(ping)).await.map(drop)
    }
}
