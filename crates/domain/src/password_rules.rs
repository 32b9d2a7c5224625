//! Passwords as people type them, and what a new one must be (NIST SP 800-63B, section 3.1.1.2).

use precis_profiles::OpaqueString;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use zeroize::Zeroizing;

/// A password in the one form in which passwords are compared: PRECIS `OpaqueString` (RFC 8265, section 4.2), so
/// that the same characters typed on another keyboard are the same password. Nothing is cut off or trimmed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

/// No password at all: empty, longer than [`Password::MAX_LEN`] bytes, or with control characters in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a password has 1 to {} bytes and no control characters", Password::MAX_LEN)]
pub struct InvalidPassword;

/// Why a new password is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Fewer code points than configured.
    #[error("a password has at least {0} characters")]
    TooShort(usize),
}

impl Password {
    /// Longest password, in bytes of UTF-8: a bound on the work that a stranger can cause.
    pub const MAX_LEN: usize = 1024;

    /// Takes what was typed.
    ///
    /// # Errors
    /// If no account can have this password.
    pub fn parse(text: &str) -> Result<Self, InvalidPassword> {
        if text.len() > Self::MAX_LEN {
            return Err(InvalidPassword);
        }
        let enforced = OpaqueString::enforce(text).map_err(|_| InvalidPassword)?;
        if enforced.len() > Self::MAX_LEN {
            return Err(InvalidPassword);
        }
        Ok(Self(Zeroizing::new(enforced.into_owned())))
    }

    /// The bytes to hash.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether this may become somebody's password.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check_new(&self, min_length: usize) -> Result<(), WeakPassword> {
        if self.0.chars().count() < min_length { Err(WeakPassword::TooShort(min_length)) } else { Ok(()) }
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_characters_are_the_same_password() {
        let composed = Password::parse("caf\u{e9}").unwrap();
        let decomposed = Password::parse("cafe\u{301}").unwrap();
        assert_eq!(composed, decomposed);
        assert_ne!(composed, Password::parse("Caf\u{e9}").unwrap());
    }

    #[test]
    fn length_counts_characters_not_bytes() {
        let password = Password::parse("🔑🔑🔑🔑🔑🔑🔑").unwrap();
        assert_eq!(password.check_new(8), Err(WeakPassword::TooShort(8)));
        assert_eq!(password.check_new(7), Ok(()));
    }

    #[test]
    fn long_ones_are_whole_or_refused() {
        let long = "correct horse battery staple ".repeat(10);
        assert_eq!(Password::parse(&long).unwrap().as_bytes(), long.as_bytes());
        assert_eq!(Password::parse(&"x".repeat(1025)), Err(InvalidPassword));
        assert_eq!(Password::parse(""), Err(InvalidPassword));
        assert_eq!(Password::parse("tab\tbed"), Err(InvalidPassword));
    }

    #[test]
    fn a_password_never_shows_in_debug_output() {
        assert_eq!(format!("{:?}", Password::parse("hunter2hunter2").unwrap()), "Password(…)");
    }
}
