//! The keys under which refresh tokens are authenticated.

use aws_lc_rs::hmac;

use crate::ids::MacKeyId;

/// Bytes of the MAC that a token carries: 160 bits of HMAC-SHA-256 (RFC 2104, section 5, allows truncation).
pub const MAC_LEN: usize = 20;

/// One key, and the id by which tokens name it.
pub struct MacKey {
    id: MacKeyId,
    key: hmac::Key,
}

impl MacKey {
    /// A key from 32 secret bytes that serve no other purpose.
    pub fn new(id: MacKeyId, secret: &[u8; 32]) -> Self {
        Self { id, key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }
}

impl std::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MacKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The key that makes new tokens, and the older ones that still verify.
#[derive(Debug)]
pub struct MacRing {
    minting: MacKey,
    previous: Vec<MacKey>,
}

/// Two keys of one ring answer to the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("two keys have the id {}", .0.0)]
pub struct AmbiguousKeyId(pub MacKeyId);

impl MacRing {
    /// A ring that mints under `minting` and verifies under all.
    ///
    /// # Errors
    /// If two keys have one id: a token names its key by id alone.
    pub fn new(minting: MacKey, previous: Vec<MacKey>) -> Result<Self, AmbiguousKeyId> {
        let mut seen = vec![minting.id];
        for key in &previous {
            if seen.contains(&key.id) {
                return Err(AmbiguousKeyId(key.id));
            }
            seen.push(key.id);
        }
        Ok(Self { minting, previous })
    }

    /// The id of the key that makes new tokens.
    pub const fn minting_id(&self) -> MacKeyId {
        self.minting.id
    }

    /// The MAC of `message`, or nothing if the ring has no such key.
    pub(crate) fn sign(&self, id: MacKeyId, message: &[u8]) -> Option<[u8; MAC_LEN]> {
        let tag = hmac::sign(&self.find(id)?.key, message);
        tag.as_ref().first_chunk().copied()
    }

    /// Whether `mac` is the MAC of `message`, compared in constant time.
    pub(crate) fn verify(&self, id: MacKeyId, message: &[u8], mac: &[u8; MAC_LEN]) -> bool {
        self.sign(id, message)
            .is_some_and(|right| aws_lc_rs::constant_time::verify_slices_are_equal(&right, mac).is_ok())
    }

    fn find(&self, id: MacKeyId) -> Option<&MacKey> {
        std::iter::once(&self.minting).chain(&self.previous).find(|key| key.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u8, secret: u8) -> MacKey {
        MacKey::new(MacKeyId(id), &[secret; 32])
    }

    #[test]
    fn older_keys_verify_and_unknown_ones_do_not() {
        let old = MacRing::new(key(1, 1), vec![]).unwrap();
        let new = MacRing::new(key(2, 2), vec![key(1, 1)]).unwrap();
        let mac = old.sign(MacKeyId(1), b"message").unwrap();
        assert!(new.verify(MacKeyId(1), b"message", &mac));
        assert!(!new.verify(MacKeyId(2), b"message", &mac));
        assert!(!new.verify(MacKeyId(3), b"message", &mac));
        assert!(!new.verify(MacKeyId(1), b"massage", &mac));
    }

    #[test]
    fn two_keys_with_one_id_are_refused() {
        let ring = MacRing::new(key(1, 1), vec![key(2, 2), key(2, 3)]);
        assert_eq!(ring.err(), Some(AmbiguousKeyId(MacKeyId(2))));
    }

    #[test]
    fn a_key_never_shows_in_debug_output() {
        let ring = MacRing::new(key(7, 250), vec![]).unwrap();
        assert!(!format!("{ring:?}").contains("250"));
    }
}
