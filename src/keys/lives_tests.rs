//! Keys whose time is over, on nodes whose clocks differ.

use std::sync::Arc;
use std::time::Duration;

use relatch_domain::UnixMillis;

use super::error::KeysError;
use super::lifetimes::Lifetimes;
use super::ring::{KeyRing, KeyState};
use super::service::Keys;
use super::service_tests::{At, LIFETIMES, Shelf, masters, node, rotate, start};
use super::settling::Rotation;
use super::signing::Algorithm;
use crate::ambient::Random;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// When the first key retired.
const RETIRED: u64 = 1_000_000;
/// Until when it is kept: a session's life and a day.
const KEPT_UNTIL: u64 = RETIRED + 91 * 24 * HOUR;

async fn tend(node: &Keys, shelf: &Shelf, now: u64) -> Arc<KeyRing> {
    node.tend(shelf, &At(now), Random).await.unwrap()
}

/// Two nodes that know the key that has retired, and its id.
async fn two_nodes(shelf: &Shelf) -> (Keys, Keys, String) {
    let (one, two) = (node(Algorithm::HS256), node(Algorithm::HS256));
    let first = start(&one, shelf, RETIRED - 1000).await.unwrap().minting_key().kid().to_owned();
    rotate(&one, shelf, RETIRED).await.unwrap();
    start(&two, shelf, RETIRED).await.unwrap();
    shelf.set_time(KEPT_UNTIL + 24 * HOUR);
    (one, two, first)
}

fn holds(ring: &Arc<KeyRing>, kid: &str) -> bool {
    assert_eq!(ring.verifying_keys().get(kid).is_some(), ring.origin_keys().get(kid).is_some());
    ring.origin_keys().get(kid).is_some()
}

fn is_stored(shelf: &Shelf, kid: &str) -> bool {
    shelf.content().1.contains_key(kid)
}

#[tokio::test]
async fn a_key_whose_time_is_over_is_forgotten_and_then_removed() {
    let shelf = Shelf::default();
    let (one, _, kid) = two_nodes(&shelf).await;
    assert!(holds(&tend(&one, &shelf, KEPT_UNTIL - 1).await, &kid));
    assert!(!holds(&tend(&one, &shelf, KEPT_UNTIL).await, &kid));
    assert!(is_stored(&shelf, &kid), "others may know it still");
    tend(&one, &shelf, KEPT_UNTIL + HOUR).await;
    assert!(!is_stored(&shelf, &kid));
    assert_eq!(shelf.content().1.len(), 2);
    let version = shelf.content().0;
    tend(&one, &shelf, KEPT_UNTIL + HOUR).await;
    assert_eq!(shelf.content().0, version, "nothing more is to be done");
}

#[tokio::test]
async fn a_removed_key_does_not_come_back_from_a_node_whose_clock_is_behind() {
    let shelf = Shelf::default();
    let (one, behind, kid) = two_nodes(&shelf).await;
    tend(&one, &shelf, KEPT_UNTIL + HOUR).await;
    for by in [59 * MINUTE, 10 * MINUTE, 0] {
        start(&behind, &shelf, KEPT_UNTIL + HOUR - by).await.unwrap();
        rotate(&behind, &shelf, KEPT_UNTIL + HOUR - by).await.unwrap();
        assert!(!is_stored(&shelf, &kid), "by {by} ms");
    }
}

#[tokio::test]
async fn a_node_that_is_hours_behind_gives_a_key_back_and_it_is_removed_again() {
    let shelf = Shelf::default();
    let (one, behind, kid) = two_nodes(&shelf).await;
    tend(&one, &shelf, KEPT_UNTIL + HOUR).await;
    start(&behind, &shelf, KEPT_UNTIL - HOUR).await.unwrap();
    assert!(is_stored(&shelf, &kid));
    assert!(!holds(&tend(&one, &shelf, KEPT_UNTIL + HOUR).await, &kid));
    assert!(!is_stored(&shelf, &kid));
}

/// A node whose clock was set ahead must not remove what others need: the store's clock counts as well.
#[tokio::test]
async fn nothing_is_removed_before_the_stores_clock_says_so() {
    let shelf = Shelf::default();
    let (one, two, kid) = two_nodes(&shelf).await;
    shelf.set_time(KEPT_UNTIL + HOUR - 1);
    tend(&one, &shelf, KEPT_UNTIL * 2).await;
    assert!(is_stored(&shelf, &kid));
    assert!(holds(&tend(&two, &shelf, RETIRED).await, &kid));
    // And it is there again when the clock is right again.
    assert!(holds(&tend(&one, &shelf, RETIRED).await, &kid));
    shelf.set_time(KEPT_UNTIL + HOUR);
    tend(&one, &shelf, KEPT_UNTIL * 2).await;
    assert!(!is_stored(&shelf, &kid));
}

#[tokio::test]
async fn a_revoked_key_is_kept_as_long() {
    let shelf = Shelf::default();
    let one = node(Algorithm::HS256);
    let kid = start(&one, &shelf, RETIRED - 1000).await.unwrap().minting_key().kid().to_owned();
    let rotation = Rotation { leaked: Some(&kid), ..Rotation::default() };
    one.rotate(&shelf, &At(RETIRED), Random, rotation).await.unwrap();
    shelf.set_time(KEPT_UNTIL + HOUR);
    assert!(tend(&one, &shelf, KEPT_UNTIL - 1).await.origin_keys().get(&kid).is_some());
    tend(&one, &shelf, KEPT_UNTIL + HOUR).await;
    assert!(!is_stored(&shelf, &kid));
}

/// Tokens of before are out there, whatever a node makes now.
#[tokio::test]
async fn a_lifetime_that_was_lowered_does_not_unpublish_too_early() {
    let shelf = Shelf::default();
    let of = |hours| {
        let lifetimes = Lifetimes { tokens: Duration::from_hours(hours), ..LIFETIMES };
        Keys::new(masters(), Algorithm::ES256, lifetimes).unwrap()
    };
    let published = |ring: &KeyRing, now| ring.jwks(UnixMillis(now)).matches("kid").count();
    let long = of(24);
    start(&long, &shelf, RETIRED - 1000).await.unwrap();
    let short = of(1);
    start(&short, &shelf, RETIRED - 500).await.unwrap();
    let (_, ring) = rotate(&short, &shelf, RETIRED).await.unwrap();
    let until = RETIRED + 24 * HOUR + 5 * MINUTE;
    assert_eq!((published(&ring, until - 1), published(&ring, until)), (3, 2));
    // The next of its own keys are published for an hour, unless the other node signs with them too.
    start(&short, &shelf, until).await.unwrap();
    rotate(&short, &shelf, until).await.unwrap();
    let (_, ring) = rotate(&short, &shelf, until).await.unwrap();
    assert_eq!(published(&ring, until + HOUR + 5 * MINUTE), 3, "the one that was next already");
    tend(&long, &shelf, until).await;
    let (_, ring) = rotate(&short, &shelf, until).await.unwrap();
    assert_eq!(published(&ring, until + HOUR + 5 * MINUTE), 4);
}

#[tokio::test]
async fn many_rotations_have_to_wait_and_revocations_have_not() {
    let (shelf, one) = (Shelf::default(), node(Algorithm::ES256));
    start(&one, &shelf, RETIRED).await.unwrap();
    for _ in 0..16 {
        rotate(&one, &shelf, RETIRED).await.unwrap();
    }
    let content = shelf.content();
    let wait = Duration::from_mins(20);
    assert_eq!(rotate(&one, &shelf, RETIRED).await.err(), Some(KeysError::NoRoom(wait)));
    assert_eq!(shelf.content(), content);
    let signs = one.snapshot().unwrap().minting_key().kid().to_owned();
    let states = |ring: &KeyRing| {
        let count = |state| ring.keys().iter().filter(|key| key.state == state).count();
        [KeyState::Next, KeyState::Active, KeyState::Retired, KeyState::Revoked].map(count)
    };
    let revoke = async |kid: String| {
        let rotation = Rotation { leaked: Some(&kid), ..Rotation::default() };
        one.rotate(&shelf, &At(RETIRED), Random, rotation).await.unwrap().unwrap()
    };
    // Of the next one, and of one that is revoked already.
    let next = one.snapshot().unwrap().keys().iter().find(|key| key.state == KeyState::Next).unwrap().clone();
    for _ in 0..2 {
        let (kid, ring) = revoke(next.signing.kid().to_owned()).await;
        assert_eq!(
            (kid.as_str(), states(&ring)),
            (signs.as_str(), [1, 1, 16, 1]),
            "the one that signs goes on"
        );
    }
    let (kid, ring) = revoke(signs.clone()).await;
    assert_eq!(states(&ring), [1, 1, 16, 2]);
    assert_ne!(kid, signs);
    let retired = ring.keys().iter().find(|key| key.state == KeyState::Retired).unwrap();
    let (_, ring) = revoke(retired.signing.kid().to_owned()).await;
    assert_eq!(states(&ring), [1, 1, 15, 3]);
    rotate(&one, &shelf, RETIRED).await.unwrap();
    let later = RETIRED + 20 * MINUTE;
    assert!(rotate(&one, &shelf, later - 1).await.is_err());
    rotate(&one, &shelf, later).await.unwrap();
}
