//! The key ring: a snapshot of all signing keys, prepared for use and never changed.

use std::sync::Arc;
use std::time::Duration;

use relatch_domain::UnixMillis;
use relatch_verify::KeySet;
use serde::{Deserialize, Serialize};

use super::error::KeysError;
use super::lifetimes::{Lifetimes, until_there_is_room};
use super::signing::{Algorithm, SigningKey};

/// What a key may still be used for. Later states allow less, and a key never goes back to an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Published already, and good; signs from the next rotation on.
    Next,
    /// Signs new tokens.
    Active,
    /// Signs no more; what it signed is good.
    Retired,
    /// What it signed is good no more. It only tells, in the pair check, that a token was ours.
    Revoked,
}

/// A signing key with what is known of it.
#[derive(Debug, Clone)]
pub struct RingKey {
    /// The key.
    pub signing: Arc<SigningKey>,
    /// What it may be used for.
    pub state: KeyState,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it began to sign, if it was published before; otherwise it did when it was made.
    pub active_since: Option<UnixMillis>,
    /// When it stopped signing.
    pub retired_at: Option<UnixMillis>,
    /// The longest lifetimes of what it is needed for.
    pub lifetimes: Lifetimes,
}

impl RingKey {
    /// Since when it has signed, or will be said to have.
    pub fn signing_since(&self) -> UnixMillis {
        self.active_since.unwrap_or(self.created_at)
    }

    /// The same key, signing from now on.
    #[must_use]
    pub fn activated(&self, now: UnixMillis) -> Self {
        let active_since = self.active_since.or((self.state == KeyState::Next).then_some(now));
        Self { state: self.state.max(KeyState::Active), active_since, ..self.clone() }
    }

    /// The same key, no longer signing.
    #[must_use]
    pub fn retired(&self, now: UnixMillis) -> Self {
        let state = self.state.max(KeyState::Retired);
        Self { state, retired_at: self.retired_at.or(Some(now)), ..self.clone() }
    }

    /// The same key, good for nothing any more.
    #[must_use]
    pub fn revoked(&self, now: UnixMillis) -> Self {
        Self { state: KeyState::Revoked, ..self.retired(now) }
    }

    /// Of two views of one key the one that allows less: a store that was set back does not bring a key back. The longer
    /// lifetimes of both.
    #[must_use]
    pub(super) fn or_later_state_of(self, other: &Self) -> Self {
        let lifetimes = self.lifetimes.or_longer(other.lifetimes);
        let later = if other.state > self.state { other.clone() } else { self };
        Self { lifetimes, ..later }
    }
}

/// All keys, at one version of the store's shelf.
pub struct KeyRing {
    version: u64,
    keys: Vec<RingKey>,
    minting: Arc<SigningKey>,
    good: KeySet,
    all: KeySet,
    /// JWKs, each with the end of the time for which it is published.
    published: Vec<(Option<UnixMillis>, String)>,
}

impl KeyRing {
    /// A ring of `keys`, minting with the newest active key of `algorithm`. If there is none of this algorithm, with
    /// the newest of any: another node may have been configured anew before this one.
    ///
    /// # Errors
    /// If no key is active, or two keys have one id.
    pub fn new(version: u64, keys: Vec<RingKey>, algorithm: Algorithm) -> Result<Self, KeysError> {
        let minting = minting_key(&keys, algorithm).ok_or(KeysError::NoActiveKey)?;
        let minting = Arc::clone(&minting.signing);
        let (mut good, mut all, mut published) = (KeySet::new(), KeySet::new(), Vec::new());
        let mut first_the_minting_one: Vec<_> = keys.iter().collect();
        first_the_minting_one.sort_by_key(|key| key.signing.kid() != minting.kid());
        for key in first_the_minting_one {
            let (kid, verifying) = (key.signing.kid(), key.signing.verifying_key());
            let corrupt = |_| KeysError::Corrupt { kid: kid.to_owned(), problem: "two keys have this id" };
            all.insert(kid, verifying.clone()).map_err(corrupt)?;
            if key.state < KeyState::Revoked {
                good.insert(kid, verifying.clone()).map_err(corrupt)?;
                published
                    .extend(key.signing.public_jwk().map(|jwk| (key.published_until(), jwk.to_string())));
            }
        }
        Ok(Self { version, keys, minting, good, all, published })
    }

    /// The shelf's version that the ring was made from.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Whether what this key has signed is good.
    pub fn trusts(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.signing.kid() == kid && key.state != KeyState::Revoked)
    }

    /// All keys.
    pub fn keys(&self) -> &[RingKey] {
        &self.keys
    }

    /// Whether the key that signs has done so for longer than `after`, and another one has been published for longer
    /// than `published` that can take its place.
    pub fn is_due(&self, now: UnixMillis, after: Duration, published: Duration) -> bool {
        let longer_than = |since: UnixMillis, time| now >= since && now.age_since(since) >= time;
        let algorithm = self.minting.algorithm();
        let signs = self.keys.iter().find(|key| key.signing.kid() == self.minting.kid());
        signs.is_some_and(|key| longer_than(key.signing_since(), after))
            && next_key(&self.keys, algorithm).is_some_and(|key| longer_than(key.created_at, published))
    }

    /// The key that signs new tokens.
    pub fn minting_key(&self) -> &SigningKey {
        &self.minting
    }

    /// The keys whose tokens are good: for access tokens that are presented as credentials. Also those that are published no
    /// more, whose tokens have expired.
    pub const fn verifying_keys(&self) -> &KeySet {
        &self.good
    }

    /// All keys, revoked ones too: for the pair check, which only asks whether a token was ours.
    pub const fn origin_keys(&self) -> &KeySet {
        &self.all
    }

    /// The JWK Set to publish now (RFC 7517, section 5): public keys only, first the one that signs, also the one that will
    /// sign next and retired ones of which tokens are in use, none that is revoked.
    pub fn jwks(&self, now: UnixMillis) -> String {
        let is_published = |until: Option<UnixMillis>| until.is_none_or(|until| now < until);
        let jwks =
            self.published.iter().filter(|(until, _)| is_published(*until)).map(|(_, jwk)| jwk.as_str());
        format!(r#"{{"keys":[{}]}}"#, jwks.collect::<Vec<_>>().join(","))
    }

    /// How long it takes until a rotation has room for the key that it retires. Nothing if it has now.
    pub fn until_there_is_room(&self, now: UnixMillis) -> Option<Duration> {
        until_there_is_room(&self.keys, now)
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing")
            .field("version", &self.version)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// The key of `algorithm` that will sign next: of several, the one that has been published for longest. Ids break ties, so
/// that all nodes agree.
pub(super) fn next_key(keys: &[RingKey], algorithm: Algorithm) -> Option<&RingKey> {
    keys.iter()
        .filter(|key| key.state == KeyState::Next && key.signing.algorithm() == algorithm)
        .min_by(|a, b| (a.created_at, a.signing.kid()).cmp(&(b.created_at, b.signing.kid())))
}

/// The newest active key of `algorithm`, else the newest active one. Ids break ties, so that all nodes agree.
pub(super) fn minting_key(keys: &[RingKey], algorithm: Algorithm) -> Option<&RingKey> {
    let preference = |key: &&RingKey| (key.signing.algorithm() == algorithm, key.created_at);
    keys.iter()
        .filter(|key| key.state == KeyState::Active)
        .max_by(|a, b| preference(a).cmp(&preference(b)).then_with(|| a.signing.kid().cmp(b.signing.kid())))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ambient::Random;
    use serde_json::Value;

    pub(in crate::keys) fn ring_key(algorithm: Algorithm, state: KeyState, created_at: u64) -> RingKey {
        RingKey {
            signing: Arc::new(SigningKey::generate(algorithm, Random).unwrap()),
            state,
            created_at: UnixMillis(created_at),
            active_since: None,
            retired_at: None,
            lifetimes: Lifetimes::default(),
        }
    }

    fn ring(keys: &[RingKey]) -> KeyRing {
        KeyRing::new(7, keys.to_vec(), Algorithm::ES256).unwrap()
    }

    fn published(ring: &KeyRing) -> Vec<String> {
        let jwks: Value = serde_json::from_str(&ring.jwks(UnixMillis(0))).unwrap();
        jwks["keys"].as_array().unwrap().iter().map(|jwk| jwk["kid"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_newest_active_key_of_the_algorithm_mints() {
        let keys = [
            ring_key(Algorithm::ES256, KeyState::Active, 1),
            ring_key(Algorithm::ES256, KeyState::Active, 2),
            ring_key(Algorithm::ES256, KeyState::Retired, 3),
            ring_key(Algorithm::EdDSA, KeyState::Active, 4),
            ring_key(Algorithm::ES256, KeyState::Next, 5),
        ];
        assert_eq!(ring(&keys).minting_key().kid(), keys[1].signing.kid());
        assert_eq!(ring(&keys[2..]).minting_key().kid(), keys[3].signing.kid());
        let none = KeyRing::new(7, [keys[2].clone(), keys[4].clone()].to_vec(), Algorithm::ES256);
        assert_eq!(none.err(), Some(KeysError::NoActiveKey));
    }

    #[test]
    fn revoked_keys_only_tell_where_a_token_is_from() {
        let keys = [KeyState::Active, KeyState::Retired, KeyState::Revoked]
            .map(|state| ring_key(Algorithm::EdDSA, state, 1));
        let ring = ring(&keys);
        let kid = |index: usize| keys[index].signing.kid();
        for (index, good) in [(0, true), (1, true), (2, false)] {
            assert_eq!(ring.verifying_keys().get(kid(index)).is_some(), good);
            assert!(ring.origin_keys().get(kid(index)).is_some());
        }
        assert_eq!(published(&ring), [kid(0), kid(1)]);
    }

    /// Other software takes the first key of its algorithm when a token names none.
    #[test]
    fn the_next_key_is_published_after_the_one_that_signs_and_good_already() {
        let states = [KeyState::Retired, KeyState::Next, KeyState::Active];
        let keys = states.map(|state| ring_key(Algorithm::ES256, state, 1));
        let ring = ring(&keys);
        let kid = |index: usize| keys[index].signing.kid();
        assert_eq!(published(&ring), [kid(2), kid(0), kid(1)]);
        assert!(ring.verifying_keys().get(kid(1)).is_some());
        assert_eq!(ring.minting_key().kid(), kid(2));
    }

    #[test]
    fn the_next_key_is_the_one_that_was_published_first() {
        let keys = [
            ring_key(Algorithm::ES256, KeyState::Next, 3),
            ring_key(Algorithm::ES256, KeyState::Next, 2),
            ring_key(Algorithm::EdDSA, KeyState::Next, 1),
            ring_key(Algorithm::ES256, KeyState::Active, 0),
        ];
        let next = |algorithm| next_key(&keys, algorithm).map(|key| key.signing.kid());
        assert_eq!(next(Algorithm::ES256), Some(keys[1].signing.kid()));
        assert_eq!(next(Algorithm::EdDSA), Some(keys[2].signing.kid()));
        assert_eq!(next(Algorithm::RS256), None);
    }

    #[test]
    fn a_rotation_is_due_when_the_key_is_old_and_the_next_one_was_published_for_a_while() {
        let keys = [(KeyState::Active, 1000), (KeyState::Next, 5000)]
            .map(|(state, at)| ring_key(Algorithm::ES256, state, at));
        let ring = |keys: &[RingKey]| KeyRing::new(7, keys.to_vec(), Algorithm::EdDSA).unwrap();
        let is_due = |keys: &[RingKey], now| {
            ring(keys).is_due(UnixMillis(now), Duration::from_secs(9), Duration::from_secs(2))
        };
        for (now, due) in [(0, false), (9999, false), (10_000, true), (6_999, false)] {
            assert_eq!(is_due(&keys, now), due, "at {now}");
        }
        assert!(!is_due(&keys[..1], 20_000), "there is none to take its place");
        let young = ring_key(Algorithm::ES256, KeyState::Next, 9_000);
        assert!(!is_due(&[keys[0].clone(), young], 10_500));
        let promoted = RingKey { active_since: Some(UnixMillis(4000)), ..keys[0].clone() };
        assert!(!is_due(&[promoted, keys[1].clone()], 12_999));
    }

    #[test]
    fn a_key_tells_since_when_it_signs() {
        let next = ring_key(Algorithm::ES256, KeyState::Next, 1);
        let active = next.activated(UnixMillis(5));
        assert_eq!((active.state, active.signing_since()), (KeyState::Active, UnixMillis(5)));
        assert_eq!(active.activated(UnixMillis(9)).signing_since(), UnixMillis(5));
        assert_eq!(
            ring_key(Algorithm::ES256, KeyState::Active, 1).activated(UnixMillis(9)).signing_since(),
            UnixMillis(1)
        );
        assert_eq!(active.retired(UnixMillis(7)).activated(UnixMillis(9)).state, KeyState::Retired);
    }

    #[test]
    fn shared_secrets_are_never_published() {
        let keys = [
            ring_key(Algorithm::HS256, KeyState::Active, 2),
            ring_key(Algorithm::ES256, KeyState::Retired, 1),
        ];
        let ring = ring(&keys);
        assert_eq!(published(&ring), [keys[1].signing.kid()]);
        assert!(ring.verifying_keys().get(keys[0].signing.kid()).is_some());
        let shown = ring.jwks(UnixMillis(0));
        assert!(!shown.contains("oct") && !shown.contains("\"d\""));
    }

    #[test]
    fn a_retired_key_is_published_for_a_time() {
        let retired = RingKey {
            retired_at: Some(UnixMillis(1_000_000)),
            lifetimes: Lifetimes { tokens: Duration::from_mins(10), sessions: Duration::ZERO },
            ..ring_key(Algorithm::ES256, KeyState::Retired, 1)
        };
        let ring = ring(&[ring_key(Algorithm::ES256, KeyState::Active, 2), retired]);
        let count = |now| KeySet::from_jwks(ring.jwks(UnixMillis(now)).as_bytes()).unwrap().len();
        assert_eq!((count(1_899_999), count(1_900_000)), (2, 1));
        assert_eq!(ring.verifying_keys().len(), 2, "it is known to have been ours");
    }

    #[test]
    fn what_is_published_is_enough_to_verify() {
        let keys =
            [Algorithm::ES256, Algorithm::EdDSA].map(|algorithm| ring_key(algorithm, KeyState::Active, 1));
        let read = KeySet::from_jwks(ring(&keys).jwks(UnixMillis(0)).as_bytes()).unwrap();
        for key in &keys {
            let verifying = read.get(key.signing.kid()).map(relatch_verify::VerifyingKey::algorithm);
            assert_eq!(verifying, Some(key.signing.algorithm()));
        }
    }

    #[test]
    fn two_keys_of_one_id_are_refused() {
        let key = ring_key(Algorithm::ES256, KeyState::Active, 1);
        let twice = KeyRing::new(7, vec![key.clone(), key], Algorithm::ES256);
        assert!(matches!(twice.err(), Some(KeysError::Corrupt { problem: "two keys have this id", .. })));
    }

    #[test]
    fn a_key_retires_once_and_never_comes_back() {
        let key = ring_key(Algorithm::ES256, KeyState::Active, 1);
        let retired = key.retired(UnixMillis(5));
        assert_eq!((retired.state, retired.retired_at), (KeyState::Retired, Some(UnixMillis(5))));
        assert_eq!(retired.retired(UnixMillis(9)).retired_at, Some(UnixMillis(5)));
        assert_eq!(key.clone().or_later_state_of(&retired).state, KeyState::Retired);
        assert_eq!(retired.or_later_state_of(&key).state, KeyState::Retired);
        let revoked = ring_key(Algorithm::ES256, KeyState::Revoked, 1);
        assert_eq!(revoked.retired(UnixMillis(5)).state, KeyState::Revoked);
    }
}
