//! The token of a password reset, which an administrator hands to a user who has lost the password: whoever has it may set a
//! new one, once.
//!
//! `rlp1_` and base64url without padding of 57 bytes, 81 characters in all:
//!
//! | offset | bytes | field |
//! | ---: | ---: | --- |
//! | 0 | 1 | id of the MAC key |
//! | 1 | 16 | user id |
//! | 17 | 16 | SHA-256 of the hash of the password that it replaces, cut to 128 bits |
//! | 33 | 4 | when it expires, seconds since the Unix epoch |
//! | 37 | 20 | MAC: HMAC-SHA-256 over the prefix and all before, cut to 160 bits |
//!
//! Integers are big-endian. Nothing is stored of it: it is good as long as the hash is the one that it names, so it can be used
//! once, and every other change of the password voids it. Hashes are salted: from what stands here no password can be tried.
//! The prefix keeps it apart from other tokens whose MACs are made with the same keys.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;

use crate::base64url;
use crate::ids::{MacKeyId, UserId};
use crate::mac::{MAC_LEN, MacRing};
use crate::time::UnixSeconds;

/// How every reset token begins.
pub const PREFIX: &str = "rlp1_";
/// Length of every reset token, in characters.
pub const TEXT_LEN: usize = PREFIX.len() + LEN / 3 * 4;

const SIGNED_LEN: usize = 37;
const LEN: usize = SIGNED_LEN + MAC_LEN;

/// What a genuine reset token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResetToken {
    /// Whose password may be set.
    pub user: UserId,
    /// Until when.
    pub expires_at: UnixSeconds,
    replaces: [u8; 16],
}

impl ResetToken {
    /// A token for the user with this hash; `None` stands for a user without a password.
    pub fn replacing(hash: Option<&str>, user: UserId, expires_at: UnixSeconds) -> Self {
        Self { user, expires_at, replaces: digest_of(hash) }
    }

    /// Whether this is the hash that it replaces.
    pub fn replaces(&self, hash: Option<&str>) -> bool {
        verify_slices_are_equal(&self.replaces, &digest_of(hash)).is_ok()
    }

    /// Reads a token and checks its MAC. Nothing if it is not one of ours.
    pub fn open(text: &str, ring: &MacRing) -> Option<Self> {
        let bytes: [u8; LEN] = base64url::decode_exact(text.strip_prefix(PREFIX)?)?;
        let (key, rest) = bytes.split_first()?;
        let (user, rest) = rest.split_first_chunk()?;
        let (replaces, rest) = rest.split_first_chunk()?;
        let (expires_at, rest) = rest.split_first_chunk()?;
        let token = Self {
            user: UserId::from_bytes(*user),
            replaces: *replaces,
            expires_at: UnixSeconds(u32::from_be_bytes(*expires_at)),
        };
        let key = MacKeyId(*key);
        ring.verify(key, &token.signed_bytes(key), rest.first_chunk()?).then_some(token)
    }

    /// The token's text under the key that mints, which the ring always has.
    pub fn seal(&self, ring: &MacRing) -> String {
        let key = ring.minting_id();
        let signed = self.signed_bytes(key);
        let mac = ring.sign(key, &signed).unwrap_or_default();
        let body: Vec<u8> = signed.iter().skip(PREFIX.len()).chain(&mac).copied().collect();
        format!("{PREFIX}{}", base64url::encode(&body))
    }

    fn signed_bytes(&self, key: MacKeyId) -> [u8; PREFIX.len() + SIGNED_LEN] {
        let parts: [&[u8]; 5] = [
            PREFIX.as_bytes(),
            &[key.0],
            self.user.as_bytes(),
            &self.replaces,
            &self.expires_at.0.to_be_bytes(),
        ];
        let mut bytes = [0; PREFIX.len() + SIGNED_LEN];
        bytes.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        bytes
    }
}

fn digest_of(hash: Option<&str>) -> [u8; 16] {
    let digest = digest::digest(&digest::SHA256, hash.unwrap_or_default().as_bytes());
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::device_token::DeviceToken;
    use crate::mac::MacKey;

    fn ring() -> MacRing {
        MacRing::new(MacKey::new(MacKeyId(9), &[42; 32]), vec![]).unwrap()
    }

    fn token() -> ResetToken {
        ResetToken::replacing(Some("$2b$12$hash"), UserId::from_bytes([0x11; 16]), UnixSeconds(1_700_000_000))
    }

    proptest! {
        #[test]
        fn what_is_sealed_can_be_opened(user: [u8; 16], hash: Option<String>, other: Option<String>, expires_at: u32) {
            let token = ResetToken::replacing(hash.as_deref(), UserId::from_bytes(user), UnixSeconds(expires_at));
            let text = token.seal(&ring());
            prop_assert_eq!(text.len(), TEXT_LEN);
            let opened = ResetToken::open(&text, &ring()).unwrap();
            prop_assert_eq!(opened, token);
            prop_assert!(opened.replaces(hash.as_deref()));
            let same = hash.unwrap_or_default() == other.clone().unwrap_or_default();
            prop_assert_eq!(opened.replaces(other.as_deref()), same);
        }

        #[test]
        fn no_single_change_goes_unnoticed(position in 0..TEXT_LEN, replacement in 0x20_u8..0x7f) {
            let mut bytes = token().seal(&ring()).into_bytes();
            prop_assume!(bytes[position] != replacement);
            bytes[position] = replacement;
            prop_assert_eq!(ResetToken::open(&String::from_utf8(bytes).unwrap(), &ring()), None);
        }

        #[test]
        fn whatever_comes_makes_nobody_panic(text in "(rlp1_)?[A-Za-z0-9_-]{0,90}|.{0,20}") {
            prop_assert_eq!(ResetToken::open(&text, &ring()), None);
        }
    }

    #[test]
    fn a_device_token_under_another_prefix_is_none() {
        let device =
            DeviceToken { user: UserId::from_bytes([1; 16]), device: [2; 16], issued_at: UnixSeconds(3) };
        let text = device.seal(&ring()).replacen("rld1_", PREFIX, 1);
        assert_eq!(text.len(), TEXT_LEN);
        assert_eq!(ResetToken::open(&text, &ring()), None);
    }
}
