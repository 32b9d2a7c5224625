//! The forms of a password's hash.
//!
//! bcrypt reads at most 72 bytes and its string ends with a NUL, so 71 bytes are what it hashes whole. Those
//! passwords get a plain `$2b$` hash. Longer ones get passlib's published `$bcrypt-sha256$v=2`: HMAC-SHA-256 of the
//! password keyed with the salt's text, Base64, then bcrypt with the same salt. Other software can verify both.

use bcrypt::BcryptError;
use relatch_domain::password_rules::Password;

use super::argon2::Argon2Hash;
use super::bcrypt_hash::{self, BcryptHash, MAX_READ};
use super::pbkdf2::Pbkdf2Hash;
use super::scrypt::ScryptHash;

/// Stands before an imported hash of a kind that we make, too: it is of the password as the other system got it.
const IMPORTED: &str = "imported:";

/// Bytes of salt that are taken.
pub(super) const SALT_LENGTHS: std::ops::RangeInclusive<usize> = 1..=128;
/// Bytes of output that are taken: with a few bytes only, many passwords would be right.
pub(super) const OUTPUT_LENGTHS: std::ops::RangeInclusive<usize> = 16..=64;

/// bcrypt's cost: the work is 2 to the power of it. Bounded above, so that no stored hash can keep a thread busy for
/// more than some seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost(u8);

impl Cost {
    /// The lowest cost that bcrypt has.
    pub const MIN: Self = Self(4);
    /// The highest cost that is accepted: some four seconds of work.
    pub const MAX: Self = Self(16);
    /// The lowest cost that OWASP's Password Storage Cheat Sheet recommends.
    pub const RECOMMENDED_MIN: Self = Self(10);

    /// A cost, if it is within the bounds.
    pub fn new(cost: u32) -> Option<Self> {
        let cost = Self(u8::try_from(cost).ok()?);
        (Self::MIN..=Self::MAX).contains(&cost).then_some(cost)
    }

    /// The exponent.
    pub const fn get(self) -> u32 {
        self.0 as u32
    }
}

/// A stored hash that no password can be checked against. For operators: the account cannot sign in until its
/// password is set anew. The text never holds the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableHash {
    /// Starts like a hash that we know, but is not one.
    #[error("the stored password hash is damaged")]
    Malformed,
    /// Not a scheme that we verify. `$2x$` is one of those: it marks hashes of a broken implementation.
    #[error(
        "the stored password hash is of a kind that is not supported; supported are bcrypt ($2a$, $2b$, $2y$, $bcrypt-sha256$), \
         Argon2 ($argon2id$, $argon2i$, $argon2d$), PBKDF2 ($pbkdf2$, $pbkdf2-sha256$, $pbkdf2-sha512$, pbkdf2:…, ASP.NET Identity), \
         scrypt ($scrypt$, scrypt:…, $firescrypt$), and Django's pbkdf2_sha256$, pbkdf2_sha1$, bcrypt$, bcrypt_sha256$, argon2$, scrypt$"
    )]
    Unsupported,
    /// Takes more work than we do for anybody, or less than bcrypt has.
    #[error("the stored password hash has cost {0}; {min} to {max} are supported", min = Cost::MIN.0, max = Cost::MAX.0)]
    Cost(u32),
    /// Takes more memory or time than we spend on anybody.
    #[error("the stored Argon2 hash takes more than is supported (256 MiB, 1 GiB over all passes, 16 lanes)")]
    Argon2Cost,
    /// Takes more time than we spend on anybody.
    #[error(
        "the stored PBKDF2 hash takes more than is supported (5,000,000 rounds over all blocks of output)"
    )]
    Pbkdf2Cost,
    /// Takes more memory or time than we spend on anybody.
    #[error("the stored scrypt hash takes more than is supported (256 MiB, 1 GiB over all lanes, 16 lanes)")]
    ScryptCost,
    /// A salt or an output that is too short or too long.
    #[error(
        "the stored password hash has a salt that is not of 1 to 128 bytes, or an output that is not of 16 to 64"
    )]
    Length,
}

/// A stored hash, parsed.
pub struct PasswordHash {
    kind: Kind,
    /// Made by another system, of the password as that got it: it may not have normalised it, or may have cut it off.
    is_foreign: bool,
}

enum Kind {
    Bcrypt(BcryptHash),
    Argon2(Box<Argon2Hash>),
    Pbkdf2(Pbkdf2Hash),
    Scrypt(ScryptHash),
}

impl Kind {
    fn parse(text: &str) -> Result<Self, UnreadableHash> {
        if let Some(hash) = Argon2Hash::parse(text)? {
            return Ok(Self::Argon2(Box::new(hash)));
        }
        if let Some(hash) = Pbkdf2Hash::parse(text)? {
            return Ok(Self::Pbkdf2(hash));
        }
        if let Some(hash) = ScryptHash::parse(text)? {
            return Ok(Self::Scrypt(hash));
        }
        BcryptHash::parse(text).map(Self::Bcrypt)
    }

    const fn is_ours(&self) -> bool {
        matches!(self, Self::Bcrypt(hash) if hash.is_ours())
    }
}

impl PasswordHash {
    /// Reads a stored hash.
    ///
    /// # Errors
    /// If no password can be checked against it.
    pub fn parse(text: &str) -> Result<Self, UnreadableHash> {
        let kind = Kind::parse(as_exported(text))?;
        let is_foreign = text.starts_with(IMPORTED) || !kind.is_ours();
        Ok(Self { kind, is_foreign })
    }

    /// Makes the hash of a new password.
    ///
    /// # Errors
    /// None that is known: the library's own, should it ever refuse a cost and a length that it supports.
    pub fn make(password: &Password, cost: Cost, salt: [u8; 16]) -> Result<String, BcryptError> {
        bcrypt_hash::make(password, cost, salt)
    }

    /// Whether this is the password's hash: if it is foreign, in one of the forms of [`Self::candidates`].
    ///
    /// A password that bcrypt would not read to its end is never the right one for a plain hash of ours: accepting its
    /// first 72 bytes would be truncation (ASVS 6.2.8). Other systems have cut it off, so for a plain hash of theirs these
    /// bytes are the password, until it is made anew.
    pub fn verify(&self, password: &Password) -> bool {
        self.candidates(password).iter().any(|bytes| self.verify_bytes(bytes))
    }

    /// What to check, each once: for a hash of ours the normal form, for a foreign one what was typed before that, both as far as
    /// the other system has read them. Two at most.
    pub(super) fn candidates<'a>(&self, password: &'a Password) -> Vec<&'a [u8]> {
        let normal = password.as_bytes();
        if !self.is_foreign {
            return vec![normal];
        }
        let is_cut = matches!(&self.kind, Kind::Bcrypt(hash) if hash.is_plain());
        let read = |bytes: &'a [u8]| if is_cut { bytes.get(..MAX_READ).unwrap_or(bytes) } else { bytes };
        let mut candidates = vec![read(password.typed().as_bytes()), read(normal)];
        candidates.dedup();
        candidates
    }

    /// Whether this is the hash of these bytes. Compared in constant time, and the work does not depend on the answer.
    pub(super) fn verify_bytes(&self, bytes: &[u8]) -> bool {
        match &self.kind {
            Kind::Bcrypt(hash) => hash.verify(bytes),
            Kind::Argon2(hash) => hash.verify(bytes),
            Kind::Pbkdf2(hash) => hash.verify(bytes),
            Kind::Scrypt(hash) => hash.verify(bytes),
        }
    }

    /// bcrypt's cost, if it is a hash of bcrypt.
    pub const fn cost(&self) -> Option<Cost> {
        match &self.kind {
            Kind::Bcrypt(hash) => Some(hash.cost),
            Kind::Argon2(_) | Kind::Pbkdf2(_) | Kind::Scrypt(_) => None,
        }
    }

    /// What such hashes are called: `bcrypt`, `bcrypt-sha256`, `argon2`, `pbkdf2`, `scrypt`.
    pub const fn kind(&self) -> &'static str {
        match &self.kind {
            Kind::Bcrypt(hash) => hash.kind(),
            Kind::Argon2(_) => "argon2",
            Kind::Pbkdf2(_) => "pbkdf2",
            Kind::Scrypt(_) => "scrypt",
        }
    }
}

/// A hash of another system in the form in which it is stored: marked, if it could be taken for one of ours.
///
/// # Errors
/// If no password can be checked against it.
pub fn as_imported(text: &str) -> Result<String, UnreadableHash> {
    let hash = PasswordHash::parse(text)?;
    Ok(if hash.is_foreign { text.to_owned() } else { format!("{IMPORTED}{text}") })
}

/// A stored hash as other systems write it, without our mark.
pub fn as_exported(text: &str) -> &str {
    text.strip_prefix(IMPORTED).unwrap_or(text)
}

/// Whether a password that has just been verified should be hashed anew: the stored hash is foreign, of another cost than
/// configured, or cannot be read.
pub fn needs_rehash(hash: &str, cost: Cost) -> bool {
    PasswordHash::parse(hash).map_or(true, |hash| hash.is_foreign || hash.cost() != Some(cost))
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordHash").field("cost", &self.cost()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "scheme_tests.rs"]
mod tests;
