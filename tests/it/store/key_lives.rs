//! A life of many rotations on a store: what is published and what is kept stays as small as it is after a while.

use std::sync::Arc;
use std::time::Duration;

use relatch::ambient::{Clock as _, Random};
use relatch::keys::lifetimes::Lifetimes;
use relatch::keys::master::{MasterKey, MasterKeys};
use relatch::keys::ring::KeyRing;
use relatch::keys::service::Keys;
use relatch::keys::settling::Rotation;
use relatch::keys::signing::Algorithm;
use relatch::store::Store;
use relatch::store::embedded::EmbeddedStore;
use relatch_testkit::clock::ManualClock;
use relatch_verify::KeySet;

use super::conformance::{clock, on_redis};

const LIFETIMES: Lifetimes =
    Lifetimes { tokens: Duration::from_mins(15), sessions: Duration::from_hours(24 * 30) };
const BETWEEN: Duration = Duration::from_hours(12);
/// Those of 31 days, the one that signs and the next. One more lies in the store, to be removed an hour after it was forgotten.
const KEPT: usize = 31 * 2 + 2;

fn node(algorithm: Algorithm) -> Keys {
    let master = MasterKey::from_base64(&relatch_testkit::app::master_key()).unwrap();
    Keys::new(MasterKeys::new(&master, &[]).unwrap(), algorithm, LIFETIMES).unwrap()
}

/// Published keys, bytes of the key set, keys in the store, bytes there, keys in memory.
async fn sizes(store: &dyn Store, ring: &KeyRing, clock: &ManualClock) -> [usize; 5] {
    let (jwks, shelf) = (ring.jwks(clock.now()), store.keys().await.unwrap());
    let published = KeySet::from_jwks(jwks.as_bytes()).unwrap().len();
    let bytes = shelf.keys.iter().map(|key| key.sealed.len()).sum();
    [published, jwks.len(), shelf.keys.len(), bytes, ring.keys().len()]
}

async fn a_thousand_rotations(store: Arc<dyn Store>, clock: ManualClock, algorithm: Algorithm) {
    let (one, other) = (node(algorithm), node(algorithm));
    one.load_or_create(&*store, &clock, Random).await.unwrap();
    let mut after = Vec::new();
    for number in 1..=1000 {
        clock.advance(BETWEEN);
        let rotated = one.rotate(&*store, &clock, Random, Rotation::default()).await.unwrap();
        assert!(rotated.is_some());
        // Another node follows, and knows as much.
        other.tend(&*store, &clock, Random).await.unwrap();
        let ring = one.tend(&*store, &clock, Random).await.unwrap();
        if number % 100 == 0 {
            after.push(sizes(&*store, &ring, &clock).await);
        }
    }
    eprintln!("{algorithm}: {after:?}");
    for [published, jwks, stored, bytes, known] in &after {
        assert_eq!([*published, *stored, *known], [3, KEPT + 1, KEPT], "{after:?}");
        assert!(*jwks < 1000 && *bytes < 64 * 1024, "{after:?}");
    }
    // What nobody has a token of comes back from no node's memory.
    other.load_or_create(&*store, &clock, Random).await.unwrap();
    assert_eq!(store.keys().await.unwrap().keys.len(), KEPT + 1);
}

#[tokio::test]
async fn a_thousand_rotations_leave_the_embedded_store_as_small_as_it_was() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = EmbeddedStore::open(&directory.path().join("store"), Arc::new(clock.clone())).unwrap();
    a_thousand_rotations(store.handle(), clock, Algorithm::EdDSA).await;
}

#[tokio::test]
async fn a_thousand_rotations_leave_redis_as_small_as_it_was() {
    let clock = clock();
    let (_server, store) = on_redis(&clock).await;
    a_thousand_rotations(store, clock, Algorithm::ES256).await;
}

/// Even with the longest keys, and all that may be published.
#[tokio::test]
async fn the_longest_key_set_is_short_enough_for_those_who_verify() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = EmbeddedStore::open(&directory.path().join("store"), Arc::new(clock.clone())).unwrap();
    let (store, node) = (store.handle(), node(Algorithm::RS256));
    node.load_or_create(&*store, &clock, Random).await.unwrap();
    let mut rotations = 0;
    while node.rotate(&*store, &clock, Random, Rotation::default()).await.is_ok() {
        rotations += 1;
    }
    assert_eq!(rotations, 16);
    let [published, bytes, ..] = sizes(&*store, &node.snapshot().unwrap(), &clock).await;
    eprintln!("RS256: {bytes} bytes");
    assert_eq!(published, 18);
    assert!(bytes < 16 * 1024, "{bytes}");
}
