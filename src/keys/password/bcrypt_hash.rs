//! Stored bcrypt hashes: plain ones, those over a digest of the password, and how ours are made.

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{NO_PAD, STANDARD};
use bcrypt::{BcryptError, HashParts, Version};
use relatch_domain::password_rules::Password;
use zeroize::Zeroizing;

use super::even::spend;
use super::scheme::{Cost, UnreadableHash};

/// bcrypt's own Base64 alphabet.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::BCRYPT, NO_PAD);

/// Prefix of passlib's scheme.
const PASSLIB_PREFIX: &str = "$bcrypt-sha256$";
/// Prefix of Django's `BCryptSHA256PasswordHasher`; a plain hash follows.
const DJANGO_SHA256_PREFIX: &str = "bcrypt_sha256$";
/// Prefix of Django's `BCryptPasswordHasher`; a plain hash follows.
const DJANGO_PREFIX: &str = "bcrypt$";

/// The longest password with a plain hash of ours, in bytes.
const MAX_PLAIN: usize = 71;

/// How many bytes of a password bcrypt reads.
pub(super) const MAX_READ: usize = 72;

/// What is done to a password before bcrypt gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// Nothing: `$2a$`, `$2b$`, `$2y$`. The three differ in bugs of old implementations only, none of which ours has.
    Plain { is_current: bool },
    /// SHA-256, without a key: passlib before 1.7.3. Verified, never made.
    PasslibV1,
    /// HMAC-SHA-256 keyed with the salt's text.
    PasslibV2,
    /// SHA-256 in hexadecimal digits: Django. Verified, never made.
    DjangoSha256,
}

/// A stored bcrypt hash, parsed.
pub(super) struct BcryptHash {
    scheme: Scheme,
    pub(super) cost: Cost,
    salt: String,
    /// The bcrypt part as a `$2b$` hash of 60 characters.
    bcrypt: Zeroizing<String>,
}

/// Makes the hash of a new password.
///
/// # Errors
/// None that is known: the library's own, should it ever refuse a cost and a length that it supports.
pub(super) fn make(password: &Password, cost: Cost, salt: [u8; 16]) -> Result<String, BcryptError> {
    if password.as_bytes().len() <= MAX_PLAIN {
        let parts = bcrypt::non_truncating_hash_with_salt(password.as_bytes(), cost.get(), salt)?;
        return Ok(parts.format_for_version(Version::TwoB));
    }
    let salt_text = BCRYPT_BASE64.encode(salt);
    let key = keyed_digest(password.as_bytes(), &salt_text);
    let parts = bcrypt::non_truncating_hash_with_salt(key.as_bytes(), cost.get(), salt)?;
    let whole = parts.format_for_version(Version::TwoB);
    let digest = whole.get(29..).unwrap_or_default();
    Ok(format!("{PASSLIB_PREFIX}v=2,t=2b,r={}${salt_text}${digest}", cost.get()))
}

impl BcryptHash {
    /// Reads a hash.
    ///
    /// # Errors
    /// If it is not one of bcrypt, is damaged, or has another cost than is supported.
    pub(super) fn parse(text: &str) -> Result<Self, UnreadableHash> {
        if let Some(rest) = text.strip_prefix(PASSLIB_PREFIX) {
            return Self::parse_passlib(rest);
        }
        if let Some(rest) = text.strip_prefix(DJANGO_SHA256_PREFIX) {
            return Self::parse_plain(rest, |_| Scheme::DjangoSha256);
        }
        if let Some(rest) = text.strip_prefix(DJANGO_PREFIX) {
            return Self::parse_plain(rest, |_| Scheme::Plain { is_current: false });
        }
        Self::parse_plain(text, |is_current| Scheme::Plain { is_current })
    }

    /// `$2b$12$` with salt and digest behind it. The scheme may depend on whether it is `$2b$`.
    fn parse_plain(text: &str, scheme: impl FnOnce(bool) -> Scheme) -> Result<Self, UnreadableHash> {
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
        Self::assemble(scheme(is_current), cost, salt, digest)
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

    /// Whether we make such hashes.
    pub(super) const fn is_ours(&self) -> bool {
        matches!(self.scheme, Scheme::Plain { is_current: true } | Scheme::PasslibV2)
    }

    /// Whether bcrypt gets the password itself.
    pub(super) const fn is_plain(&self) -> bool {
        matches!(self.scheme, Scheme::Plain { .. })
    }

    /// What such hashes are called.
    pub(super) const fn kind(&self) -> &'static str {
        if self.is_plain() { "bcrypt" } else { "bcrypt-sha256" }
    }

    /// Whether this is the hash of these bytes. Compared in constant time, and the work does not depend on the answer. Bytes that
    /// bcrypt would not read to their end are not the right ones: see [`super::PasswordHash::verify`].
    pub(super) fn verify(&self, bytes: &[u8]) -> bool {
        match self.scheme {
            Scheme::Plain { .. } if bytes.len() > MAX_READ => {
                spend(self.cost.get());
                false
            }
            Scheme::Plain { .. } => self.bcrypt_verifies(bytes),
            Scheme::PasslibV1 => self.bcrypt_verifies(unkeyed_digest(bytes).as_bytes()),
            Scheme::PasslibV2 => self.bcrypt_verifies(keyed_digest(bytes, &self.salt).as_bytes()),
            Scheme::DjangoSha256 => self.bcrypt_verifies(hexadecimal_digest(bytes).as_bytes()),
        }
    }

    fn bcrypt_verifies(&self, key: &[u8]) -> bool {
        // The only errors are those of a malformed hash, which `assemble` has ruled out.
        bcrypt::verify(key, &self.bcrypt).unwrap_or(false)
    }
}

/// passlib's second version: Base64 of HMAC-SHA-256 under the salt's text. 44 characters, so bcrypt reads it whole.
fn keyed_digest(password: &[u8], salt: &str) -> Zeroizing<String> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes());
    Zeroizing::new(STANDARD.encode(hmac::sign(&key, password)))
}

/// passlib's first version: Base64 of SHA-256.
fn unkeyed_digest(password: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(digest::digest(&digest::SHA256, password)))
}

/// Django's: SHA-256 in lower-case hexadecimal digits.
fn hexadecimal_digest(password: &[u8]) -> Zeroizing<String> {
    let digest = digest::digest(&digest::SHA256, password);
    let mut text = Zeroizing::new(String::with_capacity(64));
    for byte in digest.as_ref() {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
    }
    text
}
