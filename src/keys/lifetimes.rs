//! How long a key that signs no more is published, and how long it is kept.

use std::time::Duration;

use relatch_domain::UnixMillis;

use super::ring::{KeyState, RingKey};

/// For how long a fetched key set may be kept.
pub const KEY_SET_CACHED: Duration = Duration::from_mins(5);
/// For how long a key is kept after the last session has expired that may have had a token of it: as a session's record is.
const AFTER_SESSIONS: Duration = Duration::from_hours(24);
/// By how much later a key is removed from the store than nodes forget it, so that none whose clock is behind by less gives
/// it back to the store.
const CLOCKS_APART: Duration = Duration::from_hours(1);
/// So many retired keys are published at the most: with RS256, whose keys are the longest, the key set takes 11 kB.
const MOST_PUBLISHED: usize = 16;
/// So many retired and revoked keys are kept at the most, unless more have leaked.
const MOST_KEPT: usize = 1024;

/// How long that lives for which a key is needed. A key is stored with the longest lifetimes that nodes had which signed with
/// it: shorter ones, after a restart, make no token that is out there live less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifetimes {
    /// An access token's.
    pub tokens: Duration,
    /// A session's, at the longest.
    pub sessions: Duration,
}

impl Lifetimes {
    /// The longer ones of both.
    pub(super) fn or_longer(self, other: Self) -> Self {
        Self { tokens: self.tokens.max(other.tokens), sessions: self.sessions.max(other.sessions) }
    }
}

impl RingKey {
    /// The key as a node of these lifetimes holds it. It may sign with a key that has not retired, and may still have
    /// sessions with tokens of one that has.
    pub(super) fn on_a_node_of(self, own: Lifetimes) -> Self {
        let tokens = match self.state {
            KeyState::Retired | KeyState::Revoked if !self.lifetimes.tokens.is_zero() => Duration::ZERO,
            _ => own.tokens,
        };
        Self { lifetimes: self.lifetimes.or_longer(Lifetimes { tokens, ..own }), ..self }
    }

    /// Until when it is published: as long as a token that it signed may live, in the key set that somebody fetched last.
    /// Nothing if there is no end in sight.
    pub(super) fn published_until(&self) -> Option<UnixMillis> {
        Some(self.ended_at()?.plus(self.lifetimes.tokens).plus(KEY_SET_CACHED))
    }

    /// Until when it is kept. Nothing if there is no end in sight.
    pub(super) fn kept_until(&self) -> Option<UnixMillis> {
        let longest = self.lifetimes.sessions.max(self.lifetimes.tokens);
        Some(self.ended_at()?.plus(longest).plus(AFTER_SESSIONS))
    }

    /// Whether it is kept.
    pub(super) fn is_kept(&self, now: UnixMillis) -> bool {
        self.kept_until().is_none_or(|until| now < until)
    }

    /// Whether it is to be removed from the store: no node gives it back any more.
    pub(super) fn is_to_be_removed(&self, now: UnixMillis) -> bool {
        self.kept_until().is_some_and(|until| until.plus(CLOCKS_APART) <= now)
    }

    fn ended_at(&self) -> Option<UnixMillis> {
        self.retired_at.filter(|_| self.state >= KeyState::Retired)
    }
}

/// How long it takes until one key more may retire. Nothing if it may now: retired keys are published and kept for a time, and
/// who rotates quickly must not make the key set too long for those who read it.
pub(super) fn until_there_is_room(keys: &[RingKey], now: UnixMillis) -> Option<Duration> {
    let published = keys.iter().filter(|key| key.state == KeyState::Retired).map(RingKey::published_until);
    let kept = keys.iter().map(RingKey::kept_until);
    let wait = until_fewer(published, MOST_PUBLISHED, now).max(until_fewer(kept, MOST_KEPT, now));
    (!wait.is_zero()).then_some(wait)
}

/// How long it takes until fewer than `most` of these ends lie ahead.
fn until_fewer(ends: impl Iterator<Item = Option<UnixMillis>>, most: usize, now: UnixMillis) -> Duration {
    let mut ahead: Vec<_> = ends.flatten().filter(|end| now < *end).collect();
    ahead.sort_unstable();
    let last = ahead.len().checked_sub(most).and_then(|at| ahead.get(at));
    last.map_or(Duration::ZERO, |end| end.age_since(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::ring::tests::ring_key;
    use crate::keys::signing::Algorithm;

    const OWN: Lifetimes =
        Lifetimes { tokens: Duration::from_mins(15), sessions: Duration::from_hours(24 * 90) };
    const RETIRED: UnixMillis = UnixMillis(1_800_000_000_000);

    fn retired(state: KeyState, lifetimes: Lifetimes) -> RingKey {
        RingKey { retired_at: Some(RETIRED), lifetimes, ..ring_key(Algorithm::HS256, state, 1) }
    }

    #[test]
    fn a_retired_key_is_published_for_minutes_and_kept_for_a_sessions_life() {
        let key = retired(KeyState::Retired, OWN);
        assert_eq!(key.published_until(), Some(RETIRED.plus(Duration::from_mins(20))));
        let until = RETIRED.plus(Duration::from_hours(24 * 91));
        assert_eq!(key.kept_until(), Some(until));
        assert!(key.is_kept(UnixMillis(until.0 - 1)) && !key.is_kept(until));
        let removed = until.plus(Duration::from_hours(1));
        assert!(!key.is_to_be_removed(UnixMillis(removed.0 - 1)) && key.is_to_be_removed(removed));
        assert_eq!(retired(KeyState::Revoked, OWN).kept_until(), Some(until));
    }

    #[test]
    fn a_key_that_has_not_retired_has_no_end() {
        for state in [KeyState::Next, KeyState::Active] {
            let key = retired(state, OWN);
            assert_eq!((key.published_until(), key.kept_until()), (None, None));
            assert!(key.is_kept(UnixMillis::MAX) && !key.is_to_be_removed(UnixMillis::MAX));
        }
    }

    #[test]
    fn the_longest_lifetimes_count_and_a_retired_key_signs_nothing_more() {
        let shorter = Lifetimes { tokens: Duration::from_mins(5), sessions: Duration::from_hours(1) };
        for state in [KeyState::Next, KeyState::Active] {
            assert_eq!(retired(state, shorter).on_a_node_of(OWN).lifetimes, OWN);
            assert_eq!(retired(state, OWN).on_a_node_of(shorter).lifetimes, OWN);
        }
        let expected = Lifetimes { tokens: shorter.tokens, sessions: OWN.sessions };
        assert_eq!(retired(KeyState::Retired, shorter).on_a_node_of(OWN).lifetimes, expected);
        // Of one that an earlier version has stored nothing is known.
        assert_eq!(retired(KeyState::Retired, Lifetimes::default()).on_a_node_of(OWN).lifetimes, OWN);
    }

    #[test]
    fn of_retired_keys_few_are_published_and_not_all_are_kept() {
        let at = |ended: u64| RingKey {
            retired_at: Some(UnixMillis(RETIRED.0 + ended)),
            ..retired(KeyState::Retired, OWN)
        };
        let mut keys: Vec<_> = (0..15).map(at).collect();
        keys.extend((0..100).map(|_| retired(KeyState::Revoked, OWN)));
        let now = RETIRED.plus(Duration::from_mins(1));
        assert_eq!(until_there_is_room(&keys, now), None);
        keys.push(at(15));
        assert_eq!(until_there_is_room(&keys, now), Some(Duration::from_mins(19)));
        keys.push(at(16));
        assert_eq!(until_there_is_room(&keys, now), Some(Duration::from_mins(19) + Duration::from_millis(1)));
        let later = RETIRED.plus(Duration::from_mins(21));
        assert_eq!(until_there_is_room(&keys, later), None);
        keys.resize(MOST_KEPT, at(0));
        assert_eq!(
            until_there_is_room(&keys, later),
            Some(Duration::from_hours(24 * 91) - Duration::from_mins(21))
        );
    }
}
