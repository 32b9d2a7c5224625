//! One type for each identifier, so that a session id cannot be passed for a user id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::base64url;
use crate::time::UnixMillis;

/// An identifier that is not what it should be. Says which kind, never the value: it may be a stranger's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct InvalidId(pub &'static str);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Bytes of the identifier.
            pub const LEN: usize = 16;

            /// The identifier with these 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes, as they stand in tokens and in the store.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Accepts the hyphenated lower- or upper-case form only (RFC 9562, section 4).
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.len() != 36 {
                    return Err(InvalidId($what));
                }
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId($what))
            }
        }
    };
}

uuid_id!(
    /// A user. Never given to anybody else after the user is deleted.
    UserId,
    "user id"
);
uuid_id!(
    /// A change of one user that any node can finish should the node that makes it be lost.
    OperationId,
    "operation id"
);
uuid_id!(
    /// One sign-in of one user. Only together with the user id ([`SessionRef`]) does it lead to a record. A version 7 UUID
    /// (RFC 9562, section 5.7): it tells when the session began.
    SessionId,
    "session id"
);

impl SessionId {
    /// When the session began, by the clock of the store: what cutoffs compare.
    pub fn began_at(&self) -> UnixMillis {
        let millis = u128::from_be_bytes(*self.as_bytes()) >> 80;
        UnixMillis(u64::try_from(millis).unwrap_or(UnixMillis::MAX.0))
    }
}

/// A session and the user it belongs to: what clients know as `session_id` and API servers as `sid`.
///
/// Its text form is base64url of the user id followed by the session id, 43 characters, so that the record can be
/// found without an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionRef {
    /// Whose session it is.
    pub user: UserId,
    /// Which of the user's sessions.
    pub session: SessionId,
}

impl SessionRef {
    /// Length of the text form, in characters.
    pub const TEXT_LEN: usize = 43;
}

impl fmt::Display for SessionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 32];
        let (user, session) = bytes.split_at_mut(16);
        user.copy_from_slice(self.user.as_bytes());
        session.copy_from_slice(self.session.as_bytes());
        f.write_str(&base64url::encode(&bytes))
    }
}

impl FromStr for SessionRef {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        const INVALID: InvalidId = InvalidId("session id");
        let bytes: [u8; 32] = base64url::decode_exact(text).ok_or(INVALID)?;
        let (user, session) = bytes.split_first_chunk::<16>().ok_or(INVALID)?;
        let session: &[u8; 16] = session.try_into().map_err(|_| INVALID)?;
        Ok(Self { user: UserId::from_bytes(*user), session: SessionId::from_bytes(*session) })
    }
}

impl Serialize for SessionRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How often a session has rotated; the pair that a sign-in issues is generation 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct Generation(pub u32);

impl Generation {
    /// The generation after this one. Stays at the last one after four billion rotations, far beyond any
    /// absolute deadline.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether `self` is the generation right before `later`.
    pub const fn is_just_before(self, later: Self) -> bool {
        matches!(self.0.checked_add(1), Some(next) if next == later.0)
    }
}

/// Eight bytes that tell tokens of one generation apart: see [`crate::successor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Nonce(pub [u8; 8]);

/// Names the key under which a refresh token's MAC was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MacKeyId(pub u8);

/// The number of an OAuth client in session records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct ClientNumber(pub u16);

impl ClientNumber {
    /// The first-party client, called `relatch` in tokens.
    pub const FIRST_PARTY: Self = Self(0);
}

/// RFC 7638 SHA-256 thumbprint of the key that a session is bound to by `DPoP` (RFC 9449).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint(pub [u8; 32]);

/// Hash of the address block and agent that a request came from; tells a changed origin from the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct OriginTag(pub u32);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_session_ref_survives_its_text_form(user: [u8; 16], session: [u8; 16]) {
            let reference =
                SessionRef { user: UserId::from_bytes(user), session: SessionId::from_bytes(session) };
            let text = reference.to_string();
            prop_assert_eq!(text.len(), SessionRef::TEXT_LEN);
            prop_assert_eq!(text.parse(), Ok(reference));
        }

        #[test]
        fn no_other_text_names_a_session(text in "\\PC{0,60}") {
            if let Ok(reference) = text.parse::<SessionRef>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }

    #[test]
    fn ids_are_read_in_one_form_only() {
        assert!("6fa459ea-ee8a-3ca4-894e-db77e160355e".parse::<UserId>().is_ok());
        for wrong in ["", "6fa459eaee8a3ca4894edb77e160355e", "{6fa459ea-ee8a-3ca4-894e-db77e160355e}"] {
            assert_eq!(wrong.parse::<UserId>(), Err(InvalidId("user id")));
        }
    }

    #[test]
    fn generations_do_not_wrap() {
        assert_eq!(Generation(u32::MAX).next(), Generation(u32::MAX));
        assert!(!Generation(u32::MAX).is_just_before(Generation(0)));
        assert!(Generation(4).is_just_before(Generation(5)));
    }
}
