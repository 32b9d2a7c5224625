//! The forms of a password's hash.
//!
//! bcrypt reads at most 72 bytes and its string ends with a NUL, so 71 bytes are what it hashes whole. Those
//! passwords get a plain `$2b$` hash. Longer ones get passlib's published `$bcrypt-sha256$v=2`: HMAC-SHA-256 of the
//! password keyed with the salt's text, Base64, then bcrypt with the same salt. Other software can verify both.

use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{NO_PAD, STANDARD};
use bcrypt::{BcryptError, HashParts, Version};
use relatch_domain::password_rules::Password;
use rustix::time::{ClockId, clock_gettime};
use zeroize::Zeroizing;

use super::argon2::{self, Argon2Hash};

/// bcrypt's own Base64 alphabet.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::BCRYPT, NO_PAD);

/// Prefix of passlib's scheme.
const PASSLIB_PREFIX: &str = "$bcrypt-sha256$";

/// The longest password with a plain hash of ours, in bytes.
const MAX_PLAIN: usize = 71;

/// How many bytes of a password bcrypt reads.
const MAX_READ: usize = 72;

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
        "the stored password hash is of a kind that is not supported ($2a$, $2b$, $2y$, $bcrypt-sha256$, $argon2id$, $argon2i$, $argon2d$ are)"
    )]
    Unsupported,
    /// Takes more work than we do for anybody, or less than bcrypt has.
    #[error("the stored password hash has cost {0}; {min} to {max} are supported", min = Cost::MIN.0, max = Cost::MAX.0)]
    Cost(u32),
    /// Takes more memory or time than we spend on anybody.
    #[error("the stored Argon2 hash takes more than is supported (256 MiB, 1 GiB over all passes, 16 lanes)")]
    Argon2Cost,
}

/// What is done to a password before bcrypt gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// Nothing: `$2a$`, `$2b$`, `$2y$`. The three differ in bugs of old implementations only, none of which ours has.
    Plain { is_current: bool },
    /// SHA-256, without a key: passlib before 1.7.3. Verified, never made.
    PasslibV1,
    /// HMAC-SHA-256 keyed with the salt's text.
    PasslibV2,
}

/// A stored hash, parsed.
pub struct PasswordHash(Kind);

enum Kind {
    Bcrypt(BcryptHash),
    Argon2(Box<Argon2Hash>),
}

impl PasswordHash {
    /// Reads a stored hash.
    ///
    /// # Errors
    /// If no password can be checked against it.
    pub fn parse(text: &str) -> Result<Self, UnreadableHash> {
        if text.starts_with(argon2::PREFIX) {
            return Ok(Self(Kind::Argon2(Box::new(Argon2Hash::parse(text)?))));
        }
        Ok(Self(Kind::Bcrypt(BcryptHash::parse(text)?)))
    }

    /// Makes the hash of a new password.
    ///
    /// # Errors
    /// None that is known: the library's own, should it ever refuse a cost and a length that it supports.
    pub fn make(password: &Password, cost: Cost, salt: [u8; 16]) -> Result<String, BcryptError> {
        if password.as_bytes().len() <= MAX_PLAIN {
            let parts = bcrypt::non_truncating_hash_with_salt(password.as_bytes(), cost.get(), salt)?;
            return Ok(parts.format_for_version(Version::TwoB));
        }
        let salt_text = BCRYPT_BASE64.encode(salt);
        let key = keyed_digest(password, &salt_text);
        let parts = bcrypt::non_truncating_hash_with_salt(key.as_bytes(), cost.get(), salt)?;
        let whole = parts.format_for_version(Version::TwoB);
        let digest = whole.get(29..).unwrap_or_default();
        Ok(format!("{PASSLIB_PREFIX}v=2,t=2b,r={}${salt_text}${digest}", cost.get()))
    }

    /// Whether this is the password's hash. Compared in constant time, and the work does not depend on the answer.
    ///
    /// A password that bcrypt would not read to its end is never the right one for a plain hash, whatever software
    /// made that: accepting its first 72 bytes would be truncation (ASVS 6.2.8).
    pub fn verify(&self, password: &Password) -> bool {
        match &self.0 {
            Kind::Bcrypt(hash) => hash.verify(password),
            Kind::Argon2(hash) => hash.verify(password),
        }
    }

    /// bcrypt's cost, if it is a hash of bcrypt.
    pub const fn cost(&self) -> Option<Cost> {
        match &self.0 {
            Kind::Bcrypt(hash) => Some(hash.cost),
            Kind::Argon2(_) => None,
        }
    }
}

struct BcryptHash {
    scheme: Scheme,
    cost: Cost,
    salt: String,
    /// The bcrypt part as a `$2b$` hash of 60 characters.
    bcrypt: Zeroizing<String>,
}

impl BcryptHash {
    fn parse(text: &str) -> Result<Self, UnreadableHash> {
        if let Some(rest) = text.strip_prefix(PASSLIB_PREFIX) {
            return Self::parse_passlib(rest);
        }
        let is_current = text.starts_with("$2b$");
        if !is_current && !text.starts_with("$2a$") && !text.starts_with("$2y$") {
            return Err(UnreadableHash::Unsupported);
        }
        let (cost, parts) = text
            .get(4..)
            .and_then(|rest| rest.split_once('$'))
            .filter(|(cost, parts)| cost.len() == 2 && parts.len() == 53)
            .ok_or(UnreadableHash::Malformed)?;
        let (salt, digest) = parts.split_at_checked(22).ok_or(UnreadableHash::Malformed)?;
        Self::assemble(Scheme::Plain { is_current }, cost, salt, digest)
    }

    /// `v=2,t=2b,r=12$salt$digest`, or version 1: `2b,12$salt$digest`.
    fn parse_passlib(rest: &str) -> Result<Self, UnreadableHash> {
        let mut fields = rest.split('$');
        let (Some(parameters), Some(salt), Some(digest), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(UnreadableHash::Malformed);
        };
        let (scheme, cost) = if let Some(cost) = parameters.strip_prefix("v=2,t=2b,r=") {
            (Scheme::PasslibV2, cost)
        } else if parameters.starts_with("v=") {
            return Err(UnreadableHash::Unsupported);
        } else {
            let cost = parameters.strip_prefix("2a,").or_else(|| parameters.strip_prefix("2b,"));
            (Scheme::PasslibV1, cost.ok_or(UnreadableHash::Malformed)?)
        };
        Self::assemble(scheme, cost, salt, digest)
    }

    fn assemble(scheme: Scheme, cost: &str, salt: &str, digest: &str) -> Result<Self, UnreadableHash> {
        let is_number = (1..=2).contains(&cost.len()) && cost.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || salt.len() != 22 || digest.len() != 31 {
            return Err(UnreadableHash::Malformed);
        }
        let cost: u32 = cost.parse().map_err(|_| UnreadableHash::Malformed)?;
        let bcrypt = Zeroizing::new(format!("$2b${cost:02}${salt}{digest}"));
        bcrypt.parse::<HashParts>().map_err(|_| UnreadableHash::Malformed)?;
        let cost = Cost::new(cost).ok_or(UnreadableHash::Cost(cost))?;
        Ok(Self { scheme, cost, salt: salt.to_owned(), bcrypt })
    }

    fn verify(&self, password: &Password) -> bool {
        let bytes = password.as_bytes();
        match self.scheme {
            Scheme::Plain { .. } if bytes.len() > MAX_READ => {
                spend(self.cost.get());
                false
            }
            Scheme::Plain { .. } => self.bcrypt_verifies(bytes),
            Scheme::PasslibV1 => self.bcrypt_verifies(unkeyed_digest(password).as_bytes()),
            Scheme::PasslibV2 => self.bcrypt_verifies(keyed_digest(password, &self.salt).as_bytes()),
        }
    }

    fn bcrypt_verifies(&self, key: &[u8]) -> bool {
        // The only errors are those of a malformed hash, which `assemble` has ruled out.
        bcrypt::verify(key, &self.bcrypt).unwrap_or(false)
    }
}

/// Whether a password that has just been verified should be hashed anew: the stored hash is of an older scheme or of
/// another cost than configured, or cannot be read.
pub fn needs_rehash(hash: &str, cost: Cost) -> bool {
    let Ok(PasswordHash(Kind::Bcrypt(hash))) = PasswordHash::parse(hash) else { return true };
    let is_current = matches!(hash.scheme, Scheme::Plain { is_current: true } | Scheme::PasslibV2);
    !is_current || hash.cost != cost
}

/// Verifies a password so that a refusal takes the work of `cost`, whether there is a hash or not, and whatever cost
/// lower than that it has (ASVS 6.3.8). Only a hash that takes longer shows, until its user signs in and it is made anew.
///
/// # Errors
/// If the hash cannot be read.
pub fn verify_evenly(password: &Password, hash: Option<&str>, cost: Cost) -> Result<bool, UnreadableHash> {
    let parsed = hash.map(PasswordHash::parse).transpose();
    let Ok(Some(parsed)) = parsed else {
        spend(cost.get());
        return parsed.map(|_| false);
    };
    let begun = thread_time();
    let verified = parsed.verify(password);
    if !verified {
        match parsed.cost() {
            // 2^c + 2^c + 2^(c+1) + … + 2^(C-1) = 2^C
            Some(own) => (own.get()..cost.get()).for_each(spend),
            None => fill_up(cost.get(), begun),
        }
    }
    Ok(verified)
}

/// Adds work of bcrypt to what this thread has done since it had computed for `begun`, until it is as much as `cost` is, to
/// within a sixteenth. How much that is shows the first part of it. Counted is the thread's own time: how long it had
/// to wait for a processor says nothing about the work.
fn fill_up(cost: u32, begun: Duration) {
    let sixteenth = cost.saturating_sub(4).max(Cost::MIN.get());
    let before = thread_time();
    spend(sixteenth);
    let part = thread_time().saturating_sub(before);
    let whole = part * (1 << (cost - sixteenth));
    while thread_time().saturating_sub(begun) + part <= whole {
        spend(sixteenth);
    }
}

/// How long this thread has computed.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Does the work of one hash, for nobody.
fn spend(cost: u32) {
    std::hint::black_box(bcrypt::bcrypt(cost, [0; 16], b"nobody's password"));
}

/// passlib's second version: Base64 of HMAC-SHA-256 under the salt's text. 44 characters, so bcrypt reads it whole.
fn keyed_digest(password: &Password, salt: &str) -> Zeroizing<String> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes());
    Zeroizing::new(STANDARD.encode(hmac::sign(&key, password.as_bytes())))
}

/// passlib's first version: Base64 of SHA-256.
fn unkeyed_digest(password: &Password) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(digest::digest(&digest::SHA256, password.as_bytes())))
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordHash").field("cost", &self.cost()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "scheme_tests.rs"]
mod tests;
