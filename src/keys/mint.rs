//! The minting of access tokens: JWTs as RFC 9068 profiles them, put together by hand around a signature by a key
//! that is parsed already.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use relatch_domain::user::Profile;
use relatch_domain::{SessionRef, UnixMillis, UnixSeconds, UserId};
use relatch_verify::{Audience, Expectations};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::claims::{CustomClaims, FilledClaims};
use super::error::KeysError;
use super::ring::KeyRing;

/// `client_id` of the tokens that our own API issues.
pub const FIRST_PARTY_CLIENT: &str = "relatch";

/// Longest issuer and audience together, in bytes of JSON: what else a token holds is bounded, and the whole must stay under
/// [`relatch_verify::MAX_TOKEN_LEN`].
const MAX_NAMES_LEN: usize = 1024;

/// Issues access tokens in one name, for one audience, each good for the same time.
#[derive(Debug, Clone)]
pub struct AccessTokenIssuer {
    issuer: String,
    audience: Vec<String>,
    /// The audience as it stands in the claim.
    aud: Audience,
    ttl: Duration,
    custom: CustomClaims,
}

/// Not an issuer of usable tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIssuer {
    /// Nobody could take the tokens.
    #[error("access tokens need at least one audience")]
    NoAudience,
    /// The tokens might become longer than a verifier reads.
    #[error("issuer and audiences together have at most {MAX_NAMES_LEN} bytes of JSON")]
    TooLong,
    /// The tokens would have expired when they are issued.
    #[error("access tokens live at least one second")]
    TooShortLived,
}

/// What a new token is about.
#[derive(Debug, Clone, Copy)]
pub struct NewAccessToken<'a> {
    /// Whose token it is, and of which session.
    pub session: SessionRef,
    /// The user's name, roles and attributes.
    pub profile: &'a Profile,
    /// When the user signed in.
    pub auth_time: UnixSeconds,
    /// The present moment, by the store's clock.
    pub now: UnixMillis,
    /// When the session ends if nothing happens: no token of it lives longer.
    pub not_after: UnixSeconds,
    /// Random: the token's own id.
    pub jti: [u8; 16],
}

/// A token, and how long it lives.
pub struct MintedToken {
    /// The token. A credential: never logged.
    pub token: Zeroizing<String>,
    /// For how long it is good, in whole seconds.
    pub expires_in: Duration,
    /// From when on it is no longer good.
    pub expires_at: UnixSeconds,
}

impl std::fmt::Debug for MintedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MintedToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// The claims as they are written: [`relatch_verify::AccessClaims`], borrowed.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a UserId,
    aud: &'a Audience,
    exp: u32,
    iat: u32,
    jti: &'a str,
    client_id: &'static str,
    sid: SessionRef,
    auth_time: u32,
    #[serde(serialize_with = "names")]
    roles: &'a Profile,
    preferred_username: &'a str,
    #[serde(flatten)]
    custom: FilledClaims<'a>,
}

fn names<S: Serializer>(profile: &Profile, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(profile.roles.iter())
}

impl AccessTokenIssuer {
    /// An issuer called `issuer`, whose tokens are for all of `audience` and live for `ttl`, in whole seconds.
    ///
    /// # Errors
    /// If nobody could take the tokens.
    pub fn new(issuer: String, audience: Vec<String>, ttl: Duration) -> Result<Self, InvalidIssuer> {
        let aud = match audience.as_slice() {
            [] => return Err(InvalidIssuer::NoAudience),
            [one] => Audience::One(one.clone()),
            many => Audience::Many(many.to_vec()),
        };
        // Texts can always be written.
        let names = serde_json::to_vec(&(&issuer, &aud)).map_or(usize::MAX, |json| json.len());
        if names > MAX_NAMES_LEN {
            return Err(InvalidIssuer::TooLong);
        }
        let ttl = Duration::from_secs(ttl.as_secs());
        if ttl.is_zero() {
            return Err(InvalidIssuer::TooShortLived);
        }
        Ok(Self { issuer, audience, aud, ttl, custom: CustomClaims::default() })
    }

    /// The same, with these claims filled by the user's attributes.
    #[must_use]
    pub fn with_claims(self, custom: CustomClaims) -> Self {
        Self { custom, ..self }
    }

    /// How long its tokens live.
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// The issuer's name.
    pub fn name(&self) -> &str {
        &self.issuer
    }

    /// What a token of ours must be to be taken by ourselves at `now`. No leeway: the clock is our own.
    pub fn expectations(&self, now: UnixMillis) -> Expectations<'_> {
        Expectations {
            issuer: &self.issuer,
            audience: &self.audience,
            now: u64::from(now.seconds().0),
            leeway: Duration::ZERO,
        }
    }

    /// Mints a token with the ring's minting key.
    ///
    /// # Errors
    /// If the cryptographic library refuses to sign.
    pub fn mint(&self, ring: &KeyRing, new: &NewAccessToken<'_>) -> Result<MintedToken, KeysError> {
        let key = ring.minting_key();
        let issued_at = new.now.seconds();
        let expires_at = issued_at.plus(self.ttl).min(new.not_after);
        let claims = Claims {
            iss: &self.issuer,
            sub: &new.session.user,
            aud: &self.aud,
            exp: expires_at.0,
            iat: issued_at.0,
            jti: &URL_SAFE_NO_PAD.encode(new.jti),
            client_id: FIRST_PARTY_CLIENT,
            sid: new.session,
            auth_time: new.auth_time.0,
            roles: new.profile,
            preferred_username: new.profile.username.as_str(),
            custom: self.custom.filled_by(&new.profile.attributes),
        };
        let mut json = Vec::with_capacity(512);
        serde_json::to_writer(&mut json, &claims).map_err(|_| KeysError::Crypto("write claims"))?;
        // Room for all of it, so that no copy of a half-made token is left behind; and little more, for all of it is wiped.
        let room = key.header().len() + json.len().div_ceil(3) * 4 + key.signature_room();
        let mut token = Zeroizing::new(String::with_capacity(room));
        token.push_str(key.header());
        URL_SAFE_NO_PAD.encode_string(json, &mut token);
        let signature = key.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        let expires_in = Duration::from_secs(expires_at.0.saturating_sub(issued_at.0).into());
        Ok(MintedToken { token, expires_in, expires_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::claims::CustomClaim;
    use crate::keys::ring::KeyState;
    use crate::keys::ring::tests::ring_key;
    use crate::keys::signing::Algorithm;
    use proptest::prelude::*;
    use relatch_domain::SessionId;
    use relatch_domain::attributes::{AttributeValue, Attributes};
    use relatch_domain::testing::{attribute_value, attributes};
    use relatch_domain::user::{Role, Roles};
    use relatch_verify::{AccessClaims, MAX_TOKEN_LEN, Refusal, verify, verify_origin};
    use std::collections::{BTreeMap, BTreeSet};

    const NOW: UnixMillis = UnixMillis(1_700_000_000_999);

    fn ring(algorithm: Algorithm) -> KeyRing {
        KeyRing::new(1, vec![ring_key(algorithm, KeyState::Active, 1)], algorithm).unwrap()
    }

    fn issuer(audience: &[&str]) -> AccessTokenIssuer {
        let audience = audience.iter().map(|name| (*name).to_owned()).collect();
        AccessTokenIssuer::new("https://id.example".into(), audience, Duration::from_mins(15)).unwrap()
    }

    fn session() -> SessionRef {
        SessionRef { user: UserId::from_bytes([0x11; 16]), session: SessionId::from_bytes([0x22; 16]) }
    }

    fn profile(roles: &[&str]) -> Profile {
        let roles: BTreeSet<Role> = roles.iter().map(|role| role.parse().unwrap()).collect();
        Profile {
            username: "ada".parse().unwrap(),
            roles: Roles::try_from(roles).unwrap(),
            attributes: Attributes::default(),
        }
    }

    fn new(profile: &Profile) -> NewAccessToken<'_> {
        NewAccessToken {
            session: session(),
            profile,
            auth_time: UnixSeconds(1_699_990_000),
            now: NOW,
            not_after: UnixSeconds(1_800_000_000),
            jti: [9; 16],
        }
    }

    #[test]
    fn a_token_of_each_algorithm_says_what_it_was_made_for() {
        let (issuer, profile) = (issuer(&["https://api.example"]), profile(&["user", "admin"]));
        for algorithm in Algorithm::ALL {
            let ring = ring(algorithm);
            let minted = issuer.mint(&ring, &new(&profile)).unwrap();
            assert_eq!(minted.expires_in, Duration::from_mins(15));
            assert_eq!(minted.expires_at, UnixSeconds(1_700_000_900));
            let claims = verify(&minted.token, ring.verifying_keys(), &issuer.expectations(NOW)).unwrap();
            let expected = AccessClaims {
                iss: "https://id.example".into(),
                sub: "11111111-1111-1111-1111-111111111111".into(),
                aud: Audience::One("https://api.example".into()),
                exp: 1_700_000_900,
                nbf: None,
                iat: 1_700_000_000,
                jti: "CQkJCQkJCQkJCQkJCQkJCQ".into(),
                client_id: "relatch".into(),
                sid: session().to_string(),
                auth_time: 1_699_990_000,
                roles: vec!["admin".into(), "user".into()],
                preferred_username: "ada".into(),
                extra: BTreeMap::new(),
            };
            assert_eq!(claims, expected, "{algorithm}");
        }
    }

    #[test]
    fn the_header_names_type_algorithm_and_key() {
        let (ring, profile) = (ring(Algorithm::ES256), profile(&[]));
        let minted = issuer(&["a"]).mint(&ring, &new(&profile)).unwrap();
        let header = URL_SAFE_NO_PAD.decode(minted.token.split('.').next().unwrap()).unwrap();
        let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
        let expected = serde_json::json!({"typ": "at+jwt", "alg": "ES256", "kid": ring.minting_key().kid()});
        assert_eq!(header, expected);
    }

    #[test]
    fn a_token_is_for_each_of_its_audiences() {
        let (ring, profile) = (ring(Algorithm::HS256), profile(&[]));
        let minted = issuer(&["a", "b"]).mint(&ring, &new(&profile)).unwrap();
        for (name, taken) in [("a", true), ("b", true), ("c", false)] {
            let other = issuer(&[name]);
            let claims = verify(&minted.token, ring.verifying_keys(), &other.expectations(NOW));
            assert_eq!(claims.is_ok(), taken, "{name}");
        }
    }

    #[test]
    fn a_token_dies_with_its_last_second() {
        let (ring, profile, issuer) = (ring(Algorithm::HS256), profile(&[]), issuer(&["a"]));
        let minted = issuer.mint(&ring, &new(&profile)).unwrap();
        let at =
            |millis| verify(&minted.token, ring.verifying_keys(), &issuer.expectations(UnixMillis(millis)));
        assert!(at(1_700_000_899_999).is_ok());
        assert_eq!(at(1_700_000_900_000), Err(Refusal::Expired));
        assert!(verify_origin(&minted.token, ring.origin_keys()).is_ok());
    }

    #[test]
    fn a_token_does_not_outlive_its_session() {
        let (ring, profile, issuer) = (ring(Algorithm::HS256), profile(&[]), issuer(&["a"]));
        let new = NewAccessToken { not_after: UnixSeconds(1_700_000_060), ..new(&profile) };
        let minted = issuer.mint(&ring, &new).unwrap();
        assert_eq!((minted.expires_in, minted.expires_at), (Duration::from_mins(1), new.not_after));
        let claims = verify(&minted.token, ring.verifying_keys(), &issuer.expectations(NOW)).unwrap();
        assert_eq!(claims.exp, 1_700_000_060);
    }

    #[test]
    fn another_rings_token_is_of_an_unknown_key() {
        let profile = profile(&[]);
        let minted = issuer(&["a"]).mint(&ring(Algorithm::ES256), &new(&profile)).unwrap();
        let refusal = verify_origin(&minted.token, ring(Algorithm::ES256).origin_keys());
        assert!(matches!(refusal, Err(Refusal::UnknownKey(_))));
    }

    #[test]
    fn the_longest_token_is_short_enough_to_be_read() {
        let roles: Vec<String> = (0..Roles::MAX).map(|n| format!("{n:064}")).collect();
        let mut profile = profile(&roles.iter().map(String::as_str).collect::<Vec<_>>());
        profile.username = "\"".repeat(128).parse().unwrap();
        // The claims' names are as long as can be, those of the attributes as short, so that the values are long.
        let texts: Vec<_> = (b'a'..b'q').map(|n| format!("{0}{1}={0}", n as char, "x".repeat(31))).collect();
        let letter = |n: u8| (n as char).to_string();
        let mut values: BTreeMap<_, _> =
            (b'b'..b'q').map(|n| (letter(n), AttributeValue::Number(1))).collect();
        let long = "x".repeat(Attributes::MAX_BYTES - (15 * "\"b\":1,".len() + "{\"a\":\"\"}".len()));
        values.insert(letter(b'a'), AttributeValue::Text(long));
        profile.attributes = values.try_into().unwrap();
        assert_eq!(serde_json::to_vec(&profile.attributes).unwrap().len(), Attributes::MAX_BYTES);
        let names = MAX_NAMES_LEN - r#"["https://id.example",""]"#.len();
        let issuer = issuer(&[&"a".repeat(names)]).with_claims(custom(&texts));
        let ring = ring(Algorithm::RS256);
        let minted = issuer.mint(&ring, &new(&profile)).unwrap();
        assert!(minted.token.len() <= MAX_TOKEN_LEN, "{}", minted.token.len());
        let claims = verify(&minted.token, ring.verifying_keys(), &issuer.expectations(NOW)).unwrap();
        assert_eq!(claims.extra.len(), CustomClaims::MAX);
    }

    fn custom(texts: &[String]) -> CustomClaims {
        let claims: Vec<_> = texts.iter().map(|text| CustomClaim::parse(text).unwrap()).collect();
        claims.try_into().unwrap()
    }

    proptest! {
        #[test]
        fn whatever_the_attributes_the_token_is_good_and_carries_those_that_are_named(
            attributes in attributes(),
            more in attribute_value(),
        ) {
            let mut profile = profile(&["user"]);
            let mut values: BTreeMap<_, _> = attributes.into();
            values.insert("b".to_owned(), more);
            let Ok(attributes) = Attributes::try_from(values) else { return Ok(()) };
            profile.attributes = attributes;
            let ring = ring(Algorithm::HS256);
            let issuer = issuer(&["a"]).with_claims(custom(&["a".into(), "x=b".into(), "b=c".into()]));
            let minted = issuer.mint(&ring, &new(&profile)).unwrap();
            let claims = verify(&minted.token, ring.verifying_keys(), &issuer.expectations(NOW)).unwrap();

            let named = [("a", "a"), ("x", "b"), ("b", "c")];
            let expected = named.into_iter().filter_map(|(claim, attribute)| {
                let value = profile.attributes.get(attribute)?;
                Some((claim.to_owned(), serde_json::to_value(value).unwrap()))
            });
            prop_assert_eq!(claims.extra, expected.collect());
            prop_assert_eq!(claims.sub, session().user.to_string());
            prop_assert_eq!(claims.roles, vec!["user".to_owned()]);
        }
    }

    #[test]
    fn no_claim_of_ours_can_be_filled_by_an_attribute() {
        let (ring, profile) = (ring(Algorithm::HS256), profile(&[]));
        let minted = issuer(&["a"]).mint(&ring, &new(&profile)).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(minted.token.split('.').nth(1).unwrap()).unwrap();
        let claims: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims.len(), 11);
        for name in claims.keys().map(String::as_str).chain(["nbf", "acr", "amr", "scope", "cnf"]) {
            assert!(CustomClaim::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn an_issuer_of_useless_tokens_is_refused() {
        let with = |audience: Vec<String>, ttl| AccessTokenIssuer::new("i".into(), audience, ttl).err();
        assert_eq!(with(vec![], Duration::from_secs(1)), Some(InvalidIssuer::NoAudience));
        assert_eq!(
            with(vec!["a".repeat(MAX_NAMES_LEN)], Duration::from_secs(1)),
            Some(InvalidIssuer::TooLong)
        );
        assert_eq!(with(vec!["a".into()], Duration::from_millis(999)), Some(InvalidIssuer::TooShortLived));
    }

    #[test]
    fn a_token_never_shows_in_debug_output() {
        let profile = profile(&[]);
        let minted = issuer(&["a"]).mint(&ring(Algorithm::HS256), &new(&profile)).unwrap();
        assert_eq!(format!("{minted:?}"), "MintedToken { expires_at: UnixSeconds(1700000900), .. }");
    }
}
