//! A key that signs access tokens. Parsed once: signing parses nothing, which halves what ES256 costs.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use relatch_verify::{PublicKey, VerifyingKey, access_token_header};
use zeroize::Zeroizing;

pub use relatch_verify::Algorithm;

use super::error::KeysError;
use crate::ambient::Random;

/// A key that signs by one algorithm, and its id.
pub struct SigningKey {
    kid: String,
    pair: Pair,
    /// None for HS256.
    public: Option<PublicKey>,
    verifying: VerifyingKey,
    /// The header of every token of this key, encoded, with the dot that follows it.
    header: String,
}

enum Pair {
    EdDSA(Arc<Ed25519KeyPair>),
    ES256(EcdsaKeyPair),
    RS256(RsaKeyPair),
    HS256(Box<SharedSecret>),
}

struct SharedSecret {
    key: hmac::Key,
    bytes: Zeroizing<[u8; 32]>,
}

impl SigningKey {
    /// A new key. For RS256 it takes long (3,072 bits, some tenths of a second): not for an asynchronous worker.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn generate(algorithm: Algorithm, random: Random) -> Result<Self, KeysError> {
        const FAILED: KeysError = KeysError::Crypto("generate a key");
        let pair = match algorithm {
            Algorithm::EdDSA => Pair::EdDSA(Arc::new(Ed25519KeyPair::generate().map_err(|_| FAILED)?)),
            Algorithm::ES256 => {
                Pair::ES256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| FAILED)?)
            }
            Algorithm::RS256 => Pair::RS256(RsaKeyPair::generate(KeySize::Rsa3072).map_err(|_| FAILED)?),
            Algorithm::HS256 => Pair::hs256(Zeroizing::new(random.bytes()?)),
        };
        let kid = match pair.public_key() {
            Some(public) => public.thumbprint(),
            // Nothing that depends on a secret may be its public name.
            None => URL_SAFE_NO_PAD.encode(random.bytes::<16>()?),
        };
        Self::new(kid, pair).ok_or(FAILED)
    }

    /// The key called `kid`, from its [`SigningKey::private_bytes`]. Nothing if they are not a key of this algorithm
    /// and id: a public key's id is its thumbprint (RFC 7638).
    pub fn from_private(algorithm: Algorithm, kid: &str, bytes: &[u8]) -> Option<Self> {
        let pair = match algorithm {
            Algorithm::EdDSA => Pair::EdDSA(Arc::new(Ed25519KeyPair::from_pkcs8(bytes).ok()?)),
            Algorithm::ES256 => {
                Pair::ES256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes).ok()?)
            }
            Algorithm::RS256 => Pair::RS256(RsaKeyPair::from_pkcs8(bytes).ok()?),
            Algorithm::HS256 => Pair::hs256(Zeroizing::new(bytes.try_into().ok()?)),
        };
        let key = Self::new(kid.to_owned(), pair)?;
        let is_its_name = key.public.as_ref().is_none_or(|public| public.thumbprint() == kid);
        is_its_name.then_some(key)
    }

    fn new(kid: String, pair: Pair) -> Option<Self> {
        let public = pair.public_key();
        let verifying = match (&pair, &public) {
            (Pair::EdDSA(pair), _) => VerifyingKey::our_ed25519(Arc::clone(pair)),
            (Pair::HS256(secret), _) => VerifyingKey::hs256(secret.bytes.as_slice()).ok()?,
            (_, Some(public)) => VerifyingKey::public(public).ok()?,
            (_, None) => return None,
        };
        let header = access_token_header(pair.algorithm(), &kid) + ".";
        Some(Self { kid, pair, public, verifying, header })
    }

    /// The private part, to be sealed: PKCS#8 (RFC 5958), for HS256 the bare secret.
    ///
    /// # Errors
    /// If the cryptographic library refuses.
    pub fn private_bytes(&self) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        let bytes = match &self.pair {
            Pair::EdDSA(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Pair::ES256(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Pair::RS256(pair) => pair.as_der().map(|document| document.as_ref().to_vec()),
            Pair::HS256(secret) => Ok(secret.bytes.to_vec()),
        };
        bytes.map(Zeroizing::new).map_err(|_| KeysError::Crypto("export a key"))
    }

    /// The key's id, `kid` of its tokens.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm by which it signs.
    pub const fn algorithm(&self) -> Algorithm {
        self.pair.algorithm()
    }

    /// The encoded header of this key's tokens, with the dot that follows it.
    pub(super) fn header(&self) -> &str {
        &self.header
    }

    /// How many characters a signature takes, in base64url and with the dot before it.
    pub(super) fn signature_room(&self) -> usize {
        let bytes = match &self.pair {
            Pair::RS256(pair) => pair.public_modulus_len(),
            Pair::EdDSA(_) | Pair::ES256(_) | Pair::HS256(_) => 64,
        };
        1 + bytes.div_ceil(3) * 4
    }

    /// The signature over `message` (RFC 7518, section 3).
    ///
    /// # Errors
    /// If the cryptographic library refuses.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        let rng = SystemRandom::new();
        let signature = match &self.pair {
            Pair::EdDSA(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()),
            Pair::ES256(pair) => pair.sign(&rng, message).map(|signature| signature.as_ref().to_vec()),
            Pair::RS256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature).map(|()| signature)
            }
            Pair::HS256(secret) => Ok(hmac::sign(&secret.key, message).as_ref().to_vec()),
        };
        signature.map_err(|_| KeysError::Crypto("sign"))
    }

    /// The public key as a JWK for publication; none for HS256.
    pub fn public_jwk(&self) -> Option<serde_json::Value> {
        self.public.as_ref().map(|public| public.to_jwk(&self.kid))
    }

    /// The key that verifies what this one signs. For HS256 it holds the secret.
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }
}

impl Pair {
    fn hs256(bytes: Zeroizing<[u8; 32]>) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice());
        Self::HS256(Box::new(SharedSecret { key, bytes }))
    }

    const fn algorithm(&self) -> Algorithm {
        match self {
            Self::EdDSA(_) => Algorithm::EdDSA,
            Self::ES256(_) => Algorithm::ES256,
            Self::RS256(_) => Algorithm::RS256,
            Self::HS256(_) => Algorithm::HS256,
        }
    }

    fn public_key(&self) -> Option<PublicKey> {
        match self {
            Self::EdDSA(pair) => pair.public_key().as_ref().try_into().ok().map(PublicKey::Ed25519),
            Self::ES256(pair) => {
                // SEC 1, section 2.3.3: 4, then both coordinates.
                let (x, y) = pair.public_key().as_ref().strip_prefix(&[4])?.split_at_checked(32)?;
                Some(PublicKey::P256 { x: x.try_into().ok()?, y: y.try_into().ok()? })
            }
            Self::RS256(pair) => Some(PublicKey::Rsa {
                n: pair.public_key().modulus().big_endian_without_leading_zero().to_vec(),
                e: pair.public_key().exponent().big_endian_without_leading_zero().to_vec(),
            }),
            Self::HS256(_) => None,
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037, appendix A.1: the private key of the example.
    const EXAMPLE_SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

    fn decode(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    #[test]
    fn the_standards_edwards_example_is_signed_alike() {
        let pkcs8_v1 = [
            &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20]
                [..],
            &decode(EXAMPLE_SEED),
        ]
        .concat();
        let kid = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        let key = SigningKey::from_private(Algorithm::EdDSA, kid, &pkcs8_v1).unwrap();
        let signature = key.sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc").unwrap();
        let expected =
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(URL_SAFE_NO_PAD.encode(signature), expected);
    }

    #[test]
    fn a_key_survives_its_private_bytes_and_verifies_what_it_signed() {
        for algorithm in Algorithm::ALL {
            let key = SigningKey::generate(algorithm, Random).unwrap();
            let again =
                SigningKey::from_private(algorithm, key.kid(), &key.private_bytes().unwrap()).unwrap();
            assert_eq!((again.kid(), again.algorithm()), (key.kid(), algorithm));
            assert_eq!(again.public_jwk(), key.public_jwk());
            assert_eq!(again.verifying_key().algorithm(), algorithm);
        }
    }

    #[test]
    fn private_bytes_of_another_algorithm_or_under_another_name_are_refused() {
        for algorithm in Algorithm::ALL {
            let key = SigningKey::generate(algorithm, Random).unwrap();
            let bytes = key.private_bytes().unwrap();
            for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
                assert!(
                    SigningKey::from_private(other, key.kid(), &bytes).is_none(),
                    "{algorithm} as {other}"
                );
            }
            let renamed = SigningKey::from_private(algorithm, "another-name", &bytes);
            assert_eq!(renamed.is_some(), algorithm.is_symmetric());
            assert!(SigningKey::from_private(algorithm, key.kid(), &bytes[1..]).is_none());
        }
    }

    #[test]
    fn rsa_keys_have_the_size_of_the_128_bit_level() {
        let key = SigningKey::generate(Algorithm::RS256, Random).unwrap();
        let jwk = key.public_jwk().unwrap();
        assert_eq!(decode(jwk["n"].as_str().unwrap()).len() * 8, 3072);
        assert_eq!(jwk["e"], "AQAB");
    }

    #[test]
    fn a_jwk_holds_nothing_private_and_a_shared_secret_has_none() {
        for algorithm in [Algorithm::EdDSA, Algorithm::ES256] {
            let key = SigningKey::generate(algorithm, Random).unwrap();
            let jwk = key.public_jwk().unwrap();
            let mut members: Vec<&str> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
            members.retain(|name| !["kty", "crv", "x", "y", "kid", "use", "alg"].contains(name));
            assert!(members.is_empty(), "{members:?}");
        }
        assert_eq!(SigningKey::generate(Algorithm::HS256, Random).unwrap().public_jwk(), None);
    }

    #[test]
    fn no_secret_shows_in_debug_output() {
        let key = SigningKey::from_private(Algorithm::HS256, "k", &[250; 32]).unwrap();
        assert_eq!(format!("{key:?}"), r#"SigningKey { kid: "k", algorithm: HS256, .. }"#);
    }
}
