//! What an operator may ask of the server from its own machine: the commands behind `relatch user …`.
//!
//! A command is carried out by [`execute`], the same way whether the running server received it through its socket
//! ([`socket`]) or the command line opened the store itself.

pub mod socket;

use std::collections::BTreeSet;

use relatch_domain::user::{Role, Roles, User, Username};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::app::origin::Origin;
use crate::app::users::{NewAccount, create_user, list_users, new_password, set_password};
use crate::app::{App, Failure};
use crate::store::{UserCreation, UserQuery};

/// A password on its way to the server: through a socket that only the server's own user can open.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Password(SecretString);

impl Password {
    /// Takes what was typed.
    pub fn new(typed: String) -> Self {
        Self(typed.into())
    }
}

impl Serialize for Password {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

/// A command.
#[derive(Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Creates a user.
    UserAdd {
        /// The name as typed.
        username: String,
        /// Roles; none stands for the role `user`.
        roles: Vec<String>,
        /// The password as typed.
        password: Password,
    },
    /// Lists users in the byte order of their names.
    UserList {
        /// Only those after this name.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// Sets a user's password and signs the user out everywhere.
    UserPasswd {
        /// The name as typed.
        username: String,
        /// The password as typed.
        password: Password,
    },
}

/// A user as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// The id.
    pub id: String,
    /// The name.
    pub username: String,
    /// The roles, in alphabetical order.
    pub roles: Vec<String>,
    /// Whether sign-in and refresh are refused.
    pub disabled: bool,
    /// Milliseconds since the Unix epoch.
    pub created_at: u64,
}

impl From<User> for UserRow {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            username: user.profile.username.to_string(),
            roles: user.profile.roles.iter().map(str::to_owned).collect(),
            disabled: user.disabled,
            created_at: user.created_at.0,
        }
    }
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The user that the command was about, as it stands now.
    User {
        /// The user.
        user: UserRow,
    },
    /// A list of users.
    Users {
        /// The users.
        users: Vec<UserRow>,
    },
    /// The command was not carried out.
    Refused {
        /// Why, in words for the operator.
        message: String,
    },
}

impl Reply {
    /// A refusal in these words.
    pub fn refused(message: impl std::fmt::Display) -> Self {
        Self::Refused { message: message.to_string() }
    }
}

/// Carries a command out.
pub async fn execute(app: &App, command: Command) -> Reply {
    let done = match command {
        Command::UserAdd { username, roles, password } => add(app, &username, roles, &password).await,
        Command::UserList { after, limit } => list(app, after.as_deref(), limit).await,
        Command::UserPasswd { username, password } => passwd(app, &username, &password).await,
    };
    done.unwrap_or_else(|failure| {
        tracing::warn!(error = %failure, "an operator's command failed");
        Reply::refused(failure)
    })
}

async fn add(app: &App, username: &str, roles: Vec<String>, password: &Password) -> Result<Reply, Failure> {
    let username: Username = match username.parse() {
        Ok(username) => username,
        Err(error) => return Ok(Reply::refused(error)),
    };
    let roles = match parse_roles(roles) {
        Ok(roles) => roles,
        Err(message) => return Ok(Reply::refused(message)),
    };
    let password = match new_password(app, password.0.expose_secret()) {
        Ok(password) => password,
        Err(error) => return Ok(Reply::refused(error)),
    };
    let account = NewAccount::of(username, roles, password);
    Ok(match create_user(app, &Origin::operator(), account).await? {
        UserCreation::Created(user) => Reply::User { user: user.into() },
        UserCreation::NameTaken => Reply::refused("another user has this name"),
    })
}

async fn list(app: &App, after: Option<&str>, limit: usize) -> Result<Reply, Failure> {
    let after = match after.map(str::parse::<Username>).transpose() {
        Ok(after) => after,
        Err(error) => return Ok(Reply::refused(error)),
    };
    let users = list_users(app, &UserQuery { after, limit: limit.min(1000), ..UserQuery::default() }).await?;
    Ok(Reply::Users { users: users.into_iter().map(UserRow::from).collect() })
}

async fn passwd(app: &App, username: &str, password: &Password) -> Result<Reply, Failure> {
    let unknown = || Reply::refused("there is no such user");
    let Ok(username) = username.parse::<Username>() else { return Ok(unknown()) };
    let password = match new_password(app, password.0.expose_secret()) {
        Ok(password) => password,
        Err(error) => return Ok(Reply::refused(error)),
    };
    let user = set_password(app, &Origin::operator(), &username, password).await?;
    Ok(user.map_or_else(unknown, |user| Reply::User { user: user.into() }))
}

fn parse_roles(names: Vec<String>) -> Result<Roles, String> {
    let names = if names.is_empty() { vec![Role::USER.to_owned()] } else { names };
    let roles = names
        .iter()
        .map(|name| name.parse::<Role>().map_err(|error| format!("{name:?}: {error}")))
        .collect::<Result<BTreeSet<_>, _>>()?;
    Roles::try_from(roles).map_err(|error| error.to_string())
}
