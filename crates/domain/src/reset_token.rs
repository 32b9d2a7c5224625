//! The token of a password reset, which an administrator hands to a user who has lost the password: whoever has it may set a
//! new one, once.
//!
//! `rlp1_`, 81 characters in all, in the form that [`named_token`] gives: the user, SHA-256 of the hash of the
//! password that it replaces (cut to 128 bits), and when it expires.
//!
//! Nothing is stored of it: it is good as long as the hash is the one that it names, so it can be used once, and every other
//! change of the password voids it. Hashes are salted: from what stands here no password can be tried.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;

use crate::ids::UserId;
use crate::mac::MacRing;
use crate::named_token::{self, NamedToken};
use crate::time::UnixSeconds;

/// How every reset token begins.
pub const PREFIX: &str = "rlp1_";
/// Length of every reset token, in characters.
pub const TEXT_LEN: usize = named_token::TEXT_LEN;

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
        let NamedToken { user, besides: replaces, time: expires_at } = NamedToken::open(PREFIX, text, ring)?;
        Some(Self { user, expires_at, replaces })
    }

    /// The token's text under the key that mints.
    pub fn seal(&self, ring: &MacRing) -> String {
        let Self { user, expires_at, replaces } = *self;
        NamedToken { user, besides: replaces, time: expires_at }.seal(PREFIX, ring)
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
    use crate::device_token::{DEVICE_LEN, DeviceToken, PasswordNumber};
    use crate::ids::MacKeyId;
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
        let device = DeviceToken {
            user: UserId::from_bytes([1; 16]),
            device: [2; DEVICE_LEN],
            password: PasswordNumber::after(UnixSeconds(3), 4),
            issued_at: UnixSeconds(5),
        };
        let text = device.seal(&ring()).replacen("rld1_", PREFIX, 1);
        assert_eq!(text.len(), TEXT_LEN);
        assert_eq!(ResetToken::open(&text, &ring()), None);
    }
}
