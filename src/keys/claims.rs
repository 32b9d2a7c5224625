//! Which of a user's attributes travel in access tokens, and under what names.

use std::collections::BTreeSet;

use relatch_domain::attributes::Attributes;
use serde::{Serialize, Serializer};

/// The claims that attributes must not fill: those that the server sets or may come to set, that RFC 7519, RFC 9068 and
/// OpenID Connect Core define, or by which some verifiers decide whether to take a token.
const RESERVED: [&str; 32] = [
    "acr",
    "act",
    "amr",
    "at_hash",
    "aud",
    "auth_time",
    "authorization_details",
    "azp",
    "c_hash",
    "client_id",
    "cnf",
    "entitlements",
    "events",
    "exp",
    "groups",
    "iat",
    "iss",
    "jti",
    "may_act",
    "nbf",
    "nonce",
    "preferred_username",
    "roles",
    "scope",
    "scp",
    "sid",
    "status",
    "sub",
    "sub_id",
    "token_type",
    "typ",
    "username",
];

/// A claim, and the attribute that fills it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomClaim {
    claim: String,
    attribute: String,
}

/// Why a text does not name a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClaim {
    /// Claim or attribute is not a name.
    #[error("a claim and an attribute have 1 to 64 ASCII letters, digits, or the characters _ - . :")]
    Name,
    /// The claim means something already.
    #[error("the claim has a meaning of its own")]
    Reserved,
}

/// Why claims do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClaims {
    /// More than [`CustomClaims::MAX`].
    #[error("at most {} claims", CustomClaims::MAX)]
    TooMany,
    /// The names would make tokens too long.
    #[error("the names of all claims together have at most {} bytes", CustomClaims::MAX_NAMES)]
    TooLong,
    /// Two attributes for one claim, or one attribute for two.
    #[error("each claim and each attribute at most once")]
    Twice,
}

/// The claims that users' attributes fill: few enough that no token becomes too long to be read. What they hold is at
/// most [`Attributes::MAX_BYTES`], since no attribute fills two.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomClaims(Vec<CustomClaim>);

impl CustomClaim {
    /// Reads `claim`, filled by the attribute of the same name, or `claim=attribute`.
    ///
    /// # Errors
    /// If attributes cannot fill such a claim.
    pub fn parse(text: &str) -> Result<Self, InvalidClaim> {
        let (claim, attribute) = text.split_once('=').unwrap_or((text, text));
        if !Attributes::is_name(claim) || !Attributes::is_name(attribute) {
            return Err(InvalidClaim::Name);
        }
        if RESERVED.contains(&claim) {
            return Err(InvalidClaim::Reserved);
        }
        Ok(Self { claim: claim.to_owned(), attribute: attribute.to_owned() })
    }
}

impl std::fmt::Display for CustomClaim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.claim == self.attribute {
            f.write_str(&self.claim)
        } else {
            write!(f, "{}={}", self.claim, self.attribute)
        }
    }
}

impl CustomClaims {
    /// How many there may be.
    pub const MAX: usize = 16;
    /// How long the claims' names may be together, in bytes.
    pub const MAX_NAMES: usize = 512;

    /// The claims one by one.
    pub fn iter(&self) -> impl Iterator<Item = &CustomClaim> {
        self.0.iter()
    }

    /// The claims of one user, to be written into a token. An attribute that the user does not have is left out.
    pub(super) fn filled_by<'a>(&'a self, attributes: &'a Attributes) -> FilledClaims<'a> {
        FilledClaims { claims: self, attributes }
    }
}

impl TryFrom<Vec<CustomClaim>> for CustomClaims {
    type Error = InvalidClaims;

    fn try_from(claims: Vec<CustomClaim>) -> Result<Self, InvalidClaims> {
        if claims.len() > Self::MAX {
            return Err(InvalidClaims::TooMany);
        }
        let names: BTreeSet<_> = claims.iter().map(|claim| &claim.claim).collect();
        let attributes: BTreeSet<_> = claims.iter().map(|claim| &claim.attribute).collect();
        if names.len() < claims.len() || attributes.len() < claims.len() {
            return Err(InvalidClaims::Twice);
        }
        if names.iter().map(|name| name.len()).sum::<usize>() > Self::MAX_NAMES {
            return Err(InvalidClaims::TooLong);
        }
        Ok(Self(claims))
    }
}

/// Claims with one user's attributes in them.
pub(super) struct FilledClaims<'a> {
    claims: &'a CustomClaims,
    attributes: &'a Attributes,
}

impl Serialize for FilledClaims<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = |claim: &'_ CustomClaim| self.attributes.get(&claim.attribute);
        serializer.collect_map(self.claims.iter().filter_map(|claim| Some((&claim.claim, value(claim)?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(texts: &[&str]) -> Result<CustomClaims, InvalidClaims> {
        let claims: Vec<_> = texts.iter().map(|text| CustomClaim::parse(text).unwrap()).collect();
        claims.try_into()
    }

    #[test]
    fn a_claim_is_filled_by_its_attribute() {
        let attributes: Attributes =
            serde_json::from_str(r#"{"level":3,"org":"acme","secret":"x","teams":["a","b"]}"#).unwrap();
        let claims = claims(&["tenant=org", "teams", "level", "missing"]).unwrap();
        let json = serde_json::to_string(&claims.filled_by(&attributes)).unwrap();
        assert_eq!(json, r#"{"tenant":"acme","teams":["a","b"],"level":3}"#);
        let written: Vec<_> = claims.iter().map(ToString::to_string).collect();
        assert_eq!(written, ["tenant=org", "teams", "level", "missing"]);
    }

    #[test]
    fn a_claim_with_a_meaning_of_its_own_is_refused() {
        for name in RESERVED {
            assert_eq!(CustomClaim::parse(name), Err(InvalidClaim::Reserved), "{name}");
            assert_eq!(CustomClaim::parse(&format!("{name}=x")), Err(InvalidClaim::Reserved), "{name}");
            assert!(CustomClaim::parse(&format!("x={name}")).is_ok(), "{name}");
        }
        assert!(RESERVED.is_sorted());
    }

    #[test]
    fn names_are_names() {
        let long = "a".repeat(65);
        for wrong in ["", "=", "a=", "=a", "a=b=c", "a b", "a/b", "ä", &long, "a =b"] {
            assert_eq!(CustomClaim::parse(wrong), Err(InvalidClaim::Name), "{wrong:?}");
        }
        assert!(CustomClaim::parse("urn:acme:tenant=Tenant.id").is_ok());
    }

    #[test]
    fn claims_are_few_short_and_different() {
        let many: Vec<_> = (0..17).map(|n| format!("c{n}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert!(claims(&many[..16]).is_ok());
        assert_eq!(claims(&many), Err(InvalidClaims::TooMany));
        assert_eq!(claims(&["a", "a=b"]), Err(InvalidClaims::Twice));
        assert_eq!(claims(&["a", "b=a"]), Err(InvalidClaims::Twice));
        let long: Vec<_> = (0..9).map(|n| format!("{n}{}", "x".repeat(63))).collect();
        let long: Vec<_> = long.iter().map(String::as_str).collect();
        assert!(claims(&long[..8]).is_ok());
        assert_eq!(claims(&long), Err(InvalidClaims::TooLong));
    }
}
