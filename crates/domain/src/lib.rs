//! The rules of Relatch, and nothing else.
//!
//! Everything here is a pure function or a plain value: no I/O, no clock, no randomness. Time, dice and
//! policy are arguments. Start with [`rotation`]: it decides what becomes of a presented refresh token.

#[macro_use]
mod named;
mod named_token;

pub mod attempt;
pub mod attributes;
pub mod base64url;
pub mod budget;
pub mod bytes;
pub mod cutoff;
pub mod device_token;
pub mod event;
pub mod guesses;
pub mod ids;
pub mod mac;
pub mod password_rules;
pub mod policy;
pub mod record;
pub mod refresh_token;
pub mod reset_token;
pub mod revocation;
pub mod rotation;
pub mod session;
pub mod sign_in;
pub mod successor;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod unicode;
pub mod user;
mod username;

pub use ids::{ClientNumber, Generation, MacKeyId, Nonce, OperationId, SessionId, SessionRef, UserId};
pub use time::{UnixMillis, UnixSeconds};
