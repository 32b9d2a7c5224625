//! Users as the server knows them.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::attributes::Attributes;
use crate::ids::UserId;
use crate::time::UnixMillis;
pub use crate::username::{InvalidUsername, Unfit, Username};

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
mod tests {
    use super::*;

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
