//! Commands that bring many users in and out.

use std::collections::BTreeSet;

use relatch_domain::attributes::Attributes;
use relatch_domain::user::{Role, Roles, Username};
use serde::{Deserialize, Serialize};

use super::command::{Reply, Secret};
use super::{Done, Stop};
use crate::app::App;
use crate::app::origin::Origin;
use crate::app::transfer::{ForeignUser, Imported, export_users, import_users};
use crate::rfc3339;

/// Most users on one page of an export.
const MAX_PAGE: usize = 500;

/// A user on a line of a file: what is exported can be imported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserLine {
    /// The id, a UUID. Without one the user gets a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name, as typed.
    pub username: String,
    /// The password's hash. Without one the user cannot sign in until a password is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<Secret>,
    /// Roles; if it is left out the role `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<BTreeSet<Role>>,
    /// What the application keeps with the user.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
    /// Whether sign-in is refused until somebody enables the user.
    #[serde(default)]
    pub disabled: bool,
    /// When the user was created, RFC 3339. To be read: whoever is imported is created then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
}

/// What came of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum LineOutcome {
    /// The user was added, or would be.
    Added,
    /// The user was there already.
    AlreadyThere,
    /// The user was not added.
    Refused {
        /// Why, in words for the operator.
        why: String,
    },
}

impl From<Imported> for LineOutcome {
    fn from(imported: Imported) -> Self {
        match imported {
            Imported::Added => Self::Added,
            Imported::AlreadyThere => Self::AlreadyThere,
            Imported::Refused(why) => Self::Refused { why: why.to_string() },
        }
    }
}

impl UserLine {
    fn parse(self) -> Result<ForeignUser, String> {
        let id = self.id.map(|id| id.parse()).transpose().map_err(|_| "id: not a UUID".to_owned())?;
        let username: Username = self.username.parse().map_err(|error| format!("username: {error}"))?;
        let roles = match self.roles {
            Some(roles) => Roles::try_from(roles).map_err(|error| format!("roles: {error}"))?,
            None => Roles::of_a_user(),
        };
        let password_hash = self.password_hash.map(|hash| hash.expose().to_owned());
        let (attributes, disabled) = (self.attributes, self.disabled);
        Ok(ForeignUser { id, username, roles, attributes, disabled, password_hash })
    }
}

pub(super) async fn import(app: &App, lines: Vec<UserLine>, dry_run: bool) -> Done {
    let mut outcomes = Vec::with_capacity(lines.len());
    let mut users = Vec::new();
    for line in lines {
        match line.parse() {
            Ok(user) => {
                outcomes.push(None);
                users.push(user);
            }
            Err(why) => outcomes.push(Some(LineOutcome::Refused { why })),
        }
    }
    let mut imported = import_users(app, &Origin::operator(), users, dry_run).await?.into_iter();
    let outcomes = outcomes
        .into_iter()
        .map(|refused| refused.or_else(|| imported.next().map(LineOutcome::from)))
        .collect::<Option<_>>();
    outcomes
        .map(|outcomes| Reply::UsersImported { outcomes })
        .ok_or_else(|| Stop::refused("fewer users came out than went in"))
}

pub(super) async fn export(app: &App, after: Option<String>, limit: usize) -> Done {
    let after = after.map(|after| after.parse::<Username>()).transpose().map_err(Stop::refused)?;
    let page = export_users(app, &Origin::operator(), after, limit.min(MAX_PAGE)).await?;
    let users = page.users.into_iter().map(|(user, hash)| UserLine {
        id: Some(user.id.to_string()),
        username: user.profile.username.to_string(),
        password_hash: hash.as_deref().map(Secret::new),
        roles: Some(user.profile.roles.into()),
        attributes: user.profile.attributes,
        disabled: user.disabled,
        created_at: Some(rfc3339::seconds(user.created_at.seconds())),
    });
    Ok(Reply::UsersExported { users: users.collect(), next: page.next.map(|name| name.to_string()) })
}
