//! Keys that verify, each with exactly one algorithm (RFC 8725, section 3.1).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, Ed25519KeyPair, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::jwk::ThumbprintHash;

use crate::algorithm::Algorithm;
use crate::header::{MAX_MEMBER_LEN, access_token_header};
use crate::{edwards, rsa};

/// A public key, in the form that its algorithm works on. All numbers are big-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// A point on P-256, for ES256.
    P256 {
        /// The x coordinate.
        x: [u8; 32],
        /// The y coordinate.
        y: [u8; 32],
    },
    /// An Ed25519 public key (RFC 8032, section 5.1.5), for `EdDSA`.
    Ed25519([u8; 32]),
    /// An RSA key of 2048 to 8192 bits, for RS256.
    Rsa {
        /// The modulus, without leading zeros.
        n: Vec<u8>,
        /// The exponent, without leading zeros.
        e: Vec<u8>,
    },
}

/// Not a key that could be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// A shared secret of less than 256 bits (RFC 7518, section 3.2).
    #[error("a secret for HS256 has at least 32 bytes")]
    ShortSecret,
    /// An RSA modulus or exponent that no well-made key has (RFC 7518, section 3.3; NIST SP 800-89, section 5.3.3): of
    /// another size, even, a multiple of a small prime, or with the mark of ROCA (CVE-2017-15361).
    #[error("an RSA key has a well-made modulus of 2048 to 8192 bits and an odd exponent from 3 to 2^32")]
    Rsa,
    /// Numbers that are no point on P-256 (RFC 7518, section 6.2.1), or a point of Ed25519 that is of small order or not in
    /// its one encoding (RFC 8032, section 5.1.3; RFC 8725, section 3.4).
    #[error("the key is no point on its curve, or one of small order")]
    Point,
}

impl PublicKey {
    /// The one algorithm that the key verifies.
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::P256 { .. } => Algorithm::ES256,
            Self::Ed25519(_) => Algorithm::EdDSA,
            Self::Rsa { .. } => Algorithm::RS256,
        }
    }

    /// The required members of the key's JWK in the order and form of RFC 7638, section 3.2.
    pub(crate) fn required_members(&self) -> String {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::P256 { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y))
            }
            Self::Ed25519(x) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x)),
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n)),
        }
    }

    /// The key's SHA-256 thumbprint in base64url (RFC 7638), which serves as its `kid`.
    pub fn thumbprint(&self) -> String {
        let members = self.required_members();
        let digest = (DEFAULT_PROVIDER.key_utils.compute_digest)(members.as_bytes(), ThumbprintHash::SHA256);
        // The back end's digest does not fail; a key without an id could not be found and would verify nothing.
        digest.map(|digest| URL_SAFE_NO_PAD.encode(digest)).unwrap_or_default()
    }
}

/// A key that verifies one algorithm. Parsed once: verifying parses nothing.
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    key: Material,
}

#[derive(Clone)]
enum Material {
    Curve(ParsedPublicKey),
    Ours(Arc<Ed25519KeyPair>),
    Rsa(Box<DecodingKey>),
    Secret(Box<hmac::Key>),
}

impl VerifyingKey {
    /// The key that verifies what the private half of `key` has signed.
    ///
    /// # Errors
    /// If it is an RSA key that is not used, no point on its curve, or one of small order.
    pub fn public(key: &PublicKey) -> Result<Self, InvalidKey> {
        let material = match key {
            PublicKey::P256 { x, y } => {
                let point: Vec<u8> = [4].iter().chain(x).chain(y).copied().collect();
                let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                Material::Curve(parsed.map_err(|_| InvalidKey::Point)?)
            }
            PublicKey::Ed25519(x) if !edwards::is_public_key(x) => return Err(InvalidKey::Point),
            PublicKey::Ed25519(x) => {
                Material::Curve(ParsedPublicKey::new(&ED25519, x).map_err(|_| InvalidKey::Point)?)
            }
            PublicKey::Rsa { n, e } if rsa::is_usable(n, e) => {
                Material::Rsa(Box::new(DecodingKey::from_rsa_raw_components(n, e)))
            }
            PublicKey::Rsa { .. } => return Err(InvalidKey::Rsa),
        };
        Ok(Self { algorithm: key.algorithm(), key: material })
    }

    /// The key that verifies what this pair has signed, for whoever has the pair: by signing again, which takes less
    /// time. An Ed25519 signature follows from key and message (RFC 8032, section 5.1.6), so a signer that
    /// keeps to it makes no second one. The two are compared in constant time: what was signed here may be what an
    /// attacker chose, and no part of its signature may be told.
    pub const fn our_ed25519(pair: Arc<Ed25519KeyPair>) -> Self {
        Self { algorithm: Algorithm::EdDSA, key: Material::Ours(pair) }
    }

    /// The shared secret of HS256.
    ///
    /// # Errors
    /// If it has less than 32 bytes.
    pub fn hs256(secret: &[u8]) -> Result<Self, InvalidKey> {
        if secret.len() < 32 {
            return Err(InvalidKey::ShortSecret);
        }
        Ok(Self {
            algorithm: Algorithm::HS256,
            key: Material::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret))),
        })
    }

    /// The one algorithm that the key verifies.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is the key's over `message`. HMACs are compared in constant time.
    pub(crate) fn verifies(&self, message: &[u8], signature: &Vec<u8>) -> bool {
        match &self.key {
            Material::Curve(key) => key.verify_sig(message, signature).is_ok(),
            Material::Ours(pair) => pair
                .try_sign(message)
                .is_ok_and(|again| verify_slices_are_equal(again.as_ref(), signature).is_ok()),
            Material::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            // The back end is named, not looked up: a program that builds in a second one would have none by default.
            Material::Rsa(key) => (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm.backend(), key)
                .is_ok_and(|verifier| verifier.verify(message, signature).is_ok()),
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Verifying keys by `kid`.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: HashMap<String, VerifyingKey>,
    /// Which key signs under which header, as long as a reader would take it.
    usual_headers: HashMap<String, String>,
}

/// Two keys of one set have the same `kid`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two keys have the kid {0:?}")]
pub struct AmbiguousKid(pub String);

impl KeySet {
    /// A set without keys: every token is of an unknown key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key.
    ///
    /// # Errors
    /// If the set has a key of this `kid`: a token names its key by `kid` alone.
    pub fn insert(&mut self, kid: impl Into<String>, key: VerifyingKey) -> Result<(), AmbiguousKid> {
        let kid = kid.into();
        if self.keys.contains_key(&kid) {
            return Err(AmbiguousKid(kid));
        }
        if kid.len() <= MAX_MEMBER_LEN {
            self.usual_headers.insert(access_token_header(key.algorithm(), &kid), kid.clone());
        }
        self.keys.insert(kid, key);
        Ok(())
    }

    /// The key whose access tokens have this header, encoded, if it is the one that [`access_token_header`] makes.
    pub(crate) fn of_usual_header(&self, header: &str) -> Option<&VerifyingKey> {
        self.usual_headers.get(header).and_then(|kid| self.get(kid))
    }

    /// The key that tokens call `kid`.
    pub fn get(&self, kid: &str) -> Option<&VerifyingKey> {
        self.keys.get(kid)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rsa_modulus, unhex};

    /// RFC 7638, section 3.1.
    #[test]
    fn the_thumbprint_is_that_of_the_standard() {
        let key = PublicKey::Rsa { n: rsa_modulus(), e: vec![1, 0, 1] };
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    /// RFC 8037, appendix A.3.
    #[test]
    fn the_thumbprint_of_an_edwards_key_is_that_of_the_standard() {
        let x = unhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let key = PublicKey::Ed25519(x.try_into().unwrap());
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn weak_keys_are_refused() {
        assert_eq!(VerifyingKey::hs256(&[7; 31]).err(), Some(InvalidKey::ShortSecret));
        assert!(VerifyingKey::hs256(&[7; 32]).is_ok());
        let rsa = |n: Vec<u8>, e: Vec<u8>| VerifyingKey::public(&PublicKey::Rsa { n, e });
        assert!(rsa(rsa_modulus(), vec![1, 0, 1]).is_ok());
        assert_eq!(rsa(vec![0xff; 256], vec![1, 0, 1]).err(), Some(InvalidKey::Rsa));
        assert_eq!(rsa(rsa_modulus(), vec![1, 0, 0]).err(), Some(InvalidKey::Rsa));
    }

    /// RFC 8032, section 5.1.3: the point of order 1, and the same once more, encoded as if it were another.
    #[test]
    fn edwards_points_that_are_no_public_key_are_refused() {
        let mut one = [0; 32];
        one[0] = 1;
        let mut p_plus_one = [0xff; 32];
        (p_plus_one[0], p_plus_one[31]) = (0xee, 0x7f);
        for point in [one, p_plus_one] {
            assert_eq!(VerifyingKey::public(&PublicKey::Ed25519(point)).err(), Some(InvalidKey::Point));
        }
    }

    #[test]
    fn a_kid_names_one_key() {
        let mut set = KeySet::new();
        assert!(set.is_empty());
        let key = VerifyingKey::hs256(&[7; 32]).unwrap();
        assert_eq!(set.insert("k", key.clone()), Ok(()));
        assert_eq!(set.insert("k", key), Err(AmbiguousKid("k".into())));
        assert_eq!(set.len(), 1);
    }

    #[test]
    fn a_secret_never_shows_in_debug_output() {
        let key = VerifyingKey::hs256(&[250; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "VerifyingKey { algorithm: HS256, .. }");
    }
}
