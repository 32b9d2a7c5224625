//! The key ring that all workers share, and how it follows the store.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use relatch_domain::UnixMillis;
use relatch_verify::{NoRandomness, SignatureMemory};
use tokio::sync::Mutex;

use super::error::KeysError;
use super::master::MasterKeys;
use super::ring::{KeyRing, KeyState, RingKey, minting_key, next_key};
use super::settling::{self, Fresh, Need, Rotation, find, newest_of};
use super::signing::{Algorithm, SigningKey};
use super::stored::{from_stored, is_sealed_under_another, to_stored};
use crate::ambient::{Clock, Random};
use crate::store::{KeyShelf, Store, StoreError, StoredKey};

/// How often unknown key ids may make the ring load again: a flood of made-up ones must not reach the store.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);
/// How many access tokens are remembered, in 8 MiB once all are there. A client that refreshes comes with the token of its last
/// refresh, a lifetime ago: this is room for those of some 100,000 sessions, of which few have lost their place by then.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(512 * 1024).unwrap();
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
    signatures: SignatureMemory,
    /// Held while the ring is loaded: an older view of the store must not replace a newer one.
    loading: Mutex<LastReload>,
}

/// When an unknown key last made the ring load, and what came of it.
#[derive(Debug, Default)]
struct LastReload(Option<(UnixMillis, Result<(), KeysError>)>);

impl Keys {
    /// No keys yet. New tokens will be signed by `algorithm`.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new(masters: MasterKeys, algorithm: Algorithm) -> Result<Self, KeysError> {
        let signatures = SignatureMemory::with_room_for(REMEMBERED);
        let signatures = signatures.map_err(|NoRandomness| KeysError::Crypto("draw a key for signatures"))?;
        Ok(Self { masters, algorithm, ring: ArcSwapOption::empty(), signatures, loading: Mutex::default() })
    }

    /// The access tokens that were signed or found good here.
    pub const fn signatures(&self) -> &SignatureMemory {
        &self.signatures
    }

    /// The master keys.
    pub const fn masters(&self) -> &MasterKeys {
        &self.masters
    }

    /// The ring in use; nothing until it was first loaded.
    pub fn snapshot(&self) -> Option<Arc<KeyRing>> {
        self.ring.load_full()
    }

    /// Loads the ring and sees to it that the store holds what it should: one active key, of the configured algorithm,
    /// another one that is published to sign next, and every key that this node knows of in no earlier state than here,
    /// all sealed under the master key in use.
    /// Nodes that start at once settle on the same keys, for each write is conditional on the shelf that it was decided
    /// on.
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
        let mut fresh = Fresh::default();
        for _ in 0..MAX_ROUNDS {
            let found = store.load().await?;
            let stored = self.read(&found)?;
            let keys = self.with_what_we_know(&stored);
            let write = match self.settled_by(&stored, &keys, &mut fresh, clock, random).await? {
                Some(write) => write,
                None => match self.sealed_under_another(&found, &keys) {
                    Some(key) => key.clone(),
                    None => return self.publish(found.version, keys),
                },
            };
            store.put(found.version, &to_stored(&write, &self.masters, random)?).await?;
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

    /// Signs with the key that was to sign next, retires all other active ones, and publishes another one to be next.
    /// Where there is no next key of the configured algorithm, a new one signs at once. Gives the id of the key that
    /// signs and the ring; nothing, and nothing is done, if what was asked for makes no sense any more: see
    /// [`Rotation`].
    ///
    /// The new key is active before another one is retired, so the shelf never lacks an active key. Rotations at the
    /// same time are one: all find the same key to be next.
    ///
    /// # Errors
    /// If the store fails or holds keys that cannot be read, or others change the keys all the time. Should the new key
    /// have become active by then, it is the newest: whoever loads the ring signs with it.
    pub async fn rotate<S: KeyStore + ?Sized>(
        &self,
        store: &S,
        clock: &dyn Clock,
        random: Random,
        rotation: Rotation<'_>,
    ) -> Result<Option<(String, Arc<KeyRing>)>, KeysError> {
        let signed = self.snapshot().map(|ring| ring.minting_key().kid().to_owned());
        let _loading = self.loading.lock().await;
        let (mut chosen, mut fresh, mut unanswered) = (None::<RingKey>, Fresh::default(), 0);
        for _ in 0..MAX_ROUNDS {
            let found = store.load().await?;
            let stored = self.read(&found)?;
            let keys = self.with_what_we_know(&stored);
            if chosen.is_none() && !rotation.makes_sense(&keys, self.algorithm) {
                return Ok(None);
            }
            let new = match chosen.take() {
                Some(new) => new,
                None => self.to_sign_next(&keys, &rotation, signed.as_deref(), clock, random).await?,
            };
            let new = chosen.insert(new);
            let kid = new.signing.kid();
            let leaked = rotation.leaked.and_then(|kid| find(&keys, kid));
            let write = if find(&stored, kid).is_none_or(|key| key.state < KeyState::Active) {
                newest_of(&new.activated(clock.now()), &keys)
            } else if let Some(key) = leaked.filter(|key| key.state < KeyState::Revoked) {
                key.revoked(clock.now())
            } else if let Some(write) = self.settled_by(&stored, &keys, &mut fresh, clock, random).await? {
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

    /// The key that a rotation activates. If another one signs than the one that `signed` when the rotation was asked
    /// for, somebody else was asked at the same time, and it is that one.
    async fn to_sign_next(
        &self,
        keys: &[RingKey],
        rotation: &Rotation<'_>,
        signed: Option<&str>,
        clock: &dyn Clock,
        random: Random,
    ) -> Result<RingKey, KeysError> {
        let signing = minting_key(keys, self.algorithm);
        if let Some(signing) = signing.filter(|key| signed.is_some_and(|signed| signed != key.signing.kid()))
            && rotation.leaked.is_none()
        {
            return Ok(signing.clone());
        }
        let next = next_key(keys, self.algorithm);
        match next.filter(|key| rotation.leaked != Some(key.signing.kid())) {
            Some(next) => Ok(next.clone()),
            None => self.generate(KeyState::Active, clock.now(), random).await,
        }
    }

    /// The next write that brings the store closer to what it should hold; nothing if none is needed.
    async fn settled_by(
        &self,
        stored: &[RingKey],
        keys: &[RingKey],
        fresh: &mut Fresh,
        clock: &dyn Clock,
        random: Random,
    ) -> Result<Option<RingKey>, KeysError> {
        let now = clock.now();
        Ok(match settling::need(stored, keys, self.algorithm) {
            Need::Nothing => None,
            Need::Restore(key) => Some(key.clone()),
            Need::Activate(key) => Some(newest_of(&key.activated(now), keys)),
            Need::Retire(key) => Some(key.retired(now)),
            Need::Make(state) => {
                let Some(place) = fresh.place_for(state, keys) else { return Ok(None) };
                let key = match place.take() {
                    Some(key) => key,
                    None => self.generate(state, now, random).await?,
                };
                Some(newest_of(place.insert(key), keys))
            }
        })
    }

    /// A key that lies there under a master key of before, and has to be sealed under the one in use.
    fn sealed_under_another<'a>(&self, found: &KeyShelf, keys: &'a [RingKey]) -> Option<&'a RingKey> {
        let key = found.keys.iter().find(|stored| is_sealed_under_another(stored, &self.masters))?;
        find(keys, &key.id)
    }

    /// Generating an RSA key takes long, hence not on the worker.
    async fn generate(&self, state: KeyState, now: UnixMillis, random: Random) -> Result<RingKey, KeysError> {
        let algorithm = self.algorithm;
        let signing = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm, random))
            .await
            .map_err(|_| KeysError::Crypto("generate a key"))??;
        let signing = Arc::new(signing);
        Ok(RingKey { signing, state, created_at: now, active_since: None, retired_at: None })
    }

    fn publish(&self, version: u64, keys: Vec<RingKey>) -> Result<Arc<KeyRing>, KeysError> {
        let ring = Arc::new(KeyRing::new(version, keys, self.algorithm)?);
        self.ring.store(Some(Arc::clone(&ring)));
        Ok(ring)
    }
}
