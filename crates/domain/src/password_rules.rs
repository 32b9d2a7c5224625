//! Passwords as people type them, and what a new one must be (NIST SP 800-63B-4, section 3.1.1.2): long enough, and
//! neither one that everybody uses nor one that is made of the user's or the service's name. Nothing is asked about
//! kinds of characters, and nothing is cut off.

mod common;
#[cfg(test)]
mod tests;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::user::Username;

/// A password: as it was typed, and in the one form in which passwords are compared and hashed.
///
/// That form is Unicode normalisation form NFKC with every space (`Zs`) as U+0020: NIST SP 800-63B-4, section 3.1.1.2,
/// names NFKC, and RFC 8265, section 4.2.2, the spaces. The NFC of RFC 8265 is not enough for keyboards: one that makes
/// full-width letters, half-width katakana or Hangul letters one by one would need another password. Nothing is cut
/// off, trimmed or mapped in case. Two passwords are equal if this form is.
#[derive(Clone)]
pub struct Password {
    typed: Zeroizing<String>,
    normal: Zeroizing<String>,
}

/// Why a text is not a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// Nothing.
    #[error("a password is not empty")]
    Empty,
    /// More than [`Password::MAX_LEN`] bytes.
    #[error("a password has at most {} bytes of UTF-8", Password::MAX_LEN)]
    TooLong,
    /// A control character (general category `Cc`) in a new password.
    #[error("a new password has no control characters, but this one has U+{:04X}", u32::from(*.0))]
    Control(char),
}

/// Why a new password is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Fewer code points in form NFC than configured: what has one composed character counts once, however it is typed.
    #[error("a password has at least {0} characters")]
    TooShort(usize),
    /// A common password, or one with little done to it.
    #[error("this password, or one close to it, is among the first that attackers try")]
    Common,
    /// The name of the user or of the service, with little done to it.
    #[error("this password is little more than the name of the user or of the service")]
    Context,
}

impl Password {
    /// Longest password, in bytes of UTF-8: a bound on the work that a stranger can cause.
    pub const MAX_LEN: usize = 1024;

    /// Longest text that is read, in bytes: normalisation makes a text shorter, though hardly to a fourth.
    const MAX_TYPED: usize = 4 * Self::MAX_LEN;

    /// Takes what was typed, to be compared with a password that there is. Control characters are taken, because
    /// another system may have taken them.
    ///
    /// # Errors
    /// If no account can have this password: [`InvalidPassword::Empty`] or [`InvalidPassword::TooLong`].
    pub fn parse(text: &str) -> Result<Self, InvalidPassword> {
        if text.is_empty() {
            return Err(InvalidPassword::Empty);
        }
        if text.len() > Self::MAX_TYPED {
            return Err(InvalidPassword::TooLong);
        }
        let normal = normal_form(text).ok_or(InvalidPassword::TooLong)?;
        Ok(Self { typed: Zeroizing::new(text.to_owned()), normal })
    }

    /// Takes what was typed as a new password, before [`PasswordRules::check`].
    ///
    /// # Errors
    /// As [`Password::parse`], and [`InvalidPassword::Control`]: what a key, a paste or a file has put in by mistake.
    pub fn parse_new(text: &str) -> Result<Self, InvalidPassword> {
        match text.chars().find(|c| c.is_control()) {
            Some(control) => Err(InvalidPassword::Control(control)),
            None => Self::parse(text),
        }
    }

    /// The bytes to hash: those of the normal form.
    pub fn as_bytes(&self) -> &[u8] {
        self.normal.as_bytes()
    }

    /// What was typed, for hashes of systems that do not normalise.
    pub fn typed(&self) -> &str {
        &self.typed
    }
}

/// The form that is hashed; nothing if it is longer than [`Password::MAX_LEN`].
fn normal_form(text: &str) -> Option<Zeroizing<String>> {
    if text.is_ascii() {
        return (text.len() <= Password::MAX_LEN).then(|| Zeroizing::new(text.to_owned()));
    }
    // Never grows, so that no copy is left behind in memory.
    let mut normal = Zeroizing::new(String::with_capacity(Password::MAX_LEN));
    // NFKC makes U+0020 of all other spaces.
    for c in text.chars().map(|c| if c == '\u{1680}' { ' ' } else { c }).nfkc() {
        if normal.len() + c.len_utf8() > Password::MAX_LEN {
            return None;
        }
        normal.push(c);
    }
    Some(normal)
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.normal == other.normal
    }
}

impl Eq for Password {}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What a new password must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordRules {
    min_length: usize,
    /// What the service is called, in lower case.
    service: Vec<String>,
}

impl PasswordRules {
    /// So many letters and digits beyond a known word, and as many signs again, do not make a password of it.
    const FEW: usize = 4;
    /// Shortest name, in characters, that is looked for in passwords: shorter ones are in many by chance.
    const MIN_NAME: usize = 3;

    /// Passwords of at least `min_length` code points, for the service at `host`.
    pub fn new(min_length: usize, host: &str) -> Self {
        // The host, the domains that it is in, and their names; the last one alone is everybody's.
        let domains = host.match_indices('.').filter_map(|(dot, _)| host.get(dot + 1..));
        let within = [host].into_iter().chain(domains).filter(|domain| domain.contains('.'));
        let names = within.clone().filter_map(|domain| domain.split('.').next());
        let service = ["relatch", host].into_iter().chain(within).chain(names).map(str::to_lowercase);
        Self { min_length, service: service.collect() }
    }

    /// Whether this may become somebody's password: that of `username`, if it is known whose.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(&self, password: &Password, username: Option<&Username>) -> Result<(), WeakPassword> {
        if password.typed.nfc().count() < self.min_length {
            return Err(WeakPassword::TooShort(self.min_length));
        }
        let lower = Zeroizing::new(password.normal.to_lowercase());
        let name = username.map(Username::as_str);
        let local_part = name.and_then(|name| name.split('@').next());
        let names = self.service.iter().map(String::as_str).chain(name).chain(local_part);
        if is_little_more_than(&lower, names.collect()) {
            return Err(WeakPassword::Context);
        }
        if is_close_to_common(&lower) { Err(WeakPassword::Common) } else { Ok(()) }
    }
}

/// Whether there are names in the text and hardly anything else: the name itself, doubled, with a year behind it.
fn is_little_more_than(text: &str, mut names: Vec<&str>) -> bool {
    names.retain(|name| name.chars().count() >= PasswordRules::MIN_NAME && text.contains(name));
    // The longest first: taking out `example` must leave nothing of `example.com`.
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let mut rest = Zeroizing::new(text.to_owned());
    for name in &names {
        rest = Zeroizing::new(rest.replace(name, ""));
    }
    let characters = rest.chars().filter(|c| c.is_alphanumeric()).count();
    let few = characters <= PasswordRules::FEW && rest.chars().count() <= 2 * PasswordRules::FEW;
    !names.is_empty() && few
}

/// Whether the text is a common password, with or without spaces and signs in it: as it is, repeated, or with a few
/// digits or signs around it.
fn is_close_to_common(text: &str) -> bool {
    let plain: Zeroizing<String> = Zeroizing::new(text.chars().filter(|c| c.is_alphanumeric()).collect());
    [text, &plain].into_iter().any(|text| {
        [text, unit(text), unit(stem(text))]
            .into_iter()
            .any(|word| common::is_listed(word) || common::is_listed(stem(word)))
    })
}

/// The word within a few digits and signs; nothing if there is no letter in it.
fn stem(text: &str) -> &str {
    let is_around = |c: char| !c.is_alphabetic();
    let mut stem = text;
    for _ in 0..PasswordRules::FEW {
        stem = stem.strip_suffix(is_around).unwrap_or(stem);
        stem = stem.strip_prefix(is_around).unwrap_or(stem);
    }
    if stem.contains(char::is_alphabetic) { stem } else { "" }
}

/// What the text repeats, if it is a repetition; otherwise the text.
fn unit(text: &str) -> &str {
    let repeats = |unit: &&str| text.as_bytes().chunks(unit.len()).all(|chunk| chunk == unit.as_bytes());
    let units = (1..=text.len() / 2).filter(|length| text.len().is_multiple_of(*length));
    units.filter_map(|length| text.get(..length)).find(repeats).unwrap_or(text)
}
