//! The claims of an access token (RFC 9068, section 2.2), read strictly.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// How deep further claims may be nested.
const MAX_DEPTH: usize = 8;

/// What an access token says. All points in time are seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Who issued the token.
    pub iss: String,
    /// Whose token it is: the user's id.
    pub sub: String,
    /// Whom the token is for.
    pub aud: Audience,
    /// From when on the token is no longer good.
    pub exp: u64,
    /// Before when the token is not good yet. Relatch sets none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// When the token was issued.
    pub iat: u64,
    /// The token's own id.
    pub jti: String,
    /// The client that the token was issued to.
    pub client_id: String,
    /// The session that the token belongs to: 43 characters of base64url, what the API calls `session_id`.
    pub sid: String,
    /// When the user signed in; a refresh does not change it.
    pub auth_time: u64,
    /// What the user may do.
    pub roles: Vec<String>,
    /// The user's name. It may change; `sub` does not.
    pub preferred_username: String,
    /// All other claims: those that the server is configured to fill from users' attributes, and any that this version
    /// knows nothing of.
    #[serde(flatten, deserialize_with = "further_claims")]
    pub extra: BTreeMap<String, Value>,
}

/// The `aud` claim: one audience or several (RFC 7519, section 4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Audience {
    /// Whether the token is for `name`. Compared byte by byte (RFC 7519, section 2, `StringOrURI`).
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Many(many) => many.iter().any(|one| one == name),
        }
    }
}

impl AccessClaims {
    /// Reads the claims, or nothing if one is missing, occurs twice or has the wrong type.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        let claims: Self = serde_json::from_slice(json).ok()?;
        let mut session = [0; 32];
        // Exactly 32 bytes: the slice must be filled, and more would not fit.
        let is_session = URL_SAFE_NO_PAD.decode_slice_unchecked(claims.sid.get(..43)?, &mut session)
            == Ok(32)
            && claims.sid.len() == 43;
        is_session.then_some(claims)
    }
}

/// An optional claim that, if there, must have its type: `null` is not "absent".
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

fn further_claims<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Value>, D::Error> {
    struct Claims;

    impl<'de> Visitor<'de> for Claims {
        type Value = BTreeMap<String, Value>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("claims")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            members(map, MAX_DEPTH)
        }
    }

    from.deserialize_map(Claims)
}

/// The members of an object, each name once (RFC 7519, section 4, lets a reader refuse duplicates).
fn members<'de, A: MapAccess<'de>, M>(mut map: A, depth: usize) -> Result<M, A::Error>
where
    M: Default + Members,
{
    let mut members = M::default();
    while let Some(name) = map.next_key::<String>()? {
        let value = map.next_value_seed(Bounded { depth })?;
        if members.put(name, value) {
            return Err(A::Error::custom("a name occurs twice"));
        }
    }
    Ok(members)
}

/// A map that tells whether a name was there already.
trait Members {
    fn put(&mut self, name: String, value: Value) -> bool;
}

impl Members for BTreeMap<String, Value> {
    fn put(&mut self, name: String, value: Value) -> bool {
        self.insert(name, value).is_some()
    }
}

impl Members for serde_json::Map<String, Value> {
    fn put(&mut self, name: String, value: Value) -> bool {
        self.insert(name, value).is_some()
    }
}

/// Any JSON value that is nested at most `depth` deep and in which no name occurs twice.
#[derive(Clone, Copy)]
struct Bounded {
    depth: usize,
}

impl Bounded {
    fn deeper<E: serde::de::Error>(self) -> Result<usize, E> {
        self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Bounded {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(Self { depth })? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        members(map, self.deeper()?).map(Value::Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{claims, with_member};

    fn parse(json: &str) -> Option<AccessClaims> {
        AccessClaims::parse(json.as_bytes())
    }

    #[test]
    fn claims_survive_their_json() {
        let good = claims();
        let json = serde_json::to_string(&good).unwrap();
        assert!(!json.contains("nbf"));
        assert_eq!(parse(&json), Some(good.clone()));
        let listed = AccessClaims { aud: Audience::Many(vec!["a".into(), "b".into()]), nbf: Some(3), ..good };
        assert_eq!(parse(&serde_json::to_string(&listed).unwrap()), Some(listed));
    }

    #[test]
    fn no_claim_may_be_missing() {
        let good = serde_json::to_value(claims()).unwrap();
        for name in good.as_object().unwrap().keys() {
            let mut less = good.clone();
            less.as_object_mut().unwrap().remove(name);
            assert_eq!(parse(&less.to_string()), None, "{name}");
        }
    }

    /// CVE-2026-25537 was a reader that skipped what it could not read.
    #[test]
    fn no_claim_may_have_another_type() {
        let not_a_time = [
            "-1",
            "1.0",
            "1.5",
            "1e3",
            "1e400",
            "18446744073709551616",
            "\"1700000000\"",
            "[1]",
            "{}",
            "null",
            "true",
        ];
        for name in ["exp", "iat", "auth_time", "nbf"] {
            for value in not_a_time {
                assert_eq!(parse(&with_member(&claims(), name, value)), None, "{name}: {value}");
            }
        }
        for name in ["iss", "sub", "jti", "client_id", "sid", "preferred_username"] {
            for value in ["1", "null", "true", "[]", "[\"a\"]", "{}", "{\"a\":\"b\"}"] {
                assert_eq!(parse(&with_member(&claims(), name, value)), None, "{name}: {value}");
            }
        }
        for (name, value) in
            [("aud", "1"), ("aud", "null"), ("aud", "[1]"), ("aud", "{}"), ("aud", "[[\"a\"]]")]
        {
            assert_eq!(parse(&with_member(&claims(), name, value)), None, "{name}: {value}");
        }
        for value in ["\"admin\"", "null", "[null]", "[1]", "{}", "[[\"admin\"]]"] {
            assert_eq!(parse(&with_member(&claims(), "roles", value)), None, "roles: {value}");
        }
    }

    #[test]
    fn a_session_id_has_its_length_and_alphabet() {
        let long = "A".repeat(44);
        for sid in ["", "A", &"A".repeat(42), &long, &"B".repeat(43), &"+".repeat(43), &"é".repeat(43)] {
            assert_eq!(parse(&with_member(&claims(), "sid", &format!("{sid:?}"))), None, "{sid}");
        }
    }

    #[test]
    fn no_member_may_occur_twice() {
        let good = serde_json::to_string(&claims()).unwrap();
        let and = |more: &str| parse(&format!("{},{more}}}", good.strip_suffix('}').unwrap()));
        assert!(and(r#""acr":"1""#).is_some());
        let twice = [
            r#""sub":"someone else""#,
            r#""exp":9999999999"#,
            r#""\u0073ub":"someone else""#,
            r#""a":1,"a":1"#,
            r#""a":{"b":1,"b":2}"#,
            r#""a":[{"b":1,"\u0062":2}]"#,
            r#""a":1,"\u0061":2"#,
        ];
        for more in twice {
            assert_eq!(and(more), None, "{more}");
        }
    }

    #[test]
    fn further_claims_are_kept_unless_they_nest_too_deep() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let kept = parse(&with_member(&claims(), "scope", r#"{"a":[1,-2,1.5,null,true,"x"]}"#)).unwrap();
        assert_eq!(kept.extra.get("scope"), Some(&serde_json::json!({"a": [1, -2, 1.5, null, true, "x"]})));
        assert!(parse(&with_member(&claims(), "deep", &nested(MAX_DEPTH))).is_some());
        assert!(parse(&with_member(&claims(), "deep", &nested(MAX_DEPTH + 1))).is_none());
        assert!(parse(&with_member(&claims(), "deep", &nested(100_000))).is_none());
    }

    #[test]
    fn claims_are_an_object() {
        for json in ["", "[]", "null", "1", "\"x\"", "{}", "{", "[\"iss\",\"sub\",\"aud\",1,1,\"j\"]"] {
            assert_eq!(parse(json), None, "{json}");
        }
        let good = serde_json::to_string(&claims()).unwrap();
        assert_eq!(parse(&format!("{good}{good}")), None);
        assert_eq!(parse(&format!("\u{feff}{good}")), None);
    }
}
