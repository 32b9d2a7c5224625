//! Password hashing: bcrypt, with no password ever cut off, on a bounded pool of its own.
//!
//! [`scheme`] says what a hash looks like and what it costs, [`hasher`] who computes it and when there is too much
//! to do.

mod argon2;
pub mod hasher;
pub mod scheme;

pub use hasher::{HasherSize, HashingError, PasswordHasher, Visit};
pub use scheme::{Cost, PasswordHash, UnreadableHash, needs_rehash};
