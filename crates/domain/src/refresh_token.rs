//! The refresh token's wire format, fixed for good once released.
//!
//! `rlt1_` and base64url without padding of 69 bytes, 97 characters in all:
//!
//! | offset | bytes | field |
//! | ---: | ---: | --- |
//! | 0 | 1 | id of the MAC key |
//! | 1 | 16 | user id |
//! | 17 | 16 | session id |
//! | 33 | 4 | generation |
//! | 37 | 8 | nonce |
//! | 45 | 4 | time of issue, seconds since the Unix epoch |
//! | 49 | 20 | MAC: HMAC-SHA-256 over the prefix and all before, cut to 160 bits |
//!
//! Integers are big-endian. The token is a function of what the session's record holds, so that the server can
//! hand out once more a token that it never stored. The prefix lets secret scanners find leaked tokens.

use zeroize::Zeroizing;

use crate::base64url;
use crate::bytes::{Reader, fill};
use crate::ids::{Generation, MacKeyId, Nonce, SessionId, SessionRef, UserId};
use crate::mac::{MAC_LEN, MacRing};
use crate::session::SessionRecord;
use crate::time::UnixSeconds;

/// How every refresh token begins.
pub const PREFIX: &str = "rlt1_";
/// Length of every refresh token, in characters.
pub const TEXT_LEN: usize = PREFIX.len() + LEN / 3 * 4;

const SIGNED_LEN: usize = 49;
const LEN: usize = SIGNED_LEN + MAC_LEN;

/// What a genuine refresh token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session that it belongs to.
    pub session: SessionRef,
    /// The generation that it was issued for.
    pub generation: Generation,
    /// Tells it from other tokens of the same generation.
    pub nonce: Nonce,
    /// When it was issued.
    pub issued_at: UnixSeconds,
}

/// Why a text is not a refresh token of ours. Clients are not told which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRefreshToken {
    /// Not the shape of a refresh token.
    #[error("malformed refresh token")]
    Malformed,
    /// The right shape, but not made by us.
    #[error("refresh token with a wrong MAC or an unknown key")]
    Forged,
}

impl RefreshToken {
    /// The token that is current according to `record`.
    pub fn current(session: SessionRef, record: &SessionRecord) -> Self {
        Self {
            session,
            generation: record.generation,
            nonce: record.nonce,
            issued_at: record.rotated_at.seconds(),
        }
    }

    /// Reads a token and checks its MAC. Asks no store, so that a flood of made-up tokens costs it nothing.
    ///
    /// # Errors
    /// If it is malformed, or not authenticated under a key of `ring`.
    pub fn open(text: &str, ring: &MacRing) -> Result<Self, InvalidRefreshToken> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidRefreshToken::Malformed)?;
        let bytes: [u8; LEN] = base64url::decode_exact(encoded).ok_or(InvalidRefreshToken::Malformed)?;
        let mut reader = Reader(&bytes);
        let (key, token) = read(&mut reader).ok_or(InvalidRefreshToken::Malformed)?;
        let mac: [u8; MAC_LEN] = reader.take().ok_or(InvalidRefreshToken::Malformed)?;
        if ring.verify(key, &token.signed_bytes(key), &mac) {
            Ok(token)
        } else {
            Err(InvalidRefreshToken::Forged)
        }
    }

    /// The token's text under the key `key`, or nothing if `ring` does not have it.
    pub fn seal(&self, key: MacKeyId, ring: &MacRing) -> Option<Zeroizing<String>> {
        let signed = self.signed_bytes(key);
        let mac = ring.sign(key, &signed)?;
        let mut bytes = Zeroizing::new([0; LEN]);
        fill(bytes.as_mut_slice(), &[signed.get(PREFIX.len()..).unwrap_or_default(), &mac]);
        let mut text = Zeroizing::new(String::with_capacity(TEXT_LEN));
        text.push_str(PREFIX);
        text.push_str(&Zeroizing::new(base64url::encode(bytes.as_slice())));
        Some(text)
    }

    /// What the MAC is made of: the prefix and everything before the MAC.
    fn signed_bytes(&self, key: MacKeyId) -> [u8; PREFIX.len() + SIGNED_LEN] {
        let parts: [&[u8]; 7] = [
            PREFIX.as_bytes(),
            &[key.0],
            self.session.user.as_bytes(),
            self.session.session.as_bytes(),
            &self.generation.0.to_be_bytes(),
            &self.nonce.0,
            &self.issued_at.0.to_be_bytes(),
        ];
        let mut bytes = [0; PREFIX.len() + SIGNED_LEN];
        fill(&mut bytes, &parts);
        bytes
    }
}

fn read(from: &mut Reader<'_>) -> Option<(MacKeyId, RefreshToken)> {
    let [key] = from.take()?;
    let token = RefreshToken {
        session: SessionRef {
            user: UserId::from_bytes(from.take()?),
            session: SessionId::from_bytes(from.take()?),
        },
        generation: Generation(u32::from_be_bytes(from.take()?)),
        nonce: Nonce(from.take()?),
        issued_at: UnixSeconds(u32::from_be_bytes(from.take()?)),
    };
    Some((MacKeyId(key), token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac::MacKey;
    use proptest::prelude::*;

    fn ring() -> MacRing {
        MacRing::new(MacKey::new(MacKeyId(9), &[42; 32]), vec![]).unwrap()
    }

    fn token() -> RefreshToken {
        RefreshToken {
            session: SessionRef {
                user: UserId::from_bytes([0x11; 16]),
                session: SessionId::from_bytes([0x22; 16]),
            },
            generation: Generation(3),
            nonce: Nonce([0x33; 8]),
            issued_at: UnixSeconds(1_700_000_000),
        }
    }

    /// The released layout, computed by another implementation (Python's hmac and struct). If this test fails, every refresh token in the field has just become invalid.
    #[test]
    fn the_layout_is_the_released_one() {
        let text = token().seal(MacKeyId(9), &ring()).unwrap();
        assert_eq!(
            text.as_str(),
            "rlt1_CREREREREREREREREREREREiIiIiIiIiIiIiIiIiIiIiAAAAAzMzMzMzMzMzZVPxAJHHMNxHzwvFn2i2yrDij7n1Y6c0"
        );
        assert_eq!(text.len(), TEXT_LEN);
    }

    proptest! {
        #[test]
        fn what_is_sealed_can_be_opened(
            user: [u8; 16], session: [u8; 16], generation: u32, nonce: [u8; 8], issued_at: u32,
        ) {
            let token = RefreshToken {
                session: SessionRef {
                    user: UserId::from_bytes(user),
                    session: SessionId::from_bytes(session),
                },
                generation: Generation(generation),
                nonce: Nonce(nonce),
                issued_at: UnixSeconds(issued_at),
            };
            let text = token.seal(MacKeyId(9), &ring()).unwrap();
            prop_assert_eq!(text.len(), TEXT_LEN);
            prop_assert_eq!(RefreshToken::open(&text, &ring()), Ok(token));
        }

        #[test]
        fn no_single_change_goes_unnoticed(position in 0..TEXT_LEN, replacement in 0x20_u8..0x7f) {
            let text = token().seal(MacKeyId(9), &ring()).unwrap();
            let mut bytes = text.as_bytes().to_vec();
            prop_assume!(bytes[position] != replacement);
            bytes[position] = replacement;
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert!(RefreshToken::open(&changed, &ring()).is_err());
        }

        #[test]
        fn any_other_text_is_refused(text in "\\PC{0,200}") {
            prop_assert!(RefreshToken::open(&text, &ring()).is_err());
        }
    }

    #[test]
    fn a_token_under_an_unknown_key_is_forged() {
        let other = MacRing::new(MacKey::new(MacKeyId(8), &[42; 32]), vec![]).unwrap();
        let text = token().seal(MacKeyId(8), &other).unwrap();
        assert_eq!(RefreshToken::open(&text, &ring()), Err(InvalidRefreshToken::Forged));
        assert!(token().seal(MacKeyId(8), &ring()).is_none());
    }
}
