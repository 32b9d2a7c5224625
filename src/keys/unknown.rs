//! Ids of keys that tokens name and this node does not have: some were made up, and some are of keys that another node has
//! made a moment ago.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use relatch_domain::{UnixMillis, base64url};

use super::error::KeysError;

/// How often unknown key ids may make the ring load again: a flood of made-up ones must not reach the store.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);
/// For how long it counts that an id was looked for: until the next load, if clients ask again that soon.
const COUNTS_FOR: Duration = Duration::from_secs(2);
/// How many ids are remembered between two loads. Those of more have to ask again.
const MOST: usize = 1024;

/// Whether a key of ours may have this id: a thumbprint (RFC 7638) in base64url, or the 16 random bytes of a shared secret.
pub(super) fn may_be_ours(kid: &str) -> bool {
    matches!(kid.len(), 43 | 22) && base64url::decode(kid).is_some()
}

/// Ids that tokens have named since the ring was last loaded.
#[derive(Debug, Default)]
pub(super) struct Named(Mutex<HashSet<String>>);

impl Named {
    pub(super) fn add(&self, kid: &str) {
        let mut named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < MOST {
            named.insert(kid.to_owned());
        }
    }

    pub(super) fn take(&self) -> HashSet<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What came of loading the ring.
#[derive(Debug, Default)]
pub(super) struct Loads {
    /// When an unknown key last made it load, and whether it did.
    last: Option<(UnixMillis, Result<(), KeysError>)>,
    /// Ids that were named before it was loaded, and when that was. A key is in the store before it signs: what was not there
    /// by then never was.
    looked_for: HashMap<String, UnixMillis>,
}

impl Loads {
    /// Whether the ring was loaded after a token named this id, lately.
    pub(super) fn have_looked_for(&self, kid: &str, now: UnixMillis) -> bool {
        self.looked_for.get(kid).is_some_and(|at| counts(*at, now))
    }

    /// Whether the ring may be loaded for an unknown id now.
    ///
    /// # Errors
    /// If it may not. If it failed the last time, why: while the store is out of reach, nobody may be told that a token is
    /// not ours.
    pub(super) fn may_load(&self, now: UnixMillis) -> Result<(), KeysError> {
        match &self.last {
            // A clock that was set back must not stop reloads.
            Some((at, outcome)) if *at <= now && now.age_since(*at) < RELOAD_INTERVAL => {
                outcome.clone().and(Err(KeysError::NotLookedFor))
            }
            _ => Ok(()),
        }
    }

    /// The ring was loaded for an unknown id, or was not.
    pub(super) fn ended(&mut self, now: UnixMillis, outcome: Result<(), KeysError>) {
        self.last = Some((now, outcome));
    }

    /// The ring was loaded after these were named.
    pub(super) fn looked_for(&mut self, named: HashSet<String>, now: UnixMillis) {
        self.looked_for.retain(|_, at| counts(*at, now));
        self.looked_for.extend(named.into_iter().map(|kid| (kid, now)));
    }
}

fn counts(at: UnixMillis, now: UnixMillis) -> bool {
    at <= now && now.age_since(at) < COUNTS_FOR
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::Random;
    use crate::keys::signing::{Algorithm, SigningKey};

    #[test]
    fn ids_of_our_keys_may_be_ours_and_few_others() {
        for algorithm in Algorithm::ALL {
            assert!(may_be_ours(SigningKey::generate(algorithm, Random).unwrap().kid()), "{algorithm}");
        }
        let spare_bits = "k".repeat(42) + "B";
        for other in [
            "",
            "k",
            "unknown",
            "../../etc/passwd",
            &"k".repeat(44),
            &"=".repeat(43),
            &spare_bits,
            &"é".repeat(11),
        ] {
            assert!(!may_be_ours(other), "{other}");
        }
    }

    #[test]
    fn so_many_ids_are_remembered_and_no_more() {
        let named = Named::default();
        (0..2 * MOST).for_each(|number| named.add(&number.to_string()));
        let mut loads = Loads::default();
        loads.looked_for(named.take(), UnixMillis(1000));
        assert_eq!((loads.looked_for.len(), named.take().len()), (MOST, 0));
        assert!(
            loads.have_looked_for("7", UnixMillis(2999)) && !loads.have_looked_for("7", UnixMillis(3000))
        );
        assert!(!loads.have_looked_for("7", UnixMillis(999)), "the clock was set back");
        assert!(!loads.have_looked_for(&(2 * MOST - 1).to_string(), UnixMillis(1000)));
        loads.looked_for(HashSet::new(), UnixMillis(9000));
        assert_eq!(loads.looked_for.len(), 0);
    }
}
