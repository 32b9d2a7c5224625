//! The store in Redis 7.0 or later.
//!
//! Every step that must be atomic is one script on the keys of one user, one round trip. The scripts hold no policy:
//! they check the conditions that `relatch_domain` states and write the bytes that it lays out, and are fuzzed against
//! it. `keyspace` names all keys; `lane` is the connection; `failure` says what an error means.

mod audit;
mod changes;
mod failure;
mod feed;
mod keyspace;
mod lane;
mod listing;
mod reply;
mod request;
mod sessions;
mod settings;
mod shelf;
mod synced;
mod users;

use std::sync::Arc;

use async_trait::async_trait;
use redis::{Client, Cmd, Value};
use relatch_domain::revocation::Revocation;
use relatch_domain::user::{User, Username};
use relatch_domain::{SessionRef, UnixSeconds, UserId};

pub use settings::{OpenError, RedisSettings, TimeSource};

use super::{
    BeginStep, Begun, Credentials, CutoffRaised, EndStep, Ended, EntryId, FeedEntry, KeyShelf, Marker,
    NewUser, Observation, RotateStep, Rotated, Store, StoreError, StoredKey, SwapStep, Trail, TrailEntry,
    UserChange, UserChangeOutcome, UserCreation, UserDeleted, UserQuery, UserSessions,
};
use keyspace::Keyspace;
use lane::Lane;
use request::Request;
use synced::{SyncedWrites, Written};

/// Redis as it was configured, from which each worker takes a [`RedisBackend::handle`] of its own.
#[derive(Clone)]
pub struct RedisBackend {
    client: Client,
    config: redis::AsyncConnectionConfig,
    keyspace: Keyspace,
    synced: Option<Arc<SyncedWrites>>,
    time: TimeSource,
}

impl RedisBackend {
    /// Checks the settings. Opens no connection: Redis need not be there yet.
    ///
    /// # Errors
    /// If no Redis could ever be reached with these settings.
    pub fn open(settings: &RedisSettings, time: TimeSource) -> Result<Self, OpenError> {
        let keyspace = Keyspace::new(&settings.key_prefix)?;
        let client = settings::client(settings)?;
        let config = settings::connection_config(settings);
        let synced = SyncedWrites::new(&client, settings)?.map(Arc::new);
        Ok(Self { client, config, keyspace, synced, time })
    }

    /// A handle with a connection of its own, opened when it is first used and driven by the runtime that does so.
    /// One for each worker; a handle may be shared within a runtime.
    pub fn handle(&self) -> Arc<dyn Store> {
        Arc::new(Handle {
            lane: Lane::new(self.client.clone(), self.config.clone()),
            keyspace: self.keyspace.clone(),
            synced: self.synced.clone(),
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
    time: TimeSource,
}

impl Handle {
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
        self.rotate_session(step).await
    }

    async fn swap(&self, step: &SwapStep) -> Result<Rotated, StoreError> {
        self.swap_record(step).await
    }

    async fn observe(&self, session: SessionRef) -> Result<Observation, StoreError> {
        self.observe_session(session).await
    }

    async fn end_sessions(&self, step: &EndStep) -> Result<Ended, StoreError> {
        self.end(step).await
    }

    async fn sessions_of(&self, user: UserId) -> Result<UserSessions, StoreError> {
        self.list_sessions(user).await
    }

    async fn begin_session(&self, step: &BeginStep) -> Result<Begun, StoreError> {
        self.begin(step).await
    }

    async fn create_user(&self, new: &NewUser) -> Result<UserCreation, StoreError> {
        self.create(new).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.find_user(id).await
    }

    async fn credentials(&self, name: &Username) -> Result<Option<Credentials>, StoreError> {
        self.find_credentials(name).await
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

    async fn ping(&self) -> Result<(), StoreError> {
        let mut ping = Cmd::new();
        ping.arg("PING");
        self.lane.ask(&Request::read(ping)).await.map(drop)
    }
}
