//! PBKDF2 hashes (RFC 8018, section 5.2), as other software has made them: passlib, Django, Werkzeug, and ASP.NET Core Identity.
//! Verified, never made.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::scheme::{OUTPUT_LENGTHS, SALT_LENGTHS, UnreadableHash};

/// The most rounds over all blocks of output. Django 6.0 takes 1,200,000, and OWASP names 1,400,000 for SHA-1.
const MAX_ROUNDS: u64 = 5_000_000;

/// A stored PBKDF2 hash, parsed.
pub(super) struct Pbkdf2Hash {
    function: Function,
    rounds: NonZeroU32,
    salt: Vec<u8>,
    output: Vec<u8>,
}

/// The hash function below HMAC.
#[derive(Clone, Copy)]
enum Function {
    Sha1,
    Sha256,
    Sha512,
}

impl Function {
    fn named(name: &str) -> Result<Self, UnreadableHash> {
        match name {
            "sha1" => Ok(Self::Sha1),
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(UnreadableHash::Unsupported),
        }
    }

    const fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl Pbkdf2Hash {
    /// Reads a hash; nothing if it is of another kind.
    ///
    /// # Errors
    /// If it is damaged, or takes more time than we spend on anybody.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, UnreadableHash> {
        let parsed = if let Some(rest) = text.strip_prefix("$pbkdf2-") {
            Self::passlib(rest)
        } else if let Some(rest) = text.strip_prefix("$pbkdf2$") {
            Self::with_fields("sha1", rest, passlib_base64, passlib_base64)
        } else if let Some(rest) = text.strip_prefix("pbkdf2_") {
            let (function, rest) = rest.split_once('$').ok_or(UnreadableHash::Malformed)?;
            Self::with_fields(function, rest, as_text, |text| STANDARD.decode(text).ok())
        } else if let Some(rest) = text.strip_prefix("pbkdf2:") {
            let (function, rest) = rest.split_once(':').ok_or(UnreadableHash::Malformed)?;
            Self::with_fields(function, rest, as_text, hexadecimal)
        } else if text.starts_with("AA") || text.starts_with("AQ") {
            Self::identity(&STANDARD.decode(text).map_err(|_| UnreadableHash::Malformed)?)
        } else {
            return Ok(None);
        };
        parsed.map(Some)
    }

    /// `sha256$29000$salt$output` of `$pbkdf2-sha256$…`.
    fn passlib(rest: &str) -> Result<Self, UnreadableHash> {
        let (function, rest) = rest.split_once('$').ok_or(UnreadableHash::Malformed)?;
        if function == "sha1" {
            return Err(UnreadableHash::Unsupported);
        }
        Self::with_fields(function, rest, passlib_base64, passlib_base64)
    }

    /// `rounds$salt$output`.
    fn with_fields(
        function: &str,
        fields: &str,
        salt_of: impl FnOnce(&str) -> Option<Vec<u8>>,
        output_of: impl FnOnce(&str) -> Option<Vec<u8>>,
    ) -> Result<Self, UnreadableHash> {
        let function = Function::named(function)?;
        let mut fields = fields.split('$');
        let (Some(rounds), Some(salt), Some(output), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(UnreadableHash::Malformed);
        };
        let salt = salt_of(salt).ok_or(UnreadableHash::Malformed)?;
        let output = output_of(output).ok_or(UnreadableHash::Malformed)?;
        Self::bounded(function, number(rounds)?, salt, output)
    }

    /// What `PasswordHasher<TUser>` writes: a zero, 16 bytes of salt, 32 of output (version 2); or a one and, of four bytes each
    /// with the highest first, function, rounds and length of the salt, then salt and output (version 3).
    fn identity(bytes: &[u8]) -> Result<Self, UnreadableHash> {
        match bytes.split_first() {
            Some((0, rest)) if rest.len() == 48 => {
                let (salt, output) = rest.split_at(16);
                Self::bounded(Function::Sha1, 1000, salt.to_vec(), output.to_vec())
            }
            Some((1, rest)) => {
                let (function, rest) = first_number(rest)?;
                let (rounds, rest) = first_number(rest)?;
                let (salt_len, rest) = first_number(rest)?;
                let function = match function {
                    0 => Function::Sha1,
                    1 => Function::Sha256,
                    2 => Function::Sha512,
                    _ => return Err(UnreadableHash::Unsupported),
                };
                let salt_len = usize::try_from(salt_len).map_err(|_| UnreadableHash::Malformed)?;
                let (salt, output) = rest.split_at_checked(salt_len).ok_or(UnreadableHash::Malformed)?;
                Self::bounded(function, rounds.into(), salt.to_vec(), output.to_vec())
            }
            _ => Err(UnreadableHash::Malformed),
        }
    }

    fn bounded(
        function: Function,
        rounds: u64,
        salt: Vec<u8>,
        output: Vec<u8>,
    ) -> Result<Self, UnreadableHash> {
        if !SALT_LENGTHS.contains(&salt.len()) || !OUTPUT_LENGTHS.contains(&output.len()) {
            return Err(UnreadableHash::Length);
        }
        let blocks = output.len().div_ceil(function.output_len()) as u64;
        if rounds.saturating_mul(blocks) > MAX_ROUNDS {
            return Err(UnreadableHash::Pbkdf2Cost);
        }
        let rounds = u32::try_from(rounds).ok().and_then(NonZeroU32::new).ok_or(UnreadableHash::Malformed)?;
        Ok(Self { function, rounds, salt, output })
    }

    /// Whether this is the password's hash. Compared in constant time.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let algorithm = match self.function {
            Function::Sha1 => PBKDF2_HMAC_SHA1,
            Function::Sha256 => PBKDF2_HMAC_SHA256,
            Function::Sha512 => PBKDF2_HMAC_SHA512,
        };
        pbkdf2::verify(algorithm, self.rounds, &self.salt, password, &self.output).is_ok()
    }
}

fn first_number(bytes: &[u8]) -> Result<(u32, &[u8]), UnreadableHash> {
    let (number, rest) = bytes.split_first_chunk().ok_or(UnreadableHash::Malformed)?;
    Ok((u32::from_be_bytes(*number), rest))
}

/// A decimal number without a sign.
pub(super) fn number(text: &str) -> Result<u64, UnreadableHash> {
    let is_number = (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).ok_or(UnreadableHash::Malformed)
}

/// A salt that is used as it is written.
#[expect(clippy::unnecessary_wraps, reason = "one of several readers of a salt")]
pub(super) fn as_text(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

/// passlib's Base64: a full stop for the plus sign, and no padding.
fn passlib_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text.replace('.', "+")).ok()
}

/// Pairs of hexadecimal digits.
pub(super) fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}
