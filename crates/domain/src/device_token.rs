//! The device token: by it a device is known on which a user has signed in before. It is no credential; it gives the device a
//! budget of guesses of its own, so that strangers who guess at the account do not lock its owner out. It counts as long as
//! the password that it was issued for is the user's.
//!
//! `rld1_`, 81 characters in all, in the form that [`named_token`] gives: the user, a random id of the device (12
//! bytes) and the number of the password (4 bytes, big-endian), the time of issue.

use crate::bytes::fill;
use crate::ids::UserId;
use crate::mac::MacRing;
use crate::named_token::{self, NamedToken};
use crate::time::UnixSeconds;

/// How every device token begins.
pub const PREFIX: &str = "rld1_";
/// Length of every device token, in characters.
pub const TEXT_LEN: usize = named_token::TEXT_LEN;

/// Length of the id of a device, in bytes.
pub const DEVICE_LEN: usize = 12;

/// Which of a user's passwords: another number after each change.
///
/// It counts on from the second in which the user was created. So a user who is created again under an id that was deleted does
/// not get the numbers of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordNumber(u32);

impl PasswordNumber {
    /// The number of the password that a user has after so many changes.
    pub const fn after(created_at: UnixSeconds, changes: u32) -> Self {
        Self(created_at.0.wrapping_add(changes))
    }

    /// The number as 4 bytes, big-endian.
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

/// What a genuine device token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceToken {
    /// Who signed in.
    pub user: UserId,
    /// On which device.
    pub device: [u8; DEVICE_LEN],
    /// By which of the user's passwords.
    pub password: PasswordNumber,
    /// When it was issued.
    pub issued_at: UnixSeconds,
}

impl DeviceToken {
    /// Reads a token and checks its MAC. Nothing if it is not one of ours.
    pub fn open(text: &str, ring: &MacRing) -> Option<Self> {
        let NamedToken { user, besides, time: issued_at } = NamedToken::open(PREFIX, text, ring)?;
        let (device, rest) = besides.split_first_chunk()?;
        let password = PasswordNumber(u32::from_be_bytes(*rest.first_chunk()?));
        Some(Self { user, device: *device, password, issued_at })
    }

    /// The token's text under the key that mints.
    pub fn seal(&self, ring: &MacRing) -> String {
        let Self { user, device, password, issued_at } = *self;
        let mut besides = [0; 16];
        fill(&mut besides, &[&device, &password.to_bytes()]);
        NamedToken { user, besides, time: issued_at }.seal(PREFIX, ring)
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
            device: [0x22; DEVICE_LEN],
            password: PasswordNumber(0x3333_3333),
            issued_at: UnixSeconds(1_700_000_000),
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_can_be_opened(user: [u8; 16], device: [u8; DEVICE_LEN], password: u32, issued_at: u32) {
            let (user, password) = (UserId::from_bytes(user), PasswordNumber(password));
            let token = DeviceToken { user, device, password, issued_at: UnixSeconds(issued_at) };
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
        fn another_password_makes_another_token(password: u32, other: u32) {
            let text = |number| DeviceToken { password: PasswordNumber(number), ..token() }.seal(&ring());
            prop_assert_eq!(text(password) == text(other), password == other);
        }

        #[test]
        fn each_change_gives_a_number_that_was_never_before(created_at: u32, changes in 0_u32..1000, more in 1_u32..1000) {
            let number = |changes| PasswordNumber::after(UnixSeconds(created_at), changes);
            prop_assert_ne!(number(changes), number(changes + more));
            // The same id again, not before all these changes can have been made.
            let again = PasswordNumber::after(UnixSeconds(created_at.wrapping_add(1000)), changes);
            prop_assert!((0..1000).all(|before| number(before) != again));
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
