//! What the shelf of signing keys should hold, and what is to be done when it does not: decided without touching it.

use relatch_domain::UnixMillis;

use super::ring::{KeyState, RingKey, minting_key, next_key};
use super::signing::Algorithm;

/// What is asked of a rotation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rotation<'a> {
    /// The key that signs, as the one who asks knows it: if another one does, somebody was quicker and nothing is done.
    pub from: Option<&'a str>,
    /// A key that is good for nothing any more; if there is no such key, nothing is done.
    pub leaked: Option<&'a str>,
}

impl Rotation<'_> {
    pub(super) fn makes_sense(&self, keys: &[RingKey], algorithm: Algorithm) -> bool {
        let signs = |kid| minting_key(keys, algorithm).is_some_and(|key| key.signing.kid() == kid);
        self.from.is_none_or(signs) && self.leaked.is_none_or(|kid| find(keys, kid).is_some())
    }
}

/// What the shelf lacks most.
#[derive(Debug)]
pub(super) enum Need<'a> {
    /// Nothing.
    Nothing,
    /// A key that this node knows of, a later state of it, or longer lifetimes: the store was set back, or is not told yet.
    Restore(&'a RingKey),
    /// That a key which is published already begins to sign.
    Activate(&'a RingKey),
    /// A new key.
    Make(KeyState),
    /// That a key beside the right one ends.
    Retire(&'a RingKey),
}

/// What is to be done first, of what a node with this algorithm wants: every key that it knows of, one active key, one
/// that is next. No active key is retired until there is one of the algorithm, so that the store always holds one.
pub(super) fn need<'a>(stored: &[RingKey], keys: &'a [RingKey], algorithm: Algorithm) -> Need<'a> {
    let is_lost = |key: &&RingKey| {
        find(stored, key.signing.kid())
            .is_none_or(|stored| stored.state < key.state || lives_less(stored, key))
    };
    if let Some(lost) = keys.iter().find(is_lost) {
        return Need::Restore(lost);
    }
    let next = next_key(keys, algorithm);
    let Some(minting) = minting_key(keys, algorithm).filter(|key| key.signing.algorithm() == algorithm)
    else {
        return next.map_or(Need::Make(KeyState::Active), Need::Activate);
    };
    let Some(next) = next else { return Need::Make(KeyState::Next) };
    let is_beside = |key: &&RingKey| match key.state {
        KeyState::Active => key.signing.kid() != minting.signing.kid(),
        KeyState::Next => key.signing.kid() != next.signing.kid(),
        KeyState::Retired | KeyState::Revoked => false,
    };
    keys.iter().find(is_beside).map_or(Need::Nothing, Need::Retire)
}

/// Keys of which the shelf does not say for how long they are needed.
pub(super) fn too_short<'a>(stored: &[RingKey], keys: &'a [RingKey]) -> impl Iterator<Item = &'a RingKey> {
    let is_too_short =
        |key: &&RingKey| find(stored, key.signing.kid()).is_some_and(|stored| lives_less(stored, key));
    keys.iter().filter(is_too_short)
}

fn lives_less(stored: &RingKey, key: &RingKey) -> bool {
    stored.lifetimes != stored.lifetimes.or_longer(key.lifetimes)
}

/// Keys that were made for the shelf: one of a kind at most. A node that is configured otherwise might retire them at
/// once, and so on for ever.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    active: Option<RingKey>,
    next: Option<RingKey>,
}

impl Fresh {
    /// Where the key of this kind is kept, or will be; nothing if it was on the shelf already.
    pub(super) fn place_for(&mut self, state: KeyState, keys: &[RingKey]) -> Option<&mut Option<RingKey>> {
        let place = if state == KeyState::Next { &mut self.next } else { &mut self.active };
        let was_there = place.as_ref().is_some_and(|key| find(keys, key.signing.kid()).is_some());
        (!was_there).then_some(place)
    }
}

/// The key, made later than all others: clocks of nodes differ, and the newest key signs.
pub(super) fn newest_of(new: &RingKey, keys: &[RingKey]) -> RingKey {
    let others = keys.iter().filter(|key| key.signing.kid() != new.signing.kid());
    let after = others.map(|key| UnixMillis(key.created_at.0.saturating_add(1))).max();
    RingKey { created_at: new.created_at.max(after.unwrap_or_default()), ..new.clone() }
}

pub(super) fn find<'a>(keys: &'a [RingKey], kid: &str) -> Option<&'a RingKey> {
    keys.iter().find(|key| key.signing.kid() == kid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::ring::tests::ring_key;

    const OURS: Algorithm = Algorithm::ES256;
    const OTHER: Algorithm = Algorithm::EdDSA;

    fn needed(keys: &[RingKey]) -> String {
        let at =
            |key: &RingKey| keys.iter().position(|other| other.signing.kid() == key.signing.kid()).unwrap();
        match need(keys, keys, OURS) {
            Need::Nothing => "nothing".to_owned(),
            Need::Restore(key) => format!("restore {}", at(key)),
            Need::Activate(key) => format!("activate {}", at(key)),
            Need::Make(state) => format!("make {state:?}"),
            Need::Retire(key) => format!("retire {}", at(key)),
        }
    }

    #[test]
    fn a_shelf_holds_one_active_key_and_one_that_is_next() {
        use KeyState::{Active, Next, Retired, Revoked};
        for (keys, expected) in [
            (&[][..], "make Active"),
            (&[(OURS, Retired), (OURS, Revoked)], "make Active"),
            (&[(OURS, Active)], "make Next"),
            (&[(OURS, Active), (OTHER, Next)], "make Next"),
            (&[(OURS, Active), (OURS, Next), (OURS, Retired)], "nothing"),
            (&[(OURS, Active), (OURS, Next), (OTHER, Next)], "retire 2"),
            (&[(OURS, Active), (OURS, Next), (OURS, Next)], "retire 2"),
            (&[(OURS, Active), (OURS, Active), (OURS, Next)], "retire 0"),
            // The other algorithm's goes last.
            (&[(OTHER, Active)], "make Active"),
            (&[(OTHER, Active), (OURS, Next)], "activate 1"),
            (&[(OTHER, Active), (OURS, Active)], "make Next"),
            (&[(OTHER, Active), (OURS, Active), (OURS, Next)], "retire 0"),
        ] {
            let made = keys.iter().zip(1..).map(|((algorithm, state), at)| ring_key(*algorithm, *state, at));
            assert_eq!(needed(&made.collect::<Vec<_>>()), expected, "{keys:?}");
        }
    }

    #[test]
    fn what_the_shelf_has_lost_comes_first() {
        let key = ring_key(OURS, KeyState::Retired, 1);
        let earlier = RingKey { state: KeyState::Active, ..key.clone() };
        for stored in [&[][..], &[earlier]] {
            assert!(matches!(need(stored, std::slice::from_ref(&key), OURS), Need::Restore(_)));
        }
    }

    #[test]
    fn a_rotation_makes_sense_from_the_key_that_signs_and_for_keys_that_are_there() {
        let keys = [ring_key(OURS, KeyState::Active, 1), ring_key(OURS, KeyState::Next, 2)];
        let kid = |at: usize| Some(keys[at].signing.kid());
        for (from, leaked, expected) in [
            (None, None, true),
            (kid(0), None, true),
            (kid(1), None, false),
            (None, kid(1), true),
            (None, Some("k"), false),
            (kid(0), Some("k"), false),
        ] {
            assert_eq!(Rotation { from, leaked }.makes_sense(&keys, OURS), expected);
        }
    }

    #[test]
    fn a_fresh_key_goes_to_the_shelf_once() {
        let mut fresh = Fresh::default();
        let key = ring_key(OURS, KeyState::Next, 1);
        *fresh.place_for(KeyState::Next, &[]).unwrap() = Some(key.clone());
        assert!(fresh.place_for(KeyState::Next, &[]).unwrap().is_some(), "it was not written yet");
        assert!(fresh.place_for(KeyState::Next, &[key]).is_none());
        assert!(fresh.place_for(KeyState::Active, &[]).unwrap().is_none());
    }
}
