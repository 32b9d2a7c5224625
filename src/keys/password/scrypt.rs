//! scrypt hashes (RFC 7914), as other software has made them: passlib, Django, Werkzeug, and Firebase's variant of it.
//! Verified, never made.

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use scrypt::Params;
use zeroize::Zeroizing;

use super::pbkdf2::{as_text, hexadecimal, number};
use super::scheme::{OUTPUT_LENGTHS, SALT_LENGTHS, UnreadableHash};

/// The most memory that one may take, in bytes. Each hashing thread may take as much.
const MAX_MEMORY: u64 = 256 * 1024 * 1024;
/// The most memory times lanes, in bytes: some seconds of work.
const MAX_WORK: u64 = 1024 * 1024 * 1024;
/// The most lanes. They are computed one after the other.
const MAX_LANES: u64 = 16;
/// Bytes of the key under which Firebase encrypts the signer key.
const FIREBASE_KEY_LEN: usize = 32;

/// A stored scrypt hash, parsed.
pub(super) struct ScryptHash {
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
    /// Firebase: the project's key, of which the output is the encryption under the derived key.
    signer_key: Option<Zeroizing<Vec<u8>>>,
}

/// A hash's parameters as written: N, r and p of RFC 7914.
struct Cost {
    n: u64,
    r: u64,
    p: u64,
}

impl ScryptHash {
    /// Reads a hash; nothing if it is of another kind.
    ///
    /// # Errors
    /// If it is damaged, or takes more memory or time than we spend on anybody.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, UnreadableHash> {
        let parsed = if let Some(rest) = text.strip_prefix("$scrypt$") {
            Self::passlib(rest)
        } else if let Some(rest) = text.strip_prefix("$firescrypt$") {
            Self::firebase(rest)
        } else if let Some(rest) = text.strip_prefix("scrypt:") {
            Self::werkzeug(rest)
        } else if let Some(rest) = text.strip_prefix("scrypt$") {
            Self::django(rest)
        } else {
            return Ok(None);
        };
        parsed.map(Some)
    }

    /// `ln=16,r=8,p=1$salt$output`, both in Base64 without padding.
    fn passlib(rest: &str) -> Result<Self, UnreadableHash> {
        let [parameters, salt, output] = fields(rest, '$')?;
        let decoded = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| UnreadableHash::Malformed);
        Self::bounded(&Cost::named(parameters)?, decoded(salt)?, decoded(output)?, None)
    }

    /// `ln=14,r=8,p=1$salt$output$separator$signer key`, all in Base64: the form that Ory Kratos has given Firebase's hashes.
    /// What is derived is a key, under which the signer key is encrypted with AES-256 in counter mode.
    fn firebase(rest: &str) -> Result<Self, UnreadableHash> {
        let [parameters, salt, output, separator, signer_key] = fields(rest, '$')?;
        let decoded = |text: &str| STANDARD.decode(text).map_err(|_| UnreadableHash::Malformed);
        let salt = [decoded(salt)?, decoded(separator)?].concat();
        let (output, signer_key) = (decoded(output)?, Zeroizing::new(decoded(signer_key)?));
        if output.len() != signer_key.len() {
            return Err(UnreadableHash::Malformed);
        }
        Self::bounded(&Cost::named(parameters)?, salt, output, Some(signer_key))
    }

    /// `32768:8:1$salt$output`, the salt as it is and the output in hexadecimal digits.
    fn werkzeug(rest: &str) -> Result<Self, UnreadableHash> {
        let [parameters, salt, output] = fields(rest, '$')?;
        let [n, r, p] = fields(parameters, ':')?;
        let cost = Cost { n: number(n)?, r: number(r)?, p: number(p)? };
        let malformed = UnreadableHash::Malformed;
        Self::bounded(&cost, as_text(salt).ok_or(malformed)?, hexadecimal(output).ok_or(malformed)?, None)
    }

    /// `16384$salt$8$5$output`, the salt as it is and the output in Base64.
    fn django(rest: &str) -> Result<Self, UnreadableHash> {
        let [n, salt, r, p, output] = fields(rest, '$')?;
        let cost = Cost { n: number(n)?, r: number(r)?, p: number(p)? };
        let output = STANDARD.decode(output).map_err(|_| UnreadableHash::Malformed)?;
        Self::bounded(&cost, salt.as_bytes().to_vec(), output, None)
    }

    fn bounded(
        cost: &Cost,
        salt: Vec<u8>,
        output: Vec<u8>,
        signer_key: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Self, UnreadableHash> {
        if !SALT_LENGTHS.contains(&salt.len()) || !OUTPUT_LENGTHS.contains(&output.len()) {
            return Err(UnreadableHash::Length);
        }
        Ok(Self { params: cost.params()?, salt, output, signer_key })
    }

    /// Whether this is the password's hash. Compared in constant time.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let len = if self.signer_key.is_some() { FIREBASE_KEY_LEN } else { self.output.len() };
        let mut derived = Zeroizing::new(vec![0; len]);
        // The only error is that of a length that `bounded` has ruled out.
        if scrypt::scrypt(password, &self.salt, &self.params, &mut derived).is_err() {
            return false;
        }
        let output = match &self.signer_key {
            Some(signer_key) => encrypted(signer_key, &derived),
            None => Some(derived),
        };
        output.is_some_and(|output| verify_slices_are_equal(&output, &self.output).is_ok())
    }
}

impl Cost {
    /// `ln=16,r=8,p=1`, of which the first is the binary logarithm of N.
    fn named(text: &str) -> Result<Self, UnreadableHash> {
        let [ln, r, p] = fields(text, ',')?;
        let value = |text: &str, name| number(text.strip_prefix(name).ok_or(UnreadableHash::Malformed)?);
        let ln = u32::try_from(value(ln, "ln=")?).map_err(|_| UnreadableHash::ScryptCost)?;
        let n = 1_u64.checked_shl(ln).ok_or(UnreadableHash::ScryptCost)?;
        Ok(Self { n, r: value(r, "r=")?, p: value(p, "p=")? })
    }

    /// The parameters, if they are within the bounds.
    fn params(&self) -> Result<Params, UnreadableHash> {
        let Self { n, r, p } = *self;
        if n < 2 || !n.is_power_of_two() || r == 0 || p == 0 {
            return Err(UnreadableHash::Malformed);
        }
        let memory = n.saturating_mul(r).saturating_mul(128);
        if memory > MAX_MEMORY || p > MAX_LANES || memory.saturating_mul(p) > MAX_WORK {
            return Err(UnreadableHash::ScryptCost);
        }
        let log_n = u8::try_from(n.ilog2()).map_err(|_| UnreadableHash::ScryptCost)?;
        let small = |number| u32::try_from(number).map_err(|_| UnreadableHash::ScryptCost);
        Params::new(log_n, small(r)?, small(p)?).map_err(|_| UnreadableHash::Malformed)
    }
}

/// A text's parts, if there are so many.
fn fields<const COUNT: usize>(text: &str, separator: char) -> Result<[&str; COUNT], UnreadableHash> {
    let parts: Vec<_> = text.split(separator).take(COUNT + 1).collect();
    parts.try_into().map_err(|_| UnreadableHash::Malformed)
}

/// The signer key, encrypted with AES-256 in counter mode, which begins at zero.
fn encrypted(signer_key: &[u8], key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let key = EncryptingKey::ctr(UnboundCipherKey::new(&AES_256, key).ok()?).ok()?;
    let mut bytes = Zeroizing::new(signer_key.to_vec());
    // Each key is derived with a salt of its own and encrypts once.
    key.less_safe_encrypt(&mut bytes, EncryptionContext::Iv128(FixedLength::from([0; 16]))).ok()?;
    Some(bytes)
}
