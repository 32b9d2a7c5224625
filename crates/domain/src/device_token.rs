//! The device token: by it a device is known on which a user has signed in before. It is no credential; it gives the device a
//! budget of guesses of its own, so that strangers who guess at the account do not lock its owner out.
//!
//! `rld1_` and base64url without padding of 57 bytes, 81 characters in all:
//!
//! | offset | bytes | field |
//! | ---: | ---: | --- |
//! | 0 | 1 | id of the MAC key |
//! | 1 | 16 | user id |
//! | 17 | 16 | device id, random |
//! | 33 | 4 | time of issue, seconds since the Unix epoch |
//! | 37 | 20 | MAC: HMAC-SHA-256 over the prefix and all before, cut to 160 bits |
//!
//! Integers are big-endian. The prefix keeps it apart from a refresh token, whose MAC is made with the same keys.

use crate::base64url;
use crate::ids::{MacKeyId, UserId};
use crate::mac::{MAC_LEN, MacRing};
use crate::time::UnixSeconds;

/// How every device token begins.
pub const PREFIX: &str = "rld1_";
/// Length of every device token, in characters.
pub const TEXT_LEN: usize = PREFIX.len() + LEN / 3 * 4;

const SIGNED_LEN: usize = 37;
const LEN: usize = SIGNED_LEN + MAC_LEN;

/// What a genuine device token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceToken {
    /// Who signed in.
    pub user: UserId,
    /// On which device.
    pub device: [u8; 16],
    /// When it was issued.
    pub issued_at: UnixSeconds,
}

impl DeviceToken {
    /// Reads a token and checks its MAC. Nothing if it is not one of ours.
    pub fn open(text: &str, ring: &MacRing) -> Option<Self> {
        let bytes: [u8; LEN] = base64url::decode_exact(text.strip_prefix(PREFIX)?)?;
        let (key, rest) = bytes.split_first()?;
        let (user, rest) = rest.split_first_chunk()?;
        let (device, rest) = rest.split_first_chunk()?;
        let (issued_at, rest) = rest.split_first_chunk()?;
        let token = Self {
            user: UserId::from_bytes(*user),
            device: *device,
            issued_at: UnixSeconds(u32::from_be_bytes(*issued_at)),
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
            &self.device,
            &self.issued_at.0.to_be_bytes(),
        ];
        let mut bytes = [0; PREFIX.len() + SIGNED_LEN];
        bytes.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mac::MacKey;

    fn ring() -> MacRing {
        MacRing::new(MacKey::new(MacKeyId(9), &[42; 32]), vec![]).unwrap()
    }

    fn token() -> DeviceToken {
        DeviceToken {
            user: UserId::from_bytes([0x11; 16]),
            device: [0x22; 16],
            issued_at: UnixSeconds(1_700_000_000),
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_can_be_opened(user: [u8; 16], device: [u8; 16], issued_at: u32) {
            let token = DeviceToken { user: UserId::from_bytes(user), device, issued_at: UnixSeconds(issued_at) };
            let text = token.seal(&ring());
            prop_assert_eq!(text.len(), TEXT_LEN);
            prop_assert_eq!(DeviceToken::open(&text, &ring()), Some(token));
        }

        #[test]
        fn no_single_change_goes_unnoticed(position in 0..TEXT_LEN, replacement in 0x20_u8..0x7f) {
            let mut bytes = token().seal(&ring()).into_bytes();
            prop_assume!(bytes[position] != replacement);
            bytes[position] = replacement;
            prop_assert_eq!(DeviceToken::open(&String::from_utf8(bytes).unwrap(), &ring()), None);
        }

        #[test]
        fn whatever_comes_makes_nobody_panic(text in "(rld1_)?[A-Za-z0-9_-]{0,90}|.{0,20}") {
            prop_assert_eq!(DeviceToken::open(&text, &ring()), None);
        }
    }

    #[test]
    fn another_ring_does_not_know_it() {
        let other = MacRing::new(MacKey::new(MacKeyId(9), &[43; 32]), vec![]).unwrap();
        assert_eq!(DeviceToken::open(&token().seal(&ring()), &other), None);
    }
}
