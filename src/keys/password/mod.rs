//! Password hashing: bcrypt, with no password ever cut off, on a bounded pool of its own.
//!
//! [`scheme`] says what a hash looks like and what it costs, [`hasher`] who computes it and when there is too much
//! to do, `queue` which caller is next, [`permit`] what a caller may do when it is,
//! `hash_time` how long a hash takes, [`even`] why a refusal always takes as long.

mod argon2;
mod bcrypt_hash;
pub mod even;
mod hash_time;
pub mod hasher;
mod pbkdf2;
pub mod permit;
mod queue;
pub mod scheme;
mod scrypt;

pub use hasher::{HasherSize, HashingError, PasswordHasher, Share, ShareOf};
pub use permit::{Admission, Permit};
pub use scheme::{Cost, PasswordHash, UnreadableHash, as_exported, as_imported, needs_rehash};

#[cfg(test)]
mod foreign_tests;
