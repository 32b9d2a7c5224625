//! What small tokens have in common that name a user, sixteen more bytes and a time under a MAC.
//!
//! A prefix and base64url without padding of 57 bytes:
//!
//! | offset | bytes | field |
//! | ---: | ---: | --- |
//! | 0 | 1 | id of the MAC key |
//! | 1 | 16 | user id |
//! | 17 | 16 | what the kind of token has besides |
//! | 33 | 4 | a time, seconds since the Unix epoch |
//! | 37 | 20 | MAC: HMAC-SHA-256 over the prefix and all before, cut to 160 bits |
//!
//! Integers are big-endian. The prefix keeps each kind apart from the others, whose MACs are made with the same keys.

use crate::base64url;
use crate::bytes::fill;
use crate::ids::{MacKeyId, UserId};
use crate::mac::{MAC_LEN, MacRing};
use crate::time::UnixSeconds;

/// Length of a prefix, in characters.
pub(crate) const PREFIX_LEN: usize = 5;
/// Length of every such token, in characters.
pub(crate) const TEXT_LEN: usize = PREFIX_LEN + LEN / 3 * 4;

const SIGNED_LEN: usize = 37;
const LEN: usize = SIGNED_LEN + MAC_LEN;

/// What a genuine token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NamedToken {
    pub(crate) user: UserId,
    pub(crate) besides: [u8; 16],
    pub(crate) time: UnixSeconds,
}

impl NamedToken {
    /// Reads a token with this prefix and checks its MAC. Nothing if it is not one of ours.
    pub(crate) fn open(prefix: &str, text: &str, ring: &MacRing) -> Option<Self> {
        let bytes: [u8; LEN] = base64url::decode_exact(text.strip_prefix(prefix)?)?;
        let (key, rest) = bytes.split_first()?;
        let (user, rest) = rest.split_first_chunk()?;
        let (besides, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (user, time) = (UserId::from_bytes(*user), UnixSeconds(u32::from_be_bytes(*time)));
        let token = Self { user, besides: *besides, time };
        let key = MacKeyId(*key);
        ring.verify(key, &token.signed_bytes(prefix, key), rest.first_chunk()?).then_some(token)
    }

    /// The token's text under the key that mints, which the ring always has.
    pub(crate) fn seal(&self, prefix: &str, ring: &MacRing) -> String {
        let key = ring.minting_id();
        let signed = self.signed_bytes(prefix, key);
        let mac = ring.sign(key, &signed).unwrap_or_default();
        let body: Vec<u8> = signed.iter().skip(PREFIX_LEN).chain(&mac).copied().collect();
        format!("{prefix}{}", base64url::encode(&body))
    }

    fn signed_bytes(&self, prefix: &str, key: MacKeyId) -> [u8; PREFIX_LEN + SIGNED_LEN] {
        let parts: [&[u8]; 5] =
            [prefix.as_bytes(), &[key.0], self.user.as_bytes(), &self.besides, &self.time.0.to_be_bytes()];
        let mut bytes = [0; PREFIX_LEN + SIGNED_LEN];
        fill(&mut bytes, &parts);
        bytes
    }
}
