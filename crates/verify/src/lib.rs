//! What a server needs to check Relatch's access tokens: JWTs as RFC 9068 profiles them.
//!
//! [`verify`] is for whoever takes an access token as a credential. [`verify_origin`] only tells whether a token was
//! issued by Relatch, expired or not; it is for places that ask no more than that and is no proof that somebody is
//! signed in. Whoever meets the same tokens again and again remembers them in a [`SignatureMemory`].
//!
//! The reading is strict (RFC 8725): limits come before cryptography, the algorithm is the key's and not the
//! token's, nothing in a header can bring a key along, and a member that occurs twice refuses the token. The crate
//! does no I/O and asks no clock: keys and time are handed in.

mod algorithm;
mod claims;
mod compact;
mod edwards;
mod header;
mod jwks;
mod key;
mod memory;
mod rsa;
#[cfg(test)]
mod testing;
mod verify;
#[cfg(test)]
mod verify_tests;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use claims::{AccessClaims, Audience};
pub use header::access_token_header;
pub use jwks::InvalidJwks;
pub use key::{AmbiguousKid, InvalidKey, KeySet, PublicKey, VerifyingKey};
pub use memory::{NoRandomness, SignatureMemory};
pub use verify::{Expectations, Refusal, verify, verify_origin, verify_origin_with, verify_with};

/// Longest token that is looked at, in characters.
pub const MAX_TOKEN_LEN: usize = 8192;

/// What the guide to the API shows of this crate must compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/api.md")]
struct Guide;
