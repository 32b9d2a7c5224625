//! The attempt key: how a client says "this is the same refresh again".

use aws_lc_rs::digest;

use crate::ids::SessionRef;

/// What a client sends as `Idempotency-Key`: an unguessable value, fresh for each refresh and repeated only on
/// retries of that refresh. 22 to 255 visible ASCII characters (22 of base64url carry 128 bits).
#[derive(Clone, PartialEq, Eq)]
pub struct AttemptKey(String);

/// Eight bytes of a hash of the attempt key; never zero, which stands for "none" in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttemptHash([u8; 8]);

/// Not an attempt key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an attempt key has 22 to 255 visible ASCII characters")]
pub struct InvalidAttemptKey;

impl AttemptKey {
    /// Shortest key, in characters.
    pub const MIN_LEN: usize = 22;
    /// Longest key, in characters.
    pub const MAX_LEN: usize = 255;

    /// Takes the value of an `Idempotency-Key` header.
    ///
    /// # Errors
    /// If it is too short, too long, or not visible ASCII.
    pub fn parse(text: &str) -> Result<Self, InvalidAttemptKey> {
        let fits = (Self::MIN_LEN..=Self::MAX_LEN).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAttemptKey)
        }
    }

    /// The hash that a record keeps. It names the session too, so that equal keys of two sessions do not show.
    ///
    /// Not keyed: a record must recognise a retry after the master key was rotated, and the key itself is
    /// unguessable.
    pub fn hash(&self, session: SessionRef) -> AttemptHash {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"relatch attempt key v1");
        context.update(session.user.as_bytes());
        context.update(session.session.as_bytes());
        context.update(self.0.as_bytes());
        let digest = context.finish();
        let mut hash = [0; 8];
        for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        AttemptHash::from_bytes(hash).unwrap_or(AttemptHash([0xff; 8]))
    }
}

impl std::fmt::Debug for AttemptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AttemptKey(…)")
    }
}

impl AttemptHash {
    /// The hash with these bytes; nothing for eight zeros.
    pub fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// [`AttemptHash::from_bytes`] for constants in tests.
    #[cfg(test)]
    pub(crate) const fn constant(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The bytes as a record keeps them.
    pub const fn bytes(self) -> [u8; 8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{SessionId, UserId};

    fn session(byte: u8) -> SessionRef {
        SessionRef { user: UserId::from_bytes([1; 16]), session: SessionId::from_bytes([byte; 16]) }
    }

    #[test]
    fn hashes_differ_by_key_and_by_session() {
        let key = AttemptKey::parse("0123456789abcdefghijkl").unwrap();
        let other = AttemptKey::parse("0123456789abcdefghijkm").unwrap();
        assert_eq!(key.hash(session(1)), key.hash(session(1)));
        assert_ne!(key.hash(session(1)), key.hash(session(2)));
        assert_ne!(key.hash(session(1)), other.hash(session(1)));
    }

    #[test]
    fn refuses_short_long_and_unprintable_keys() {
        assert!(AttemptKey::parse(&"k".repeat(22)).is_ok());
        assert!(AttemptKey::parse(&"k".repeat(255)).is_ok());
        for wrong in ["k".repeat(21), "k".repeat(256), "k k".repeat(10), "é".repeat(22), String::new()] {
            assert_eq!(AttemptKey::parse(&wrong), Err(InvalidAttemptKey));
        }
    }

    #[test]
    fn a_key_never_shows_in_debug_output() {
        let key = AttemptKey::parse("0123456789abcdefghijkl").unwrap();
        assert_eq!(format!("{key:?}"), "AttemptKey(…)");
    }
}
