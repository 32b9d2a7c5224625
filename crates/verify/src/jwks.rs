//! JWK Sets (RFC 7517): how public keys travel.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::key::{AmbiguousKid, KeySet, PublicKey, VerifyingKey};

/// Longest document that is read, in bytes.
const MAX_LEN: usize = 256 * 1024;

/// Not a JWK Set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJwks {
    /// Not JSON with a list of keys, or too long.
    #[error("not a JWK Set of at most {MAX_LEN} bytes")]
    Malformed,
    /// Two keys have the same `kid`.
    #[error(transparent)]
    Ambiguous(#[from] AmbiguousKid),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// The members of a JWK that are looked at.
#[derive(Deserialize)]
struct Members {
    kid: String,
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Members {
    /// The key, if it is one that verifies signatures by an algorithm that is used here.
    fn public_key(&self) -> Option<PublicKey> {
        let key = match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) => {
                PublicKey::P256 { x: exactly(self.x.as_deref())?, y: exactly(self.y.as_deref())? }
            }
            ("OKP", Some("Ed25519")) => PublicKey::Ed25519(exactly(self.x.as_deref())?),
            ("RSA", _) => PublicKey::Rsa { n: bytes(self.n.as_deref())?, e: bytes(self.e.as_deref())? },
            // Shared secrets (`oct`) too: what anybody can fetch is no secret.
            _ => return None,
        };
        let for_signatures = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        let for_algorithm = self.alg.as_deref().is_none_or(|alg| alg.parse() == Ok(key.algorithm()));
        (for_signatures && for_algorithm).then_some(key)
    }
}

fn bytes(text: Option<&str>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok()
}

fn exactly<const N: usize>(text: Option<&str>) -> Option<[u8; N]> {
    bytes(text)?.try_into().ok()
}

impl KeySet {
    /// The keys of a JWK Set. Those of another kind, use or algorithm, without `kid` or with values out of range are
    /// left out, as RFC 7517, section 5, recommends.
    ///
    /// # Errors
    /// If the document is not a JWK Set, is too long, or two usable keys have one `kid`.
    pub fn from_jwks(document: &[u8]) -> Result<Self, InvalidJwks> {
        if document.len() > MAX_LEN {
            return Err(InvalidJwks::Malformed);
        }
        let document: Document = serde_json::from_slice(document).map_err(|_| InvalidJwks::Malformed)?;
        let mut set = Self::new();
        for jwk in document.keys {
            let Some((kid, key)) = usable(jwk) else { continue };
            set.insert(kid, key)?;
        }
        Ok(set)
    }
}

fn usable(jwk: Value) -> Option<(String, VerifyingKey)> {
    let members: Members = serde_json::from_value(jwk).ok()?;
    let key = VerifyingKey::public(&members.public_key()?).ok()?;
    Some((members.kid, key))
}

impl PublicKey {
    /// The key as a JWK, to be published as the key of `kid`: with `use` and `alg`, and nothing private.
    pub fn to_jwk(&self, kid: &str) -> Value {
        let mut jwk: Value = serde_json::from_str(&self.required_members()).unwrap_or_default();
        if let Some(members) = jwk.as_object_mut() {
            members.insert("kid".into(), kid.into());
            members.insert("use".into(), "sig".into());
            members.insert("alg".into(), Algorithm::name(self.algorithm()).into());
        }
        jwk
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn p256() -> PublicKey {
        crate::testing::keys().public(Algorithm::ES256)
    }

    fn read(keys: &Value) -> Result<KeySet, InvalidJwks> {
        KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn a_published_key_is_read_back() {
        let keys =
            [p256(), PublicKey::Ed25519([3; 32]), PublicKey::Rsa { n: vec![0xff; 384], e: vec![1, 0, 1] }];
        for key in keys {
            let jwk = key.to_jwk("k");
            assert_eq!(jwk["use"], "sig");
            assert_eq!(jwk["alg"], key.algorithm().name());
            let set = read(&json!([jwk])).unwrap();
            assert_eq!(set.get("k").map(VerifyingKey::algorithm), Some(key.algorithm()));
        }
    }

    #[test]
    fn a_key_without_alg_gets_the_one_of_its_kind() {
        let mut jwk = p256().to_jwk("k");
        jwk.as_object_mut().unwrap().remove("alg");
        jwk.as_object_mut().unwrap().remove("use");
        let set = read(&json!([jwk])).unwrap();
        assert_eq!(set.get("k").map(VerifyingKey::algorithm), Some(Algorithm::ES256));
    }

    #[test]
    fn other_keys_are_left_out() {
        let secret = URL_SAFE_NO_PAD.encode([9; 32]);
        let altered = |name: &str, value: Value| {
            let mut jwk = p256().to_jwk("k");
            jwk[name] = value;
            jwk
        };
        let others = [
            json!({"kty": "oct", "kid": "k", "k": secret, "alg": "HS256"}),
            altered("use", json!("enc")),
            altered("alg", json!("HS256")),
            altered("alg", json!("none")),
            altered("alg", json!(1)),
            altered("kid", Value::Null),
            altered("crv", json!("P-384")),
            altered("kty", json!("oct")),
            altered("x", json!("AQ")),
            altered("x", json!(URL_SAFE_NO_PAD.encode([1; 32]))),
            altered("y", json!("not base64url")),
            json!("k"),
            json!({}),
        ];
        let set = read(&Value::from(others.to_vec())).unwrap();
        assert!(set.is_empty(), "{set:?}");
    }

    #[test]
    fn two_keys_of_one_kid_are_refused() {
        let other = PublicKey::Ed25519([3; 32]);
        let both = read(&json!([p256().to_jwk("k"), other.to_jwk("k")]));
        assert_eq!(both.err(), Some(InvalidJwks::Ambiguous(AmbiguousKid("k".into()))));
    }

    #[test]
    fn what_is_no_set_is_refused() {
        let long = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(MAX_LEN));
        for document in ["", "[]", "{}", r#"{"keys":{}}"#, "null", &long] {
            assert_eq!(KeySet::from_jwks(document.as_bytes()).err(), Some(InvalidJwks::Malformed));
        }
    }
}
