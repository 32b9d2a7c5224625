//! Looking for keys that tokens name and a node does not have.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use relatch_domain::UnixMillis;

use super::error::KeysError;
use super::ring::KeyState;
use super::ring::tests::ring_key;
use super::service_tests::{NOW, Shelf, node, start};
use super::signing::Algorithm;
use crate::store::StoreError;

/// An id of the right form that no key has.
fn made_up(number: u8) -> String {
    relatch_domain::base64url::encode(&[number; 32])
}

#[tokio::test]
async fn an_unknown_key_loads_the_ring_once_a_second_for_all() {
    let (shelf, node) = (Shelf::default(), node(Algorithm::ES256));
    start(&node, &shelf, 1000).await.unwrap();
    let key = ring_key(Algorithm::ES256, KeyState::Active, 5);
    shelf.put_now(&key);
    let loads = || shelf.loads.load(Ordering::Relaxed);
    let before = loads();
    let asks = (0..16).map(|_| node.reload_for_unknown_kid(&shelf, key.signing.kid(), UnixMillis(5000)));
    futures_util::future::try_join_all(asks).await.unwrap();
    assert!(node.snapshot().unwrap().verifying_keys().get(key.signing.kid()).is_some());
    assert_eq!(loads(), before + 1);
    let (mut expected, late) = (before + 1, Err(KeysError::NotLookedFor));
    for (now, kid, loaded, outcome) in [
        (5999, 1, 0, late.clone()),
        (6000, 2, 1, Ok(())),
        // It was named before the last load, which looked for it.
        (6001, 1, 0, Ok(())),
        (6500, 2, 0, Ok(())),
        (6600, 3, 0, late.clone()),
        // A clock that was set back.
        (4000, 4, 1, Ok(())),
        (4001, 5, 0, late),
    ] {
        let asked = node.reload_for_unknown_kid(&shelf, &made_up(kid), UnixMillis(now)).await;
        expected += loaded;
        assert_eq!((asked, loads()), (outcome, expected), "at {now}");
    }
}

/// Who makes up keys without end keeps nobody from hearing of a new one, and gets nothing loaded more often.
#[tokio::test]
async fn a_flood_of_unknown_keys_costs_a_load_a_second() {
    let (shelf, node) = (Shelf::default(), node(Algorithm::ES256));
    start(&node, &shelf, 1000).await.unwrap();
    let before = shelf.loads.load(Ordering::Relaxed);
    let id = |number: u32| relatch_domain::base64url::encode(&[&number.to_be_bytes()[..], &[7; 28]].concat());
    for number in 0..10_000 {
        let now = UnixMillis(5000 + u64::from(number));
        if number == 2500 {
            shelf.put_now(&ring_key(Algorithm::ES256, KeyState::Active, 5));
        }
        let _ = node.reload_for_unknown_kid(&shelf, &id(number), now).await;
    }
    assert_eq!(shelf.loads.load(Ordering::Relaxed) - before, 10);
    assert_eq!(node.snapshot().unwrap().keys().len(), 3);
    for wrong in ["k", "", "unknown", &"k".repeat(64)] {
        assert_eq!(node.reload_for_unknown_kid(&shelf, wrong, UnixMillis(90_000)).await, Ok(()));
    }
    assert_eq!(shelf.loads.load(Ordering::Relaxed) - before, 10, "no key of ours has such an id");
}

/// An outage must not look like a verdict: all who ask meanwhile learn of the outage too.
#[tokio::test]
async fn while_the_store_is_down_everybody_hears_of_it_and_the_ring_stays() {
    let (shelf, node) = (Shelf::default(), node(Algorithm::ES256));
    let ring = start(&node, &shelf, 1000).await.unwrap();
    *shelf.down.lock().unwrap() = true;
    let down = KeysError::Store(StoreError::Unavailable("down".into()));
    let ask = async |now| node.reload_for_unknown_kid(&shelf, &made_up(1), UnixMillis(now)).await;
    assert_eq!(start(&node, &shelf, 1000).await.err(), Some(down.clone()));
    assert_eq!(node.reload(&shelf, NOW).await.err(), Some(down.clone()));
    assert_eq!(ask(5000).await, Err(down.clone()));
    *shelf.down.lock().unwrap() = false;
    assert_eq!(ask(5999).await, Err(down));
    assert!(Arc::ptr_eq(&node.snapshot().unwrap(), &ring));
    assert_eq!(ask(6000).await, Ok(()));
}
