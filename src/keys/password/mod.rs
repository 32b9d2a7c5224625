//! Password hashing: bcrypt, with no password ever cut off, on a bounded pool of its own.
//!
//! [`scheme`] says what a hash looks like and what it costs, [`hasher`] who computes it and when there is too much
//! to do, `queue` which caller is next, [`permit`] what a caller may do when it is,
//! `hash_time` how long a hash takes.

mod argon2;
mod hash_time;
pub mod hasher;
pub mod permit;
mod queue;
pub mod scheme;

pub use hasher::{HasherSize, HashingError, PasswordHasher, Share, ShareOf};
pub use permit::{Admission, Permit};
pub use scheme::{Cost, PasswordHash, UnreadableHash, needs_rehash};
