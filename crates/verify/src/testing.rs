//! Keys and tokens for tests: signed here, with aws-lc-rs, as another issuer would.

use std::sync::OnceLock;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::{AccessClaims, Algorithm, Audience, KeySet, PublicKey, VerifyingKey};

pub(crate) const SECRET: [u8; 32] = [0x5e; 32];

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}

pub(crate) fn claims() -> AccessClaims {
    AccessClaims {
        iss: "https://id.example".into(),
        sub: "0192f0c1-1111-7abc-8def-0123456789ab".into(),
        aud: Audience::One("https://api.example".into()),
        exp: 1_700_000_900,
        nbf: None,
        iat: 1_700_000_000,
        jti: "AAECAwQFBgcICQoLDA0ODw".into(),
        client_id: "relatch".into(),
        sid: "A".repeat(43),
        auth_time: 1_699_999_000,
        roles: vec!["user".into()],
        preferred_username: "ada".into(),
        extra: std::collections::BTreeMap::new(),
    }
}

/// The modulus of the example in RFC 7638, section 3.1: 2048 bits.
pub(crate) fn rsa_modulus() -> Vec<u8> {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi\
             FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb\
             9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls\
             1jF44-csFCur-kEgU8awapJzKnqDKgw";
    URL_SAFE_NO_PAD.decode(n).unwrap()
}

/// The claims' JSON with one member's value replaced by, or one member added with, the JSON text `value`.
pub(crate) fn with_member(claims: &AccessClaims, name: &str, value: &str) -> String {
    let mut json = serde_json::to_value(claims).unwrap();
    json.as_object_mut().unwrap().remove(name);
    let rest = json.to_string();
    format!("{{{name:?}:{value},{}", rest.strip_prefix('{').unwrap())
}

/// One key of each algorithm, the same throughout a test run.
pub(crate) struct Keys {
    es256: EcdsaKeyPair,
    eddsa: Ed25519KeyPair,
    rs256: RsaKeyPair,
}

pub(crate) fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys {
        es256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        eddsa: Ed25519KeyPair::generate().unwrap(),
        rs256: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    })
}

impl Keys {
    /// The public half, for all but HS256.
    pub(crate) fn public(&self, algorithm: Algorithm) -> PublicKey {
        match algorithm {
            Algorithm::ES256 => {
                let point = self.es256.public_key().as_ref();
                PublicKey::P256 { x: point[1..33].try_into().unwrap(), y: point[33..].try_into().unwrap() }
            }
            Algorithm::EdDSA => PublicKey::Ed25519(self.eddsa.public_key().as_ref().try_into().unwrap()),
            Algorithm::RS256 => PublicKey::Rsa {
                n: self.rs256.public_key().modulus().big_endian_without_leading_zero().to_vec(),
                e: self.rs256.public_key().exponent().big_endian_without_leading_zero().to_vec(),
            },
            Algorithm::HS256 => panic!("a shared secret has no public half"),
        }
    }

    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        match algorithm {
            Algorithm::ES256 => self.es256.sign(&rng, message).unwrap().as_ref().to_vec(),
            Algorithm::EdDSA => self.eddsa.sign(message).as_ref().to_vec(),
            Algorithm::RS256 => {
                let mut signature = vec![0; self.rs256.public_modulus_len()];
                self.rs256.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature).unwrap();
                signature
            }
            Algorithm::HS256 => hmac_sha256(&SECRET, message),
        }
    }

    /// A set in which each key's `kid` is its algorithm's name.
    pub(crate) fn set(&self) -> KeySet {
        let mut set = KeySet::new();
        for algorithm in Algorithm::ALL {
            let key = match algorithm {
                Algorithm::HS256 => VerifyingKey::hs256(&SECRET),
                _ => VerifyingKey::public(&self.public(algorithm)),
            };
            set.insert(algorithm.name(), key.unwrap()).unwrap();
        }
        set
    }

    /// A token with exactly these parts, signed.
    pub(crate) fn token(&self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", b64(signature))
    }

    /// A good token.
    pub(crate) fn good(&self, algorithm: Algorithm) -> String {
        self.token(algorithm, &header(algorithm), &serde_json::to_string(&claims()).unwrap())
    }
}

pub(crate) fn hmac_sha256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
}

/// The header of a good token.
pub(crate) fn header(algorithm: Algorithm) -> String {
    let json: Value = serde_json::json!({"alg": algorithm.name(), "kid": algorithm.name(), "typ": "at+jwt"});
    json.to_string()
}
