//! The claims of an access token (RFC 9068, section 2.2), read strictly.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

/// How deep further claims may be nested.
const MAX_DEPTH: usize = 8;

/// What an access token says. All points in time are seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
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
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// The `aud` claim: one audience or several (RFC 7519, section 4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Audience;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an audience or several")
            }

            fn visit_str<E>(self, one: &str) -> Result<Audience, E> {
                Ok(Audience::One(one.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Audience, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Audience::Many)
            }
        }

        from.deserialize_any(Names)
    }
}

/// The name of a claim.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    Iss,
    Sub,
    Aud,
    Exp,
    Nbf,
    Iat,
    Jti,
    ClientId,
    Sid,
    AuthTime,
    Roles,
    PreferredUsername,
    Further(String),
}

/// Claims as they come, in any order. What serde derives for claims among which there may be others puts all of them
/// aside first, and each into its place in a second step; this is on the way of each request.
#[derive(Default)]
struct Found {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<u64>,
    nbf: Option<u64>,
    iat: Option<u64>,
    jti: Option<String>,
    client_id: Option<String>,
    sid: Option<String>,
    auth_time: Option<u64>,
    roles: Option<Vec<String>>,
    preferred_username: Option<String>,
    extra: BTreeMap<String, Value>,
}

impl Found {
    /// Takes the claim of this name, which comes next in `map`.
    fn take<'de, A: MapAccess<'de>>(&mut self, name: Name, map: &mut A) -> Result<(), A::Error> {
        match name {
            Name::Iss => once(&mut self.iss, map),
            Name::Sub => once(&mut self.sub, map),
            Name::Aud => once(&mut self.aud, map),
            Name::Exp => once(&mut self.exp, map),
            Name::Nbf => once(&mut self.nbf, map),
            Name::Iat => once(&mut self.iat, map),
            Name::Jti => once(&mut self.jti, map),
            Name::ClientId => once(&mut self.client_id, map),
            Name::Sid => once(&mut self.sid, map),
            Name::AuthTime => once(&mut self.auth_time, map),
            Name::Roles => once(&mut self.roles, map),
            Name::PreferredUsername => once(&mut self.preferred_username, map),
            Name::Further(name) => {
                let value = map.next_value_seed(Bounded { depth: MAX_DEPTH })?;
                if self.extra.insert(name, value).is_some() { Err(twice()) } else { Ok(()) }
            }
        }
    }

    /// The claims, if none is missing that must be there.
    fn whole(self) -> Option<AccessClaims> {
        Some(AccessClaims {
            iss: self.iss?,
            sub: self.sub?,
            aud: self.aud?,
            exp: self.exp?,
            nbf: self.nbf,
            iat: self.iat?,
            jti: self.jti?,
            client_id: self.client_id?,
            sid: self.sid?,
            auth_time: self.auth_time?,
            roles: self.roles?,
            preferred_username: self.preferred_username?,
            extra: self.extra,
        })
    }
}

/// Puts the value that comes next into its place. One that may be absent must have its type all the same if it is there.
fn once<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    place: &mut Option<T>,
    map: &mut A,
) -> Result<(), A::Error> {
    let value = map.next_value()?;
    if place.replace(value).is_some() { Err(twice()) } else { Ok(()) }
}

fn twice<E: serde::de::Error>() -> E {
    E::custom("a name occurs twice")
}

impl<'de> Deserialize<'de> for AccessClaims {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Claims;

        impl<'de> Visitor<'de> for Claims {
            type Value = AccessClaims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the claims of an access token")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AccessClaims, A::Error> {
                let mut found = Found::default();
                while let Some(name) = map.next_key()? {
                    found.take(name, &mut map)?;
                }
                found.whole().ok_or_else(|| A::Error::custom("a claim is missing"))
            }
        }

        from.deserialize_map(Claims)
    }
}

/// The members of an object, each name once (RFC 7519, section 4, lets a reader refuse duplicates).
fn members<'de, A: MapAccess<'de>>(mut map: A, depth: usize) -> Result<Map<String, Value>, A::Error> {
    let mut members = Map::new();
    while let Some(name) = map.next_key()? {
        let value = map.next_value_seed(Bounded { depth })?;
        if members.insert(name, value).is_some() {
            return Err(twice());
        }
    }
    Ok(members)
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
