//! The check itself.

use std::time::Duration;

use crate::algorithm::Algorithm;
use crate::claims::AccessClaims;
use crate::compact::Compact;
use crate::header::Header;
use crate::key::{KeySet, VerifyingKey};
use crate::memory::SignatureMemory;

/// What a token must be to be taken.
#[derive(Debug, Clone, Copy)]
pub struct Expectations<'a> {
    /// The only issuer that is trusted.
    pub issuer: &'a str,
    /// Who asks. The token must be for at least one of these names.
    pub audience: &'a [String],
    /// The present moment, in seconds since the Unix epoch.
    pub now: u64,
    /// By how much the issuer's clock may differ; whole seconds count.
    pub leeway: Duration,
}

/// Why a token was not taken. None of the texts repeats what the token says, its key's id apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a JWT in the compact form with the header and claims of an access token.
    #[error("malformed token")]
    Malformed,
    /// Not an access token but something else that is signed.
    #[error("not an access token")]
    WrongType,
    /// Signed by a key that is not in the set. It may be a new one: load the keys once more, then try again.
    #[error("signed by the unknown key {0:?}")]
    UnknownKey(String),
    /// An algorithm that is not used here, or not the key's.
    #[error("signed by another algorithm than the key's")]
    WrongAlgorithm,
    /// Not signed by the key that the token names.
    #[error("wrong signature")]
    BadSignature,
    /// Issued by somebody else.
    #[error("issued by another issuer")]
    WrongIssuer,
    /// Issued for somebody else.
    #[error("issued for another audience")]
    WrongAudience,
    /// Not good yet.
    #[error("not valid yet")]
    NotYetValid,
    /// Genuine and good for us, but no longer.
    #[error("expired")]
    Expired,
}

/// Checks an access token that is presented as a credential (RFC 9068, section 4).
///
/// # Errors
/// Why it is not to be taken. `Expired` is said only of tokens that are good in every other respect.
pub fn verify(token: &str, keys: &KeySet, expected: &Expectations<'_>) -> Result<AccessClaims, Refusal> {
    expect(claims_of(token, keys, None)?, expected)
}

/// As [`verify`]; the signature of a token that `memory` knows is not checked again, and one that is good is remembered.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(
    token: &str,
    keys: &KeySet,
    expected: &Expectations<'_>,
    memory: &SignatureMemory,
) -> Result<AccessClaims, Refusal> {
    expect(claims_of(token, keys, Some(memory))?, expected)
}

fn expect(claims: AccessClaims, expected: &Expectations<'_>) -> Result<AccessClaims, Refusal> {
    let leeway = expected.leeway.as_secs();
    if claims.iss != expected.issuer {
        return Err(Refusal::WrongIssuer);
    }
    if !expected.audience.iter().any(|name| claims.aud.contains(name)) {
        return Err(Refusal::WrongAudience);
    }
    if claims.nbf.is_some_and(|nbf| nbf > expected.now.saturating_add(leeway)) {
        return Err(Refusal::NotYetValid);
    }
    if claims.exp.saturating_add(leeway) <= expected.now {
        return Err(Refusal::Expired);
    }
    Ok(claims)
}

/// Checks no more than that a token is an access token signed by one of `keys`. It may have expired, and may have been
/// issued under another issuer name or for another audience: **no proof that somebody is signed in.**
///
/// # Errors
/// Why it is not such a token.
pub fn verify_origin(token: &str, keys: &KeySet) -> Result<AccessClaims, Refusal> {
    claims_of(token, keys, None)
}

/// As [`verify_origin`], with a memory as of [`verify_with`].
///
/// # Errors
/// As [`verify_origin`].
pub fn verify_origin_with(
    token: &str,
    keys: &KeySet,
    memory: &SignatureMemory,
) -> Result<AccessClaims, Refusal> {
    claims_of(token, keys, Some(memory))
}

fn claims_of(token: &str, keys: &KeySet, memory: Option<&SignatureMemory>) -> Result<AccessClaims, Refusal> {
    let parts = Compact::parse(token).ok_or(Refusal::Malformed)?;
    // A header that is, byte by byte, the usual one of a key need not be read.
    let usual = keys.of_usual_header(parts.header);
    let header = match usual {
        Some(_) => None,
        None => Some(parts.header_json().and_then(|json| Header::parse(&json)).ok_or(Refusal::Malformed)?),
    };
    // Read before they are believed: all limits come before the cryptography.
    let claims = AccessClaims::parse(&parts.payload).ok_or(Refusal::Malformed)?;
    let key = match (usual, header) {
        (Some(key), _) => key,
        (None, Some(header)) => named_by(header, keys)?,
        (None, None) => return Err(Refusal::Malformed),
    };
    // An HMAC is as quick as the memory.
    let memory = memory.filter(|_| key.algorithm() != Algorithm::HS256);
    if memory.is_some_and(|memory| memory.knows(token)) {
        return Ok(claims);
    }
    if !key.verifies(parts.signed, &parts.signature) {
        return Err(Refusal::BadSignature);
    }
    if let Some(memory) = memory {
        memory.learn(token);
    }
    Ok(claims)
}

/// The key that a header names, if it may be the key of an access token.
fn named_by(header: Header, keys: &KeySet) -> Result<&VerifyingKey, Refusal> {
    if !header.is_access_token() {
        return Err(Refusal::WrongType);
    }
    let algorithm: Algorithm = header.alg.parse().map_err(|_| Refusal::WrongAlgorithm)?;
    let Some(key) = keys.get(&header.kid) else {
        return Err(Refusal::UnknownKey(header.kid));
    };
    if key.algorithm() != algorithm {
        return Err(Refusal::WrongAlgorithm);
    }
    Ok(key)
}
