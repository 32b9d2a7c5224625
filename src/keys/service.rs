//! The key ring that all workers share, and how it follows the store.

use std::num::NonZeroUsize;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use relatch_domain::UnixMillis;
use relatch_verify::{NoRandomness, SignatureMemory};
use tokio::sync::Mutex;

use super::error::KeysError;
use super::lifetimes::{Lifetimes, until_there_is_room};
use super::master::MasterKeys;
use super::ring::{KeyRing, KeyState, RingKey, minting_key, next_key};
use super::settling::{self, Fresh, Need, Rotation, find, newest_of};
use super::signing::{Algorithm, SigningKey};
use super::stored::{from_stored, is_sealed_under_another, to_stored};
use super::unknown::{Loads, Named, may_be_ours};
use crate::ambient::{Clock, Random};
use crate::store::{KeyShelf, Store, StoreError, StoredKey};

/// How many access tokens are remembered, in 8 MiB once all are there. A client that refreshes comes with the token of its last
/// refresh, a lifetime ago: this is room for those of some 100,000 sessions, of which few have lost their place by then.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(512 * 1024).unwrap();
/// How often the shelf is looked at before a node gives up on settling it.
const MAX_ROUNDS: usize = 32;
/// How many writes of one rotation may stay without an answer.
const MAX_UNANSWERED: usize = 2;

/// How many keys are written or removed at a time when their time has come.
const AT_ONCE: usize = 32;

/// The part of a store that keys need.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// [`Store::keys`].
    async fn load(&self) -> Result<KeyShelf, StoreError>;

    /// [`Store::put_key`].
    async fn put(&self, expected: u64, key: &StoredKey) -> Result<bool, StoreError>;

    /// [`Store::remove_key`].
    async fn remove(&self, expected: u64, kid: &str) -> Result<bool, StoreError>;

    /// [`Store::latest_time`].
    async fn time(&self) -> Result<UnixMillis, StoreError>;
}

#[async_trait]
impl<T: Store + ?Sized> KeyStore for T {
    async fn load(&self) -> Result<KeyShelf, StoreError> {
        self.keys().await
    }

    async fn put(&self, expected: u64, key: &StoredKey) -> Result<bool, StoreError> {
        self.put_key(expected, key).await
    }

    async fn remove(&self, expected: u64, kid: &str) -> Result<bool, StoreError> {
        self.remove_key(expected, kid).await
    }

    async fn time(&self) -> Result<UnixMillis, StoreError> {
        self.latest_time().await
    }
}

/// The keys of this node.
#[derive(Debug)]
pub struct Keys {
    masters: MasterKeys,
    algorithm: Algorithm,
    /// This node's.
    lifetimes: Lifetimes,
    ring: ArcSwapOption<KeyRing>,
    signatures: SignatureMemory,
    named: Named,
    /// Held while the ring is loaded: an older view of the store must not replace a newer one.
    loading: Mutex<Loads>,
}

impl Keys {
    /// No keys yet. New tokens will be signed by `algorithm`, and live no longer than `lifetimes` says.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new(masters: MasterKeys, algorithm: Algorithm, lifetimes: Lifetimes) -> Result<Self, KeysError> {
        let signatures = SignatureMemory::with_room_for(REMEMBERED);
        let signatures = signatures.map_err(|NoRandomness| KeysError::Crypto("draw a key for signatures"))?;
        Ok(Self {
            masters,
            algorithm,
            lifetimes,
            ring: ArcSwapOption::empty(),
            signatures,
            named: Named::default(),
            loading: Mutex::default(),
        })
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
            let keys = self.with_what_we_know(&stored, clock.now());
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

    /// Loads the ring, and sees to it that the store knows for how long keys are needed and holds none whose time is over.
    ///
    /// # Errors
    /// As [`Keys::reload`], or if the store fails to write.
    pub async fn tend<S: KeyStore + ?Sized>(
        &self,
        store: &S,
        clock: &dyn Clock,
        random: Random,
    ) -> Result<Arc<KeyRing>, KeysError> {
        let mut loads = self.loading.lock().await;
        let now = clock.now();
        let found = store.load().await?;
        let stored = self.read(&found)?;
        let keys = self.with_what_we_know(&stored, now);
        let (mut version, mut has_written) = (found.version, false);
        for key in settling::too_short(&stored, &keys).take(AT_ONCE) {
            if !store.put(version, &to_stored(key, &self.masters, random)?).await? {
                return self.load(store, now, &mut loads).await;
            }
            (version, has_written) = (version + 1, true);
        }
        let mut over: Vec<_> = stored.iter().filter(|key| key.is_to_be_removed(now)).take(AT_ONCE).collect();
        if !over.is_empty() {
            // What is removed is gone for good: both clocks have to say so.
            let time = store.time().await?;
            over.retain(|key| key.is_to_be_removed(time));
        }
        for key in over {
            if !store.remove(version, key.signing.kid()).await? {
                break;
            }
            tracing::info!(
                event = "key_removed",
                kid = key.signing.kid(),
                "nobody can have a token of this key any more"
            );
            (version, has_written) = (version + 1, true);
        }
        if has_written { self.load(store, now, &mut loads).await } else { self.publish(version, keys) }
    }

    /// Loads the ring. Keys that this node knows of stay even if the store has lost them, since tokens that they
    /// signed are in use.
    ///
    /// # Errors
    /// If the store fails, or holds keys that cannot be read or none that is active. The ring in use stays.
    pub async fn reload<S: KeyStore + ?Sized>(
        &self,
        store: &S,
        now: UnixMillis,
    ) -> Result<Arc<KeyRing>, KeysError> {
        let mut loads = self.loading.lock().await;
        self.load(store, now, &mut loads).await
    }

    /// Loads the ring because a token was signed by a key that it does not have; at most once a second, and once for
    /// all who ask meanwhile. If that was successful, the ring in use now tells whether the key is ours: it was loaded after
    /// the token was there. For an id that none of our keys can have, nothing is loaded.
    ///
    /// # Errors
    /// [`KeysError::NotLookedFor`] if the ring was loaded a moment ago, before anybody named this key: it may be newer, and
    /// nobody may be told that the token is not ours. As [`Keys::reload`], also within the second after a load that failed,
    /// for the same reason.
    pub async fn reload_for_unknown_kid<S: KeyStore + ?Sized>(
        &self,
        store: &S,
        kid: &str,
        now: UnixMillis,
    ) -> Result<(), KeysError> {
        if !may_be_ours(kid) {
            return Ok(());
        }
        self.named.add(kid);
        let mut loads = self.loading.lock().await;
        let is_known = self.snapshot().is_some_and(|ring| ring.origin_keys().get(kid).is_some());
        if is_known || loads.have_looked_for(kid, now) {
            return Ok(());
        }
        loads.may_load(now)?;
        let outcome = self.load(store, now, &mut loads).await.map(drop);
        loads.ended(now, outcome.clone());
        outcome
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
    /// [`KeysError::NoRoom`] if too many keys have retired lately and none has leaked. If one has, it is revoked all the same,
    /// and the key that signs goes on if it is another. If the store fails or holds keys that cannot be read, or others change
    /// the keys all the time. Should the new key have become active by then, it is the newest: a node that loads the ring signs
    /// with it.
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
            let keys = self.with_what_we_know(&stored, clock.now());
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

    async fn load<S: KeyStore + ?Sized>(
        &self,
        store: &S,
        now: UnixMillis,
        loads: &mut Loads,
    ) -> Result<Arc<KeyRing>, KeysError> {
        let named = self.named.take();
        let found = store.load().await?;
        let keys = self.with_what_we_know(&self.read(&found)?, now);
        let ring = self.publish(found.version, keys)?;
        loads.looked_for(named, now);
        Ok(ring)
    }

    fn read(&self, found: &KeyShelf) -> Result<Vec<RingKey>, KeysError> {
        let ring = self.snapshot();
        let known = |kid: &str| ring.as_deref().and_then(|ring| find(ring.keys(), kid));
        found.keys.iter().map(|stored| from_stored(stored, known(&stored.id), &self.masters)).collect()
    }

    /// What the store holds and what this node holds: every key of either whose time is not over, in the later of its states.
    fn with_what_we_know(&self, stored: &[RingKey], now: UnixMillis) -> Vec<RingKey> {
        let mut keys = stored.to_vec();
        let ring = self.snapshot();
        for ours in ring.iter().flat_map(|ring| ring.keys()) {
            match keys.iter_mut().find(|key| key.signing.kid() == ours.signing.kid()) {
                Some(key) => *key = key.clone().or_later_state_of(ours),
                None => keys.push(ours.clone()),
            }
        }
        let ours = keys.into_iter().map(|key| key.on_a_node_of(self.lifetimes));
        ours.filter(|key| key.is_kept(now)).collect()
    }

    /// The key that a rotation activates. If another one signs than the one that `signed` when the rotation was asked
    /// for, somebody else was asked at the same time, and it is that one. So is the one that signs if there is no room for one
    /// more that is retired, but another one has leaked.
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
        if let (Some(signing), Some(wait)) = (signing, until_there_is_room(keys, clock.now()))
            && rotation.leaked != Some(signing.signing.kid())
        {
            return match rotation.leaked {
                Some(_) => Ok(signing.clone()),
                None => Err(KeysError::NoRoom(wait)),
            };
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
        let lifetimes = self.lifetimes;
        Ok(RingKey { signing, state, created_at: now, active_since: None, retired_at: None, lifetimes })
    }

    fn publish(&self, version: u64, keys: Vec<RingKey>) -> Result<Arc<KeyRing>, KeysError> {
        let ring = Arc::new(KeyRing::new(version, keys, self.algorithm)?);
        self.ring.store(Some(Arc::clone(&ring)));
        Ok(ring)
    }
}
