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
    key_ops: Option<Vec<String>>,
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
        let for_signatures = self.usage.as_deref().is_none_or(|usage| usage == "sig") && self.may_verify();
        let for_algorithm = self.alg.as_deref().is_none_or(|alg| alg.parse() == Ok(key.algorithm()));
        (for_signatures && for_algorithm).then_some(key)
    }

    /// Whether `key_ops` allows it (RFC 7517, section 4.3): with no operation twice, and none that is not of signatures.
    fn may_verify(&self) -> bool {
        let Some(operations) = &self.key_ops else { return true };
        let is_of_signatures = |operation: &String| operation == "verify" || operation == "sign";
        let is_first = |(at, operation)| !operations.iter().take(at).any(|earlier| earlier == operation);
        operations.iter().any(|operation| operation == "verify")
            && operations.iter().all(is_of_signatures)
            && operations.iter().enumerate().all(is_first)
    }
}

/// The members that hold what is private (RFC 7518, sections 6.2.2, 6.3.2 and 6.4). A key of which anybody can fetch that
/// proves nothing.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

fn bytes(text: Option<&str>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok()
}

fn exactly<const N: usize>(text: Option<&str>) -> Option<[u8; N]> {
    bytes(text)?.try_into().ok()
}

impl KeySet {
    /// The keys of a JWK Set. Those of another kind, use or algorithm, whose `key_ops` are not those of signatures, with
    /// private members, without `kid` or with values that [`VerifyingKey::public`] refuses are left out, as RFC 7517,
    /// section 5, recommends.
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
    if PRIVATE.iter().any(|name| jwk.get(name).is_some()) {
        return None;
    }
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
    use crate::testing::rsa_modulus;
    use serde_json::json;

    fn p256() -> PublicKey {
        crate::testing::keys().public(Algorithm::ES256)
    }

    fn edwards() -> PublicKey {
        crate::testing::keys().public(Algorithm::EdDSA)
    }

    fn read(keys: &Value) -> Result<KeySet, InvalidJwks> {
        KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn a_published_key_is_read_back() {
        let keys = [p256(), edwards(), PublicKey::Rsa { n: rsa_modulus(), e: vec![1, 0, 1] }];
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

    /// RFC 7517, section 4.3. A set takes a key or leaves it out, and is good in either case.
    #[test]
    fn a_key_of_other_operations_is_left_out() {
        let with = |operations: Value, usage: Value| {
            let mut jwk = p256().to_jwk("k");
            jwk["key_ops"] = operations;
            jwk["use"] = usage;
            read(&json!([jwk])).unwrap().len()
        };
        for good in [json!(["verify"]), json!(["sign", "verify"]), Value::Null] {
            assert_eq!(with(good.clone(), json!("sig")), 1, "{good}");
            assert_eq!(with(good.clone(), Value::Null), 1, "{good}");
        }
        for bad in [
            json!([]),
            json!(["sign"]),
            json!(["encrypt"]),
            json!(["Verify"]),
            json!(["verify", "verify"]),
            json!(["verify", "encrypt"]),
            json!(["verify", "deriveKey"]),
            json!(["verify", 1]),
            json!("verify"),
            json!({"verify": true}),
        ] {
            assert_eq!(with(bad.clone(), json!("sig")), 0, "{bad}");
            assert_eq!(with(bad.clone(), Value::Null), 0, "{bad}");
        }
        assert_eq!(with(json!(["verify"]), json!("enc")), 0);
    }

    #[test]
    fn a_key_whose_private_part_anybody_can_fetch_is_left_out() {
        for name in PRIVATE {
            for value in [json!("AQAB"), json!([]), json!(null)] {
                let mut jwk = p256().to_jwk("k");
                jwk[name] = value;
                assert!(read(&json!([jwk])).unwrap().is_empty(), "{name}");
            }
        }
    }

    /// RFC 7518, sections 6.2.1 and 6.3.1; RFC 8037, section 2; RFC 8032, section 5.1.3.
    #[test]
    fn keys_of_bad_numbers_are_left_out() {
        let even = [&rsa_modulus()[..255], &[0x82]].concat();
        let rsa = |n: &[u8], e: &[u8]| json!({"kty": "RSA", "kid": "k", "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e)});
        let okp =
            |x: &[u8]| json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": URL_SAFE_NO_PAD.encode(x)});
        let ec = |x: &[u8], y: &[u8]| json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)});
        let PublicKey::P256 { x, y } = p256() else { panic!("another curve") };
        let mut padded = rsa(&rsa_modulus(), &[1, 0, 1]);
        padded["n"] = json!(format!("{}=", URL_SAFE_NO_PAD.encode(rsa_modulus())));
        for bad in [
            rsa(&even, &[1, 0, 1]),
            rsa(&rsa_modulus(), &[1]),
            rsa(&rsa_modulus(), &[2]),
            rsa(&rsa_modulus(), &[0, 1, 0, 1]),
            rsa(&[&[0], rsa_modulus().as_slice()].concat(), &[1, 0, 1]),
            rsa(&rsa_modulus()[..128], &[1, 0, 1]),
            padded,
            okp(&[0; 32]),
            okp(&[0xff; 32]),
            okp(&[7; 31]),
            okp(&[[1].as_slice(), &[0; 31]].concat()),
            ec(&[0; 32], &[0; 32]),
            ec(&[0xff; 32], &y),
            ec(&y, &x),
            ec(&[&[0], x.as_slice()].concat(), &y),
            ec(&x[..31], &y),
        ] {
            assert!(read(&json!([bad])).unwrap().is_empty(), "{bad}");
        }
        for good in [rsa(&rsa_modulus(), &[1, 0, 1]), ec(&x, &y)] {
            assert_eq!(read(&json!([good])).unwrap().len(), 1, "{good}");
        }
    }

    #[test]
    fn two_keys_of_one_kid_are_refused() {
        let other = edwards();
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
