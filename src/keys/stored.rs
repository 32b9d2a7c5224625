//! How a signing key lies in the store: JSON, readable but for the private part, which is sealed.
//!
//! The public part is not stored beside it but taken from the private one. Otherwise whoever can write to the store
//! could add a public key of their own and sign tokens that we would take.

use std::sync::Arc;
use std::time::Duration;

use relatch_domain::UnixMillis;
use serde::{Deserialize, Serialize};

use super::error::KeysError;
use super::lifetimes::Lifetimes;
use super::master::MasterKeys;
use super::ring::{KeyState, RingKey};
use super::seal::{OpenError, SealError, Sealed, Subject};
use super::signing::{Algorithm, SigningKey};
use crate::ambient::Random;
use crate::store::StoredKey;

const VERSION: u32 = 1;
const PURPOSE: &str = "signing key";
/// Longest form that is read, in bytes. A sealed RSA key of 3,072 bits takes some 2,600.
const MAX_LEN: usize = 16 * 1024;

/// Read first, so that a later version of the form is recognised as one.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Form {
    version: u32,
    algorithm: Algorithm,
    state: KeyState,
    /// Milliseconds since the Unix epoch, as all times here.
    created_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    active_since: Option<u64>,
    retired_at: Option<u64>,
    /// Seconds; left out by earlier versions.
    #[serde(default)]
    token_lifetime: u64,
    /// Seconds; left out by earlier versions.
    #[serde(default)]
    session_lifetime: u64,
    private: Sealed,
}

/// The stored form of `key`, sealed under the master key in use.
pub(super) fn to_stored(key: &RingKey, masters: &MasterKeys, random: Random) -> Result<StoredKey, KeysError> {
    let kid = key.signing.kid();
    let subject = Subject { purpose: PURPOSE, id: kid };
    let private =
        masters.seal(subject, &key.signing.private_bytes()?, random).map_err(|error| match error {
            SealError::NoEntropy(error) => KeysError::NoEntropy(error),
            SealError::Crypto => KeysError::Crypto("seal a key"),
        })?;
    let form = Form {
        version: VERSION,
        algorithm: key.signing.algorithm(),
        state: key.state,
        created_at: key.created_at.0,
        active_since: key.active_since.map(|at| at.0),
        retired_at: key.retired_at.map(|at| at.0),
        token_lifetime: key.lifetimes.tokens.as_secs(),
        session_lifetime: key.lifetimes.sessions.as_secs(),
        private,
    };
    let sealed = serde_json::to_vec(&form).map_err(|_| KeysError::Crypto("write a key"))?;
    Ok(StoredKey { id: kid.to_owned(), sealed })
}

/// The key that `stored` holds.
///
/// `known` is the same key as this node has it in memory, if it does: then nothing need be opened and parsed anew.
pub(super) fn from_stored(
    stored: &StoredKey,
    known: Option<&RingKey>,
    masters: &MasterKeys,
) -> Result<RingKey, KeysError> {
    let corrupt = |problem| KeysError::Corrupt { kid: stored.id.clone(), problem };
    if stored.sealed.len() > MAX_LEN {
        return Err(corrupt("too long"));
    }
    let Version { version } =
        serde_json::from_slice(&stored.sealed).map_err(|_| corrupt("not in our form"))?;
    if version != VERSION {
        return Err(corrupt("written by another version of Relatch"));
    }
    let form: Form = serde_json::from_slice(&stored.sealed).map_err(|_| corrupt("not in our form"))?;
    let signing = match known {
        Some(known) => Arc::clone(&known.signing),
        None => Arc::new(open(&stored.id, &form, masters)?),
    };
    Ok(RingKey {
        signing,
        state: form.state,
        created_at: UnixMillis(form.created_at),
        active_since: form.active_since.map(UnixMillis),
        retired_at: form.retired_at.map(UnixMillis),
        lifetimes: Lifetimes {
            tokens: Duration::from_secs(form.token_lifetime),
            sessions: Duration::from_secs(form.session_lifetime),
        },
    })
}

/// Whether the key lies there sealed under a master key that is not in use any more.
pub(super) fn is_sealed_under_another(stored: &StoredKey, masters: &MasterKeys) -> bool {
    let form = serde_json::from_slice::<Form>(&stored.sealed);
    form.is_ok_and(|form| form.private.master_key != masters.check_value())
}

fn open(kid: &str, form: &Form, masters: &MasterKeys) -> Result<SigningKey, KeysError> {
    let corrupt = |problem| KeysError::Corrupt { kid: kid.to_owned(), problem };
    let private =
        masters.open(Subject { purpose: PURPOSE, id: kid }, &form.private).map_err(|error| match error {
            OpenError::UnknownMasterKey => KeysError::UnknownMasterKey {
                kid: kid.to_owned(),
                check_value: form.private.master_key.clone(),
            },
            OpenError::Forged => corrupt("it was changed, or belongs to another key"),
        })?;
    SigningKey::from_private(form.algorithm, kid, &private)
        .ok_or_else(|| corrupt("not a key of its algorithm and id"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::master::tests::numbered;

    fn masters() -> MasterKeys {
        MasterKeys::new(&numbered(1), &[]).unwrap()
    }

    fn key(algorithm: Algorithm) -> RingKey {
        RingKey {
            signing: Arc::new(SigningKey::generate(algorithm, Random).unwrap()),
            state: KeyState::Retired,
            created_at: UnixMillis(1_700_000_000_123),
            active_since: Some(UnixMillis(1_700_000_400_000)),
            retired_at: Some(UnixMillis(1_700_000_900_000)),
            lifetimes: Lifetimes { tokens: Duration::from_mins(15), sessions: Duration::from_hours(2160) },
        }
    }

    fn problem(stored: &StoredKey) -> &'static str {
        match from_stored(stored, None, &masters()) {
            Err(KeysError::Corrupt { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_key_survives_its_stored_form() {
        for algorithm in Algorithm::ALL {
            let key = key(algorithm);
            let stored = to_stored(&key, &masters(), Random).unwrap();
            assert_eq!(stored.id, key.signing.kid());
            assert!(stored.sealed.len() < MAX_LEN / 2, "{}", stored.sealed.len());
            let read = from_stored(&stored, None, &masters()).unwrap();
            assert_eq!(
                (read.state, read.created_at, read.active_since, read.retired_at, read.lifetimes),
                (key.state, key.created_at, key.active_since, key.retired_at, key.lifetimes)
            );
            assert_eq!(read.signing.private_bytes().unwrap(), key.signing.private_bytes().unwrap());
        }
    }

    /// Otherwise a store of an earlier version could not be served from.
    #[test]
    fn a_key_of_an_earlier_version_has_no_lifetimes() {
        let stored = to_stored(&key(Algorithm::ES256), &masters(), Random).unwrap();
        let text = String::from_utf8(stored.sealed).unwrap();
        let earlier = text.replace(r#""token_lifetime":900,"session_lifetime":7776000,"#, "");
        assert_ne!(text, earlier);
        let read = from_stored(&StoredKey { id: stored.id, sealed: earlier.into_bytes() }, None, &masters());
        assert_eq!(read.unwrap().lifetimes, Lifetimes::default());
    }

    #[test]
    fn nothing_private_is_readable_in_the_stored_form() {
        let key = key(Algorithm::HS256);
        let private = key.signing.private_bytes().unwrap();
        let stored = to_stored(&key, &masters(), Random).unwrap();
        let contains = |needle: &[u8]| stored.sealed.windows(needle.len()).any(|window| window == needle);
        assert!(!contains(&private) && !contains(relatch_domain::base64url::encode(&private).as_bytes()));
        assert!(contains(br#""algorithm":"HS256","state":"retired","created_at":1700000000123"#));
    }

    #[test]
    fn a_key_does_not_pass_for_another() {
        let stored = to_stored(&key(Algorithm::ES256), &masters(), Random).unwrap();
        let moved = StoredKey { id: "another-kid".into(), ..stored.clone() };
        assert_eq!(problem(&moved), "it was changed, or belongs to another key");
        let text = String::from_utf8(stored.sealed).unwrap().replace("ES256", "HS256");
        let relabelled = StoredKey { id: stored.id, sealed: text.into_bytes() };
        assert_eq!(problem(&relabelled), "not a key of its algorithm and id");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let with = |sealed: &[u8]| StoredKey { id: "k".into(), sealed: sealed.to_vec() };
        for sealed in [&b""[..], b"{}", b"[1]", b"{\"version\":1}", b"\xff", b"{\"version\":\"1\"}"] {
            assert_eq!(problem(&with(sealed)), "not in our form");
        }
        assert_eq!(
            problem(&with(br#"{"version":2,"anything":[]}"#)),
            "written by another version of Relatch"
        );
        assert_eq!(problem(&with(&vec![b' '; MAX_LEN + 1])), "too long");
    }

    #[test]
    fn a_missing_master_key_is_named_by_its_check_value() {
        let stored = to_stored(&key(Algorithm::EdDSA), &masters(), Random).unwrap();
        let others = MasterKeys::new(&numbered(2), &[]).unwrap();
        let error = from_stored(&stored, None, &others).unwrap_err();
        let check_value = masters().check_value().to_owned();
        assert_eq!(error, KeysError::UnknownMasterKey { kid: stored.id, check_value });
    }
}
