//! The key ring that all workers share, and how it follows the store.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use relatch_domain::UnixMillis;
use tokio::sync::Mutex;

use super::error::KeysError;
use super::master::MasterKeys;
use super::ring::{KeyRing, KeyState, RingKey, minting_key};
use super::signing::{Algorithm, SigningKey};
use super::stored::{from_stored, to_stored};
use crate::ambient::{Clock, Random};
use crate::store::{KeyShelf, Store, StoreError, StoredKey};

/// How often unknown key ids may make the ring load again: a flood of made-up ones must not reach the store.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);
/// How often the shelf is looked at before a node gives up on settling it.
const MAX_ROUNDS: usize = 32;
/// How many writes of one rotation may stay without an answer.
const MAX_UNANSWERED: usize = 2;

/// The part of a store that keys need.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// [`Store::keys`].
    async fn load(&self) -> Result<KeyShelf, StoreError>;

    /// [`Store::put_key`].
    async fn put(&self, expected: u64, key: &StoredKey) -> Result<bool, StoreError>;
}

#[async_trait]
impl<T: Store + ?Sized> KeyStore for T {
    async fn load(&self) -> Result<KeyShelf, StoreError> {
        self.keys().await
    }

    async fn put(&self, expected: u64, key: &StoredKey) -> Result<bool, StoreError> {
        self.put_key(expected, key).await
    }
}

/// The keys of this node.
#[derive(Debug)]
pub struct Keys {
    masters: MasterKeys,
    algorithm: Algorithm,
    ring: ArcSwapOption<KeyRing>,
    /// Held while the ring is loaded: an older view of the store must not replace a newer one.
    loading: Mutex<LastReload>,
}

/// When an unknown key last made the ring load, and what came of it.
#[derive(Debug, Default)]
struct LastReload(Option<(UnixMillis, Result<(), KeysError>)>);

impl Keys {
    /// No keys yet. New tokens will be signed by `algorithm`.
    pub fn new(masters: MasterKeys, algorithm: Algorithm) -> Self {
        Self { masters, algorithm, ring: ArcSwapOption::empty(), loading: Mutex::default() }
    }

    /// The master keys.
    pub const fn masters(&self) -> &MasterKeys {
        &self.masters
    }

    /// The ring in use; nothing until it was first loaded.
    pub fn snapshot(&self) -> Option<Arc<KeyRing>> {
        self.ring.load_full()
    }

    /// Loads the ring and sees to it that the store holds what it should: an active key of the configured algorithm,
    /// no other active key, and every key that this node knows of in no earlier state than here. Nodes that start at
    /// once settle on one key, for each write is conditional on the shelf that it was decided on.
    ///
    /// # Errors
    /// If the store fails or holds keys that cannot be read, or others change the keys all the time.
    pub async fn load_or_create<S: KeyStore + ?Sized>(
        &self,
        store: &S,
        clock: &dyn Clock,
        random: Random,
    ) -> Result<Arc<KeyRing>, KeysError> {
        let _loading = self.loading.lock().await;
        // One new key at most: a node that is configured otherwise might retire it at once, and so on for ever.
        let mut made_one = false;
        for _ in 0..MAX_ROUNDS {
            let found = store.load().await?;
            let stored = self.read(&found)?;
            let keys = self.with_what_we_know(&stored);
            let (write, is_new) = match self.settling_write(&stored, &keys, clock.now()) {
                Some(write) => (write, false),
                None if self.lacks_own_key(&keys) && !made_one => {
                    (self.generate(clock.now(), random).await?, true)
                }
                None => return self.publish(found.version, keys),
            };
            let done = store.put(found.version, &to_stored(&write, &self.masters, random)?).await?;
            made_one |= is_new && done;
        }
        Err(KeysError::Contended)
    }

    /// Loads the ring. Keys that this node knows of stay even if the store has lost them, since tokens that they
    /// signed are in use.
    ///
    /// # Errors
    /// If the store fails, or holds keys that cannot be read or none that is active. The ring in use stays.
    pub async fn reload<S: KeyStore + ?Sized>(&self, store: &S) -> Result<Arc<KeyRing>, KeysError> {
        let _loading = self.loading.lock().await;
        self.load(store).await
    }

    /// Loads the ring because a token was signed by a key that it does not have; at most once a second, and once for
    /// all who ask meanwhile. Those who ask within the second get the ring that the last load gave.
    ///
    /// # Errors
    /// As [`Keys::reload`], also within the second after a load that failed: while the store is out of reach, nobody
    /// may be told that a token is not ours.
    pub async fn reload_for_unknown_kid<S: KeyStore + ?Sized>(
        &self,
        store: &S,
        now: UnixMillis,
    ) -> Result<Option<Arc<KeyRing>>, KeysError> {
        let mut last = self.loading.lock().await;
        if let Some((at, outcome)) = last.0.as_ref()
            // A clock that was set back must not stop reloads.
            && *at <= now
            && now.age_since(*at) < RELOAD_INTERVAL
        {
            return outcome.clone().map(|()| self.snapshot());
        }
        let outcome = self.load(store).await;
        last.0 = Some((now, outcome.as_ref().map(|_| ()).map_err(Clone::clone)));
        outcome.map(Some)
    }

    /// Makes a new key of the configured algorithm, signs with it from now on, and retires all other active keys. Gives
    /// the new key's id and the ring. The key `revoke`, if one is named, is good for nothing any more; nothing at all is done if there
    /// is no such key.
    ///
    /// The new key is on the shelf before another one is retired, so the shelf never lacks an active key. Of rotations
    /// at the same time, each key is newer than those that were there before it, and all retire whatever is not the
    /// newest: one active key is left, whoever comes last.
    ///
    /// # Errors
    /// If the store fails or holds keys that cannot be read, or others change the keys all the time. Should the new key
    /// have reached the shelf by then, it is the newest: whoever loads the ring signs with it.
    pub async fn rotate<S: KeyStore + ?Sized>(
        &self,
        store: &S,
        clock: &dyn Clock,
        random: Random,
        revoke: Option<&str>,
    ) -> Result<Option<(String, Arc<KeyRing>)>, KeysError> {
        let new = self.generate(clock.now(), random).await?;
        let kid = new.signing.kid();
        let _loading = self.loading.lock().await;
        let mut unanswered = 0;
        for _ in 0..MAX_ROUNDS {
            let found = store.load().await?;
            let stored = self.read(&found)?;
            let keys = self.with_what_we_know(&stored);
            let revoked = revoke.map(|kid| find(&keys, kid));
            if revoked.is_some_and(|key| key.is_none()) {
                return Ok(None);
            }
            let write = if find(&stored, kid).is_none() {
                newest_of(&new, &keys)
            } else if let Some(key) = revoked.flatten().filter(|key| key.state < KeyState::Revoked) {
                key.revoked(clock.now())
            } else if let Some(write) = self.settling_write(&stored, &keys, clock.now()) {
                write
            } else {
                return Ok(Some((kid.to_owned(), self.publish(found.version, keys)?)));
            };
            match store.put(found.version, &to_stored(&write, &self.masters, random)?).await {
                // Whether it was applied, the next look tells.
                Err(StoreError::Indeterminate(_)) if unanswered < MAX_UNANSWERED => unanswered += 1,
                put => drop(put?),
            }
        }
        Err(KeysError::Contended)
    }

    async fn load<S: KeyStore + ?Sized>(&self, store: &S) -> Result<Arc<KeyRing>, KeysError> {
        let found = store.load().await?;
        let keys = self.with_what_we_know(&self.read(&found)?);
        self.publish(found.version, keys)
    }

    fn read(&self, found: &KeyShelf) -> Result<Vec<RingKey>, KeysError> {
        let ring = self.snapshot();
        let known = |kid: &str| ring.as_deref().and_then(|ring| find(ring.keys(), kid));
        found.keys.iter().map(|stored| from_stored(stored, known(&stored.id), &self.masters)).collect()
    }

    /// What the store holds and what this node holds: every key of either, in the later of its states.
    fn with_what_we_know(&self, stored: &[RingKey]) -> Vec<RingKey> {
        let mut keys = stored.to_vec();
        let Some(ring) = self.snapshot() else { return keys };
        for ours in ring.keys() {
            match keys.iter_mut().find(|key| key.signing.kid() == ours.signing.kid()) {
                Some(key) => *key = key.clone().or_later_state_of(ours),
                None => keys.push(ours.clone()),
            }
        }
        keys
    }

    /// The next write that brings the store closer to holding `keys`, one of them active; nothing if none is needed.
    fn settling_write(&self, stored: &[RingKey], keys: &[RingKey], now: UnixMillis) -> Option<RingKey> {
        let is_lost =
            |key: &&RingKey| find(stored, key.signing.kid()).is_none_or(|stored| stored.state < key.state);
        let lost = keys.iter().find(is_lost).cloned();
        lost.or_else(|| self.superfluous(keys).map(|key| key.retired(now)))
    }

    /// An active key beside the one that mints. None is superfluous until there is one of the configured algorithm, so
    /// that the store always holds an active key.
    fn superfluous<'a>(&self, keys: &'a [RingKey]) -> Option<&'a RingKey> {
        let minting = minting_key(keys, self.algorithm)?.signing.kid();
        let beside = |key: &&RingKey| key.state == KeyState::Active && key.signing.kid() != minting;
        keys.iter().find(beside).filter(|_| !self.lacks_own_key(keys))
    }

    fn lacks_own_key(&self, keys: &[RingKey]) -> bool {
        minting_key(keys, self.algorithm).is_none_or(|key| key.signing.algorithm() != self.algorithm)
    }

    /// Generating an RSA key takes long, hence not on the worker.
    async fn generate(&self, now: UnixMillis, random: Random) -> Result<RingKey, KeysError> {
        let algorithm = self.algorithm;
        let signing = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm, random))
            .await
            .map_err(|_| KeysError::Crypto("generate a key"))??;
        Ok(RingKey { signing: Arc::new(signing), state: KeyState::Active, created_at: now, retired_at: None })
    }

    fn publish(&self, version: u64, keys: Vec<RingKey>) -> Result<Arc<KeyRing>, KeysError> {
        let ring = Arc::new(KeyRing::new(version, keys, self.algorithm)?);
        self.ring.store(Some(Arc::clone(&ring)));
        Ok(ring)
    }
}

/// The key, made later than all others: clocks of nodes differ, and the newest key signs.
fn newest_of(new: &RingKey, keys: &[RingKey]) -> RingKey {
    let after = keys.iter().map(|key| UnixMillis(key.created_at.0.saturating_add(1))).max();
    RingKey { created_at: new.created_at.max(after.unwrap_or_default()), ..new.clone() }
}

fn find<'a>(keys: &'a [RingKey], kid: &str) -> Option<&'a RingKey> {
    keys.iter().find(|key| key.signing.kid() == kid)
}
