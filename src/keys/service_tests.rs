use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use relatch_domain::UnixMillis;

use super::error::KeysError;
use super::lifetimes::Lifetimes;
use super::master::MasterKeys;
use super::master::tests::numbered;
use super::ring::tests::ring_key;
use super::ring::{KeyRing, KeyState, RingKey};
use super::service::{KeyStore, Keys};
use super::settling::Rotation;
use super::signing::Algorithm;
use super::stored::to_stored;
use crate::ambient::{Clock, Random};
use crate::store::{KeyShelf, StoreError, StoredKey};

/// A shelf in memory that can fail and be set back.
#[derive(Default)]
pub(super) struct Shelf {
    content: Mutex<(u64, BTreeMap<String, StoredKey>)>,
    pub(super) down: Mutex<bool>,
    pub(super) loads: AtomicUsize,
    /// Whether somebody else changes the shelf before every write.
    contended: bool,
    /// How many answers to writes get lost.
    lost_answers: AtomicUsize,
    /// Whether the shelf once held keys but no active one.
    lacked_active: AtomicBool,
    /// By its own clock.
    time: Mutex<UnixMillis>,
}

impl Shelf {
    pub(super) fn content(&self) -> (u64, BTreeMap<String, StoredKey>) {
        self.content.lock().unwrap().clone()
    }

    pub(super) fn set_back_to(&self, content: (u64, BTreeMap<String, StoredKey>)) {
        *self.content.lock().unwrap() = content;
    }

    pub(super) fn set_time(&self, now: u64) {
        *self.time.lock().unwrap() = UnixMillis(now);
    }

    pub(super) fn put_now(&self, key: &RingKey) {
        let stored = to_stored(key, &masters(), Random).unwrap();
        let mut content = self.content.lock().unwrap();
        content.0 += 1;
        content.1.insert(stored.id.clone(), stored);
    }

    fn check(&self) -> Result<(), StoreError> {
        if *self.down.lock().unwrap() { Err(StoreError::Unavailable("down".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl KeyStore for Shelf {
    async fn load(&self) -> Result<KeyShelf, StoreError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.check()?;
        let (version, keys) = self.content();
        // So that nodes on one thread come in between each other.
        tokio::task::yield_now().await;
        Ok(KeyShelf { version, keys: keys.into_values().collect() })
    }

    async fn put(&self, expected: u64, key: &StoredKey) -> Result<bool, StoreError> {
        tokio::task::yield_now().await;
        self.check()?;
        let mut content = self.content.lock().unwrap();
        if self.contended || content.0 != expected {
            return Ok(false);
        }
        content.0 += 1;
        content.1.insert(key.id.clone(), key.clone());
        let is_active =
            |key: &StoredKey| String::from_utf8_lossy(&key.sealed).contains(r#""state":"active""#);
        if !content.1.values().any(is_active) {
            self.lacked_active.store(true, Ordering::Relaxed);
        }
        let lost = |left: usize| left.checked_sub(1);
        match self.lost_answers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lost) {
            Ok(_) => Err(StoreError::Indeterminate("lost".into())),
            Err(_) => Ok(true),
        }
    }

    async fn remove(&self, expected: u64, kid: &str) -> Result<bool, StoreError> {
        self.check()?;
        let mut content = self.content.lock().unwrap();
        if self.contended || content.0 != expected {
            return Ok(false);
        }
        content.0 += 1;
        content.1.remove(kid);
        Ok(true)
    }

    async fn time(&self) -> Result<UnixMillis, StoreError> {
        self.check()?;
        Ok(*self.time.lock().unwrap())
    }
}

/// A moment at which all keys of these tests are kept.
pub(super) const NOW: UnixMillis = UnixMillis(10_000);
pub(super) const LIFETIMES: Lifetimes =
    Lifetimes { tokens: Duration::from_mins(15), sessions: Duration::from_hours(24 * 90) };

pub(super) struct At(pub(super) u64);

impl Clock for At {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0)
    }
}

pub(super) fn masters() -> MasterKeys {
    MasterKeys::new(&numbered(1), &[]).unwrap()
}

pub(super) fn node(algorithm: Algorithm) -> Keys {
    Keys::new(masters(), algorithm, LIFETIMES).unwrap()
}

pub(super) async fn start(node: &Keys, shelf: &Shelf, now: u64) -> Result<Arc<KeyRing>, KeysError> {
    node.load_or_create(shelf, &At(now), Random).await
}

fn states(ring: &KeyRing) -> Vec<(Algorithm, KeyState)> {
    let mut keys = ring.keys().to_vec();
    keys.sort_by_key(|key| key.created_at);
    keys.iter().map(|key| (key.signing.algorithm(), key.state)).collect()
}

#[tokio::test]
async fn the_first_start_makes_a_key_and_later_ones_use_it() {
    let (shelf, first) = (Shelf::default(), node(Algorithm::ES256));
    assert!(first.snapshot().is_none());
    let ring = start(&first, &shelf, 1000).await.unwrap();
    assert_eq!(states(&ring), [(Algorithm::ES256, KeyState::Active), (Algorithm::ES256, KeyState::Next)]);
    assert_eq!(minting(&ring).created_at, UnixMillis(1000));
    assert_eq!(first.snapshot().unwrap().version(), 2);
    let again = start(&node(Algorithm::ES256), &shelf, 2000).await.unwrap();
    assert_eq!(again.minting_key().kid(), ring.minting_key().kid());
    assert_eq!(shelf.content().0, 2);
}

#[tokio::test]
async fn nodes_that_start_at_once_settle_on_one_key() {
    let shelf = Shelf::default();
    let nodes: Vec<Keys> = (0..8).map(|_| node(Algorithm::EdDSA)).collect();
    let starts = nodes.iter().map(|node| start(node, &shelf, 1000));
    let rings = futures_util::future::try_join_all(starts).await.unwrap();
    assert_eq!(shelf.content().1.len(), 2);
    assert!(rings.iter().all(|ring| ring.minting_key().kid() == rings[0].minting_key().kid()));
}

#[tokio::test]
async fn another_algorithm_makes_a_new_key_and_retires_the_old_one() {
    let shelf = Shelf::default();
    let old = start(&node(Algorithm::ES256), &shelf, 1000).await.unwrap();
    let new = start(&node(Algorithm::EdDSA), &shelf, 2000).await.unwrap();
    let expected = [
        (Algorithm::ES256, KeyState::Retired),
        (Algorithm::ES256, KeyState::Retired),
        (Algorithm::EdDSA, KeyState::Active),
        (Algorithm::EdDSA, KeyState::Next),
    ];
    assert_eq!(states(&new), expected);
    assert_eq!(new.minting_key().algorithm(), Algorithm::EdDSA);
    assert!(new.verifying_keys().get(old.minting_key().kid()).is_some());
    let retired = new.keys().iter().filter(|key| key.state == KeyState::Retired);
    assert!(retired.map(|key| key.retired_at).all(|at| at == Some(UnixMillis(2000))));
}

#[tokio::test]
async fn a_node_that_is_not_configured_anew_yet_mints_with_the_new_key() {
    let (shelf, old) = (Shelf::default(), node(Algorithm::ES256));
    start(&old, &shelf, 1000).await.unwrap();
    let new = start(&node(Algorithm::EdDSA), &shelf, 2000).await.unwrap();
    let ring = old.reload(&shelf, NOW).await.unwrap();
    assert_eq!(ring.minting_key().kid(), new.minting_key().kid());
    assert_eq!(shelf.content().1.len(), 4);
}

#[tokio::test]
async fn nodes_that_are_configured_differently_come_to_an_end() {
    let shelf = Shelf::default();
    let nodes = [node(Algorithm::ES256), node(Algorithm::EdDSA)];
    for round in 0..4 {
        let [one, two] = &nodes;
        let (one, two) = tokio::join!(start(one, &shelf, 1000 + round), start(two, &shelf, 1000 + round));
        assert!(one.is_ok() && two.is_ok());
    }
    // One key of each kind for each start at most.
    assert!(shelf.content().1.len() <= 16);
}

#[tokio::test]
async fn of_several_active_keys_the_newest_stays() {
    let shelf = Shelf::default();
    let keys = [1, 3, 2].map(|at| ring_key(Algorithm::ES256, KeyState::Active, at));
    for key in &keys {
        shelf.put_now(key);
    }
    let ring = start(&node(Algorithm::ES256), &shelf, 9).await.unwrap();
    assert_eq!(ring.minting_key().kid(), keys[1].signing.kid());
    let count = ring.keys().iter().filter(|key| key.state == KeyState::Active).count();
    assert_eq!((count, ring.keys().len()), (1, 4));
}

/// A failover to a replica that had not heard of the last writes must not sign anybody out.
#[tokio::test]
async fn a_key_that_the_store_has_lost_stays_and_is_put_back() {
    let (shelf, node) = (Shelf::default(), node(Algorithm::ES256));
    let other = ring_key(Algorithm::ES256, KeyState::Active, 500);
    shelf.put_now(&other);
    let before = shelf.content();
    let newer = ring_key(Algorithm::ES256, KeyState::Active, 1000);
    shelf.put_now(&newer);
    start(&node, &shelf, 1500).await.unwrap();
    shelf.set_back_to(before);
    let ring = node.reload(&shelf, NOW).await.unwrap();
    let expected =
        [KeyState::Retired, KeyState::Active, KeyState::Next].map(|state| (Algorithm::ES256, state));
    assert_eq!(states(&ring), expected);
    assert_eq!(shelf.content().1.len(), 1);
    start(&node, &shelf, 2000).await.unwrap();
    let fresh = start(&self::node(Algorithm::ES256), &shelf, 2000).await.unwrap();
    assert_eq!(states(&fresh), expected);
    assert_eq!(fresh.minting_key().kid(), newer.signing.kid());
}

#[tokio::test]
async fn a_revoked_key_does_not_come_back_with_an_older_store() {
    let (shelf, node) = (Shelf::default(), node(Algorithm::ES256));
    let key = ring_key(Algorithm::ES256, KeyState::Retired, 500);
    shelf.put_now(&key);
    start(&node, &shelf, 1000).await.unwrap();
    let before = shelf.content();
    shelf.put_now(&RingKey { state: KeyState::Revoked, ..key.clone() });
    node.reload(&shelf, NOW).await.unwrap();
    shelf.set_back_to(before);
    let ring = node.reload(&shelf, NOW).await.unwrap();
    assert!(ring.verifying_keys().get(key.signing.kid()).is_none());
    start(&node, &shelf, 2000).await.unwrap();
    let fresh = self::node(Algorithm::ES256).reload(&shelf, NOW).await.unwrap();
    assert!(fresh.verifying_keys().get(key.signing.kid()).is_none());
}

#[tokio::test]
async fn keys_that_cannot_be_read_stop_the_load_and_the_ring_stays() {
    let (shelf, node) = (Shelf::default(), node(Algorithm::ES256));
    let ring = start(&node, &shelf, 1000).await.unwrap();
    shelf.content.lock().unwrap().1.insert("k".into(), StoredKey { id: "k".into(), sealed: b"{}".to_vec() });
    let corrupt = KeysError::Corrupt { kid: "k".into(), problem: "not in our form" };
    assert_eq!(node.reload(&shelf, NOW).await.err(), Some(corrupt));
    assert!(Arc::ptr_eq(&node.snapshot().unwrap(), &ring));
}

#[tokio::test]
async fn a_node_with_another_master_key_does_not_start() {
    let shelf = Shelf::default();
    start(&node(Algorithm::ES256), &shelf, 1000).await.unwrap();
    let stranger =
        Keys::new(MasterKeys::new(&numbered(2), &[]).unwrap(), Algorithm::ES256, LIFETIMES).unwrap();
    let error = start(&stranger, &shelf, 2000).await.err();
    assert!(matches!(error, Some(KeysError::UnknownMasterKey { .. })), "{error:?}");
    assert!(stranger.snapshot().is_none());
    let heir = Keys::new(MasterKeys::new(&numbered(2), &[numbered(1)]).unwrap(), Algorithm::ES256, LIFETIMES)
        .unwrap();
    assert!(start(&heir, &shelf, 2000).await.is_ok());
    assert_eq!(shelf.content().1.len(), 2);
}

/// Otherwise the one before could never be done without.
#[tokio::test]
async fn a_new_master_key_seals_all_keys_anew() {
    let shelf = Shelf::default();
    let before = start(&node(Algorithm::ES256), &shelf, 1000).await.unwrap();
    let with = |previous: &[_]| {
        Keys::new(MasterKeys::new(&numbered(2), previous).unwrap(), Algorithm::ES256, LIFETIMES).unwrap()
    };
    let error = start(&with(&[]), &shelf, 2000).await.err();
    assert!(matches!(error, Some(KeysError::UnknownMasterKey { .. })), "{error:?}");
    start(&with(&[numbered(1)]), &shelf, 2000).await.unwrap();
    let version = shelf.content().0;
    let after = start(&with(&[]), &shelf, 3000).await.unwrap();
    assert_eq!(after.jwks(NOW), before.jwks(NOW));
    assert_eq!(shelf.content().0, version, "nothing more is to be done");
}

#[tokio::test]
async fn a_node_that_is_never_quick_enough_says_so() {
    let shelf = Shelf { contended: true, ..Shelf::default() };
    assert_eq!(start(&node(Algorithm::HS256), &shelf, 1000).await.err(), Some(KeysError::Contended));
}

/// Opening and parsing keys costs; a reload must not do it for keys that are at hand.
#[tokio::test]
async fn a_reload_keeps_the_keys_that_are_parsed_already() {
    let (shelf, node) = (Shelf::default(), node(Algorithm::ES256));
    let first = start(&node, &shelf, 1000).await.unwrap();
    shelf.put_now(&ring_key(Algorithm::ES256, KeyState::Retired, 500));
    let second = node.reload(&shelf, NOW).await.unwrap();
    assert_eq!(second.keys().len(), 3);
    assert!(Arc::ptr_eq(&minting(&second).signing, &minting(&first).signing));
}

#[tokio::test]
async fn an_empty_store_has_no_key_to_reload() {
    let error = node(Algorithm::ES256).reload(&Shelf::default(), NOW).await.err();
    assert_eq!(error, Some(KeysError::NoActiveKey));
}

fn minting(ring: &KeyRing) -> &RingKey {
    ring.keys().iter().find(|key| key.signing.kid() == ring.minting_key().kid()).unwrap()
}

fn next(ring: &KeyRing) -> &RingKey {
    let mut next = ring.keys().iter().filter(|key| key.state == KeyState::Next);
    let (Some(key), None) = (next.next(), next.next()) else { panic!("{ring:?}") };
    key
}

pub(super) async fn rotate(
    node: &Keys,
    shelf: &Shelf,
    now: u64,
) -> Result<(String, Arc<KeyRing>), KeysError> {
    Ok(node.rotate(shelf, &At(now), Random, Rotation::default()).await?.expect("nothing is to be revoked"))
}

#[tokio::test]
async fn a_rotation_activates_the_next_key_retires_the_others_and_publishes_another() {
    let (shelf, node) = (Shelf::default(), node(Algorithm::ES256));
    let before = start(&node, &shelf, 1000).await.unwrap();
    let (kid, ring) = rotate(&node, &shelf, 2000).await.unwrap();
    let expected = [KeyState::Retired, KeyState::Active, KeyState::Next];
    assert_eq!(states(&ring), expected.map(|state| (Algorithm::ES256, state)));
    assert_eq!((ring.minting_key().kid(), next(&before).signing.kid()), (kid.as_str(), kid.as_str()));
    assert_eq!(minting(&ring).signing_since(), UnixMillis(2000));
    assert!(ring.verifying_keys().get(before.minting_key().kid()).is_some());
    assert!(Arc::ptr_eq(&node.snapshot().unwrap(), &ring));
    assert!(!shelf.lacked_active.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_rotation_can_revoke_a_key_whatever_state_it_is_in() {
    let (shelf, node) = (Shelf::default(), node(Algorithm::ES256));
    let first = start(&node, &shelf, 1000).await.unwrap().minting_key().kid().to_owned();
    let revoke = async |now, kid: &str| {
        let rotation = Rotation { leaked: Some(kid), ..Rotation::default() };
        node.rotate(&shelf, &At(now), Random, rotation).await.unwrap()
    };
    assert!(revoke(2000, "no-such-key").await.is_none());
    assert_eq!(shelf.content().1.len(), 2, "and no key was made");

    let (second, ring) = revoke(3000, &first).await.unwrap();
    assert_eq!((ring.minting_key().kid(), ring.keys().len()), (second.as_str(), 3));
    assert!(ring.verifying_keys().get(&first).is_none());
    let key = ring.keys().iter().find(|key| key.signing.kid() == first).unwrap();
    assert_eq!((key.state, key.retired_at), (KeyState::Revoked, Some(UnixMillis(3000))));
    // Once more does no harm, and another node knows of it.
    revoke(4000, &first).await.unwrap();
    let other = self::node(Algorithm::ES256).reload(&shelf, NOW).await.unwrap();
    assert!(other.verifying_keys().get(&first).is_none() && other.verifying_keys().get(&second).is_some());
    assert!(!shelf.lacked_active.load(Ordering::Relaxed));
}

/// Whoever has the next key can sign with it already.
#[tokio::test]
async fn a_next_key_that_has_leaked_never_signs() {
    let (shelf, node) = (Shelf::default(), node(Algorithm::ES256));
    let before = start(&node, &shelf, 1000).await.unwrap();
    let leaked = next(&before).signing.kid();
    let rotation = Rotation { leaked: Some(leaked), ..Rotation::default() };
    let (kid, ring) = node.rotate(&shelf, &At(2000), Random, rotation).await.unwrap().unwrap();
    assert_eq!(ring.minting_key().kid(), kid);
    let known = |ring: &KeyRing, kid: &str| ring.keys().iter().any(|key| key.signing.kid() == kid);
    assert!(!known(&before, &kid) && !known(&before, next(&ring).signing.kid()), "both are new");
    assert!(ring.verifying_keys().get(leaked).is_none());
}

/// Of nodes that find the key old at the same time, or one after the other, one rotates it.
#[tokio::test]
async fn a_rotation_from_a_key_that_signs_no_more_does_nothing() {
    let (shelf, one, two) = (Shelf::default(), node(Algorithm::ES256), node(Algorithm::ES256));
    let before = start(&one, &shelf, 1000).await.unwrap();
    start(&two, &shelf, 1000).await.unwrap();
    let rotation = Rotation { from: Some(before.minting_key().kid()), ..Rotation::default() };
    let rotated = one.rotate(&shelf, &At(2000), Random, rotation).await.unwrap();
    assert!(rotated.is_some());
    let content = shelf.content();
    assert!(two.rotate(&shelf, &At(2000), Random, rotation).await.unwrap().is_none());
    assert_eq!(shelf.content(), content);
}

#[tokio::test]
async fn rotations_at_once_leave_one_active_key_and_never_none() {
    let shelf = Shelf::default();
    let nodes: Vec<Keys> = (0..5).map(|_| node(Algorithm::EdDSA)).collect();
    for node in &nodes {
        start(node, &shelf, 1000).await.unwrap();
    }
    // Their clocks differ, and by the last one's it is earlier than when the first key was made.
    let rotations =
        nodes.iter().zip([5000, 4000, 3000, 2000, 10]).map(|(node, now)| rotate(node, &shelf, now));
    let kids: Vec<_> = futures_util::future::try_join_all(rotations)
        .await
        .unwrap()
        .into_iter()
        .map(|(kid, _)| kid)
        .collect();
    assert!(!shelf.lacked_active.load(Ordering::Relaxed));
    let ring = node(Algorithm::EdDSA).reload(&shelf, NOW).await.unwrap();
    let active: Vec<_> = ring.keys().iter().filter(|key| key.state == KeyState::Active).collect();
    assert_eq!((active.len(), ring.keys().len()), (1, 3), "they were one");
    assert!(kids.iter().all(|kid| kid == active[0].signing.kid()));
}

#[tokio::test]
async fn a_node_whose_clock_is_behind_rotates_all_the_same() {
    let (shelf, node) = (Shelf::default(), node(Algorithm::ES256));
    start(&node, &shelf, 9000).await.unwrap();
    let (kid, ring) = rotate(&node, &shelf, 1000).await.unwrap();
    assert_eq!(ring.minting_key().kid(), kid);
}

#[tokio::test]
async fn a_rotation_gets_over_lost_answers_but_not_over_many() {
    let (shelf, node) = (Shelf::default(), node(Algorithm::ES256));
    start(&node, &shelf, 1000).await.unwrap();
    shelf.lost_answers.store(2, Ordering::Relaxed);
    let (kid, ring) = rotate(&node, &shelf, 2000).await.unwrap();
    assert_eq!((ring.keys().len(), ring.minting_key().kid()), (3, kid.as_str()));

    let before = node.snapshot().unwrap();
    let shelf = Shelf { content: Mutex::new(shelf.content()), contended: true, ..Shelf::default() };
    assert_eq!(rotate(&node, &shelf, 3000).await.err(), Some(KeysError::Contended));
    *shelf.down.lock().unwrap() = true;
    assert!(matches!(rotate(&node, &shelf, 3000).await, Err(KeysError::Store(_))));
    assert!(Arc::ptr_eq(&node.snapshot().unwrap(), &before));
}
