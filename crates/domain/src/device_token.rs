//! The device token: by it a device is known on which a user has signed in before. It is no credential; it gives the device a
//! budget of guesses of its own, so that strangers who guess at the account do not lock its owner out.
//!
//! `rld1_`, 81 characters in all, in the form that [`named_token`] gives: the user, a random id of the device, the
//! time of issue.

use crate::ids::UserId;
use crate::mac::MacRing;
use crate::named_token::{self, NamedToken};
use crate::time::UnixSeconds;

/// How every device token begins.
pub const PREFIX: &str = "rld1_";
/// Length of every device token, in characters.
pub const TEXT_LEN: usize = named_token::TEXT_LEN;

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
        let NamedToken { user, besides: device, time: issued_at } = NamedToken::open(PREFIX, text, ring)?;
        Some(Self { user, device, issued_at })
    }

    /// The token's text under the key that mints.
    pub fn seal(&self, ring: &MacRing) -> String {
        let Self { user, device, issued_at } = *self;
        NamedToken { user, besides: device, time: issued_at }.seal(PREFIX, ring)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::MacKeyId;
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
