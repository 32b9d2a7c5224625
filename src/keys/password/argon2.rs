//! Argon2 hashes (RFC 9106), as other software has made them. Verified, never made: what is verified here once is bcrypt
//! from then on.

use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, Version};

use super::scheme::UnreadableHash;

/// How all of them begin: `$argon2d$`, `$argon2i$` and `$argon2id$`. Django writes `argon2` before that.
const PREFIX: &str = "$argon2";

/// The most memory that one may take, in KiB: four times what passlib and argon2-cffi choose. Each hashing thread may take as
/// much.
const MAX_MEMORY: u32 = 256 * 1024;
/// The most memory times passes, in KiB: some seconds of work.
const MAX_WORK: u64 = 1024 * 1024;
/// The most lanes. They are computed one after the other.
const MAX_LANES: u32 = 16;

/// A stored Argon2 hash, parsed.
pub(super) struct Argon2Hash(phc::PasswordHash);

impl Argon2Hash {
    /// Reads a hash in the PHC string format; nothing if it is of another kind.
    ///
    /// # Errors
    /// If it is damaged, or takes more memory or time than we spend on anybody.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, UnreadableHash> {
        let text = text.strip_prefix("argon2").filter(|rest| rest.starts_with(PREFIX)).unwrap_or(text);
        if !text.starts_with(PREFIX) {
            return Ok(None);
        }
        let hash = phc::PasswordHash::new(text).map_err(|_| UnreadableHash::Malformed)?;
        if Algorithm::try_from(hash.algorithm.as_str()).is_err() {
            return Err(UnreadableHash::Unsupported);
        }
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(UnreadableHash::Malformed);
        }
        if hash.version.is_some_and(|version| Version::try_from(version).is_err()) {
            return Err(UnreadableHash::Unsupported);
        }
        let params = Params::try_from(&hash).map_err(|_| UnreadableHash::Malformed)?;
        let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
        if params.m_cost() > MAX_MEMORY || work > MAX_WORK || params.p_cost() > MAX_LANES {
            return Err(UnreadableHash::Argon2Cost);
        }
        Ok(Some(Self(hash)))
    }

    /// Whether this is the password's hash. Compared in constant time.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        // Algorithm, version and parameters are those of the hash.
        Argon2::default().verify_password(password, &self.0).is_ok()
    }
}
