//! Password hashing: bcrypt, with no password ever cut off, on a bounded pool of its own.
//!
//! [`scheme`] says what a hash looks like and what it costs, [`hasher`] who computes it and when there is too much
//! to do, `queue` whose turn it is,
//! [`turn`] what is done in it.

mod argon2;
pub mod hasher;
mod pace;
mod queue;
pub mod scheme;
pub mod turn;

pub use hasher::{HasherSize, HashingError, PasswordHasher, Share, ShareOf};
pub use scheme::{Cost, PasswordHash, UnreadableHash, needs_rehash};
pub use turn::{Claim, Turn};
