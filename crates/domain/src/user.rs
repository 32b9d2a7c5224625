//! Users as the server knows them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::{PrecisFastInvocation, Rules};
use serde::{Deserialize, Serialize};

use crate::attributes::Attributes;
use crate::ids::UserId;
use crate::time::UnixMillis;

/// A user name in the one form in which names are compared: PRECIS `UsernameCaseMapped` (RFC 8265, section 3.3).
/// `Ada` and `ada` are one name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Username(String);

/// Not a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user name has 1 to 128 letters, digits or ASCII symbols and no spaces (RFC 8265), and is no UUID")]
pub struct InvalidUsername;

impl Username {
    /// Longest name, in bytes of UTF-8 of the compared form.
    pub const MAX_LEN: usize = 128;

    /// What every name begins with whose first letters somebody has typed: mapped like a name as far as the beginning of
    /// one can be, for what makes a name a name may follow later. Nothing if no name begins so.
    pub fn beginning(text: &str) -> Option<String> {
        if text.len() > Self::MAX_LEN * 4 || text.contains(char::is_control) {
            return None;
        }
        let rules = UsernameCaseMapped::new();
        let mut mapped = text.to_owned();
        for _ in 0..4 {
            let wide = rules.width_mapping_rule(mapped.as_str()).ok()?;
            let lower = rules.case_mapping_rule(wide).ok()?;
            let next = rules.normalization_rule(lower).ok()?.into_owned();
            if next == mapped {
                return (mapped.len() <= Self::MAX_LEN).then_some(mapped);
            }
            mapped = next;
        }
        None
    }

    /// The name as it is compared and shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Username {
    type Err = InvalidUsername;

    fn from_str(text: &str) -> Result<Self, InvalidUsername> {
        // Case mapping and normalisation can shrink a text, though not to a fourth.
        if text.len() > Self::MAX_LEN * 4 {
            return Err(InvalidUsername);
        }
        let mapped = if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            // The profile allows each of these and maps the capitals alone: RFC 8265, section 3.3, with RFC 8264,
            // section 9.11. Every refresh comes by here.
            text.to_ascii_lowercase()
        } else {
            until_stable(text).ok_or(InvalidUsername)?
        };
        if mapped.is_empty() || mapped.len() > Self::MAX_LEN {
            return Err(InvalidUsername);
        }
        // Operators name users by name or id: who takes another's id for a name would have them punish that one.
        if mapped.parse::<UserId>().is_ok() {
            return Err(InvalidUsername);
        }
        Ok(Self(mapped))
    }
}

/// Applies the profile until it changes nothing more; RFC 8264, section 7, has a name refused that is not stable after
/// the fourth time.
fn until_stable(text: &str) -> Option<String> {
    let mut name = text.to_owned();
    for _ in 0..4 {
        let mapped = UsernameCaseMapped::enforce(name.as_str()).ok()?.into_owned();
        if mapped == name {
            return Some(name);
        }
        name = mapped;
    }
    None
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

/// A role: 1 to 64 lower-case letters, digits, `_`, `-`, `.` or `:`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Role(String);

/// Not a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role has 1 to 64 lower-case letters, digits, or the characters _ - . :")]
pub struct InvalidRole;

impl Role {
    /// The role that may call `/admin`.
    pub const ADMIN: &'static str = "admin";
    /// The role that a user has if none is named.
    pub const USER: &'static str = "user";

    /// The role's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.:".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRole)
        }
    }
}

impl TryFrom<String> for Role {
    type Error = InvalidRole;

    fn try_from(text: String) -> Result<Self, InvalidRole> {
        text.parse()
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.0
    }
}

/// A user's roles: at most [`Roles::MAX`], each once, in alphabetical order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<Role>", into = "BTreeSet<Role>")]
pub struct Roles(BTreeSet<Role>);

/// More roles than a user may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at most {} roles", Roles::MAX)]
pub struct TooManyRoles;

impl Roles {
    /// How many roles a user may have: they all travel in every access token.
    pub const MAX: usize = 32;

    /// The roles of a user about whom nothing else is said.
    pub fn of_a_user() -> Self {
        Self(BTreeSet::from([Role(Role::USER.to_owned())]))
    }

    /// Whether the user has this role.
    pub fn has(&self, role: &str) -> bool {
        self.0.iter().any(|own| own.as_str() == role)
    }

    /// The roles in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Role::as_str)
    }
}

impl TryFrom<BTreeSet<Role>> for Roles {
    type Error = TooManyRoles;

    fn try_from(roles: BTreeSet<Role>) -> Result<Self, TooManyRoles> {
        if roles.len() > Self::MAX { Err(TooManyRoles) } else { Ok(Self(roles)) }
    }
}

impl From<Roles> for BTreeSet<Role> {
    fn from(roles: Roles) -> Self {
        roles.0
    }
}

/// What is needed of a user to mint a token or answer who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The user's name.
    pub username: Username,
    /// The user's roles.
    pub roles: Roles,
    /// What the application keeps with the user.
    pub attributes: Attributes,
}

/// A user, without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Never given to anybody else.
    pub id: UserId,
    /// Name, roles and attributes.
    pub profile: Profile,
    /// Whether sign-in and refresh are refused.
    pub disabled: bool,
    /// When the user was created.
    pub created_at: UnixMillis,
}

#[cfg(test)]
#[path = "username_tests.rs"]
mod username_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_compared_without_case_and_width() {
        let ada: Username = "ada".parse().unwrap();
        for same in ["Ada", "ADA", "ａｄａ"] {
            assert_eq!(same.parse(), Ok(ada.clone()));
        }
        assert_eq!("ada@example.org".parse::<Username>().unwrap().as_str(), "ada@example.org");
    }

    #[test]
    fn refuses_what_is_no_name() {
        let long = "a".repeat(Username::MAX_LEN + 1);
        let endless = "a".repeat(10_000);
        for wrong in ["", " ", "ada lovelace", "ada\n", "a\u{202e}b", "a\0", &long, &endless] {
            assert_eq!(wrong.parse::<Username>(), Err(InvalidUsername), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_stable_once_it_is_mapped(text in "\\PC{0,40}") {
            if let Ok(name) = text.parse::<Username>() {
                prop_assert_eq!(name.as_str().parse(), Ok(name.clone()));
            }
        }

        #[test]
        fn a_name_begins_with_each_of_its_beginnings(text in "[a-zA-ZäÖßΣσςＡｂאש·0-9@._-]{1,20}", cut in 0_usize..20) {
            if let Ok(name) = text.parse::<Username>() {
                let beginning: String = text.chars().take(cut).collect();
                let beginning = Username::beginning(&beginning).unwrap();
                prop_assert!(name.as_str().starts_with(&beginning), "{} {}", name, beginning);
                let whole = Username::beginning(&text);
                prop_assert_eq!(whole.as_deref(), Some(name.as_str()));
            }
        }

        #[test]
        fn no_beginning_is_too_much(text in "\\PC{0,2000}") {
            let _ = Username::beginning(&text);
        }
    }

    #[test]
    fn a_beginning_need_not_be_a_name() {
        for (typed, beginning) in [
            ("", ""),
            ("ADA@Ex", "ada@ex"),
            ("ｅ\u{301}", "é"),
            // Between two l a name (RFC 5892, appendix A.3), before the second one a beginning.
            ("L·", "l·"),
            ("א-", "א-"),
            ("<b>", "<b>"),
            ("a\u{202e}", "a\u{202e}"),
        ] {
            assert_eq!(Username::beginning(typed).as_deref(), Some(beginning), "{typed:?}");
        }
        assert_eq!(Username::beginning("ada\0"), None);
        assert_eq!(Username::beginning(&"a".repeat(129)), None);
        assert_eq!(Username::beginning(&"a".repeat(10_000)), None);
    }

    #[test]
    fn roles_are_few_and_plain() {
        assert!("billing:read".parse::<Role>().is_ok());
        for wrong in ["", "Admin", "a b", "a\"b", &"a".repeat(65)] {
            assert_eq!(wrong.parse::<Role>(), Err(InvalidRole));
        }
        let many: BTreeSet<Role> = (0..33).map(|n| format!("r{n}").parse().unwrap()).collect();
        assert_eq!(Roles::try_from(many), Err(TooManyRoles));
        let json: Result<Roles, _> = serde_json::from_str(r#"["user","admin","user"]"#);
        assert_eq!(json.unwrap().iter().collect::<Vec<_>>(), ["admin", "user"]);
    }
}
