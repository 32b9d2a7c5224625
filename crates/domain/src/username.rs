//! User names: what is one, and which are the same.
//!
//! PRECIS `UsernameCaseMapped` (RFC 8265, section 3.3) over the tables of [`crate::unicode::UNICODE_VERSION`], with four
//! differences (decision 0029): case is folded after it is lowered, so that `ς` and `σ` are one letter; what is composed
//! of Hangul letters is a syllable before it is judged; the context rules are held to the mapped name; and a name of
//! another user's id is none.

mod bidi;
mod class;
mod context;
mod mapping;
#[cfg(test)]
mod sweep_tests;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::class::Unfit;
use crate::ids::UserId;

/// A user name in the one form in which names are compared. `Ada` and `ada` are one name, as are `Γιώργος` and
/// `ΓΙΏΡΓΟΣ`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Username(String);

/// Why a text is not a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUsername {
    /// Nothing.
    #[error("a user name is not empty")]
    Empty,
    /// More than [`Username::MAX_LEN`] bytes.
    #[error("a user name has at most {} bytes of UTF-8", Username::MAX_LEN)]
    TooLong,
    /// A UUID: it could be the id of another user.
    #[error("a user name is not a UUID")]
    IsId,
    /// A character that is in no name.
    #[error("a user name cannot have U+{code:04X} in it: {unfit}", code = u32::from(*.0), unfit = .1)]
    Character(char, Unfit),
    /// A character that is in names between certain others alone (RFC 5892, appendix A).
    #[error("a user name cannot have U+{:04X} in this place (RFC 5892, appendix A)", u32::from(*.0))]
    Context(char),
    /// Breaks the Bidi rule (RFC 5893, section 2): its characters would be displayed in another order.
    #[error("this user name mixes writing directions, or begins or ends with a sign of neither (RFC 5893)")]
    Direction,
    /// Still changes when it is mapped again (RFC 8264, section 7).
    #[error("this user name has no stable form (RFC 8264, section 7)")]
    Unstable,
}

impl Username {
    /// Longest name, in bytes of UTF-8 of the compared form.
    pub const MAX_LEN: usize = 128;

    /// Longest text that is read, in bytes: mapping can shrink a text, though hardly to a fourth.
    const MAX_TYPED: usize = 4 * Self::MAX_LEN;

    /// What every name begins with whose first letters somebody has typed: mapped like a name as far as the beginning of
    /// one can be, for what makes a name a name may follow later. Nothing if no name begins so.
    pub fn beginning(text: &str) -> Option<String> {
        if text.len() > Self::MAX_TYPED || text.contains(char::is_control) {
            return None;
        }
        let mapped = until_stable(text, |text| Ok(mapping::mapped(text))).ok()?;
        (mapped.len() <= Self::MAX_LEN).then_some(mapped)
    }

    /// The name as it is compared and shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Username {
    type Err = InvalidUsername;

    fn from_str(text: &str) -> Result<Self, InvalidUsername> {
        if text.len() > Self::MAX_TYPED {
            return Err(InvalidUsername::TooLong);
        }
        let mapped = if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            // The profile allows each of these and maps the capitals alone: RFC 8265, section 3.3, with RFC 8264,
            // section 9.11. Every refresh comes by here.
            text.to_ascii_lowercase()
        } else {
            until_stable(text, enforced)?
        };
        if mapped.is_empty() {
            return Err(InvalidUsername::Empty);
        }
        if mapped.len() > Self::MAX_LEN {
            return Err(InvalidUsername::TooLong);
        }
        // Operators name users by name or id: who takes another's id for a name would have them punish that one.
        if mapped.parse::<UserId>().is_ok() {
            return Err(InvalidUsername::IsId);
        }
        Ok(Self(mapped))
    }
}

/// The rules of the profile, once (RFC 8265, section 3.3.2).
fn enforced(text: &str) -> Result<String, InvalidUsername> {
    let wide = mapping::without_width(text);
    class::check(&wide)?;
    let mapped = mapping::mapped(&wide);
    class::check_letters(&mapped)?;
    context::check(&mapped)?;
    bidi::check(&mapped)?;
    Ok(mapped)
}

/// Maps until nothing changes any more; RFC 8264, section 7, has a name refused that is not stable after the fourth
/// time.
fn until_stable(
    text: &str,
    map: impl Fn(&str) -> Result<String, InvalidUsername>,
) -> Result<String, InvalidUsername> {
    let mut text = text.to_owned();
    for _ in 0..4 {
        let mapped = map(&text)?;
        if mapped == text {
            return Ok(text);
        }
        text = mapped;
    }
    Err(InvalidUsername::Unstable)
}

impl TryFrom<String> for Username {
    type Error = InvalidUsername;

    fn try_from(text: String) -> Result<Self, InvalidUsername> {
        text.parse()
    }
}

impl From<Username> for String {
    fn from(name: Username) -> Self {
        name.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
