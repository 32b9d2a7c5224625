//! Keys: the master key and what is derived from it, the signing keys and their ring, and the minting of access
//! tokens.
//!
//! Every key has one purpose (RFC 8725, section 3.5; NIST SP 800-57 part 1, section 5.2). The master key itself
//! neither authenticates nor encrypts anything: keys for that are derived from it. Signing keys are random and lie in
//! the store, sealed.

pub mod claims;
pub mod error;
pub mod lifetimes;
#[cfg(test)]
mod lives_tests;
pub mod master;
pub mod mint;
pub mod password;
pub mod ring;
pub mod seal;
pub mod service;
#[cfg(test)]
mod service_tests;
pub mod settling;
pub mod signing;
mod stored;
mod unknown;
#[cfg(test)]
mod unknown_tests;
