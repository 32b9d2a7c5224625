//! Commands about users.

use std::collections::{BTreeMap, BTreeSet};

use relatch_domain::attributes::{AttributeValue, Attributes};
use relatch_domain::user::{Role, Roles, Username};

use super::command::{Reply, Secret};
use super::rows::UserRow;
use super::{Done, Stop, named};
use crate::app::App;
use crate::app::change_user::{Changed, Changes, change_user};
use crate::app::delete_user::{Deleted, delete_user};
use crate::app::origin::Origin;
use crate::app::reset_password::{IssuedReset, issue_reset};
use crate::app::session_history::{SessionState, known_sessions};
use crate::app::users::{NewAccount, create_user, list_users, new_password};
use crate::rfc3339;
use crate::store::{UserCreation, UserQuery};

/// Most users on one page.
const MAX_PAGE: usize = 1000;

pub(super) async fn add(
    app: &App,
    username: &str,
    roles: Vec<String>,
    attributes: BTreeMap<String, AttributeValue>,
    password: &Secret,
) -> Done {
    let username: Username = username.parse().map_err(Stop::refused)?;
    let roles = parse_roles(roles)?;
    let attributes = Attributes::try_from(attributes).map_err(Stop::refused)?;
    let password = new_password(app, &username, password.expose()).map_err(Stop::refused)?;
    let account = NewAccount { username, roles, attributes, disabled: false, password };
    match create_user(app, &Origin::operator(), account).await? {
        UserCreation::Created(user) => Ok(Reply::User { user: user.into() }),
        UserCreation::NameTaken => Err(Stop::refused("another user has this name")),
    }
}

pub(super) async fn list(app: &App, prefix: Option<String>, after: Option<String>, limit: usize) -> Done {
    let after = after.map(|after| after.parse::<Username>()).transpose().map_err(Stop::refused)?;
    let prefix = match prefix {
        Some(typed) => match Username::beginning(&typed) {
            Some(prefix) => Some(prefix),
            // No name begins so.
            None => return Ok(Reply::Users { users: Vec::new() }),
        },
        None => None,
    };
    let users = list_users(app, &UserQuery { prefix, after, limit: limit.min(MAX_PAGE) }).await?;
    Ok(Reply::Users { users: users.into_iter().map(UserRow::from).collect() })
}

pub(super) async fn show(app: &App, user: &str) -> Done {
    let user = named(app, user).await?;
    let sessions = known_sessions(app, user.id).await?;
    let live_sessions = sessions.iter().filter(|known| known.state == SessionState::Live).count();
    Ok(Reply::UserShown { user: user.into(), live_sessions })
}

pub(super) async fn passwd(app: &App, user: &str, password: Secret) -> Done {
    change(app, user, Changes { password: Some(password.into()), ..Changes::default() }).await
}

pub(super) async fn reset(app: &App, user: &str) -> Done {
    let id = named(app, user).await?.id;
    let IssuedReset { user, token, expires_at } =
        issue_reset(app, &Origin::operator(), id).await?.ok_or_else(Stop::gone)?;
    let (user, reset_token) = (user.into(), Secret::new(&token));
    Ok(Reply::ResetIssued { user, reset_token, expires_at: rfc3339::seconds(expires_at) })
}

pub(super) async fn disable(app: &App, user: &str, disabled: bool, force: bool) -> Done {
    change(app, user, Changes { disabled: Some(disabled), force, ..Changes::default() }).await
}

pub(super) async fn change(app: &App, user: &str, changes: Changes) -> Done {
    let id = named(app, user).await?.id;
    match change_user(app, &Origin::operator(), id, changes).await? {
        Changed::Yes { user, ended } => {
            Ok(Reply::UserChanged { user: (*user).into(), revoked_sessions: ended })
        }
        Changed::NotDurable => Err(Stop::not_durable()),
        Changed::Unknown => Err(Stop::gone()),
        Changed::LastAdministrator => Err(Stop::last_administrator()),
        Changed::InvalidAttributes(error) => Err(Stop::refused(error)),
        Changed::PasswordRefused(error) => Err(Stop::refused(error)),
    }
}

pub(super) async fn delete(app: &App, user: &str, force: bool) -> Done {
    let user = named(app, user).await?;
    match delete_user(app, &Origin::operator(), user.id, force).await? {
        Deleted::Yes => Ok(Reply::User { user: user.into() }),
        Deleted::NotDurable => Err(Stop::refused(
            "deleted, but too few replicas have confirmed it; look again whether the user is gone",
        )),
        Deleted::Unknown => Err(Stop::gone()),
        Deleted::LastAdministrator => Err(Stop::last_administrator()),
    }
}

fn parse_roles(names: Vec<String>) -> Result<Roles, Stop> {
    let names = if names.is_empty() { vec![Role::USER.to_owned()] } else { names };
    Roles::try_from(each_role(&names)?).map_err(Stop::refused)
}

pub(super) fn each_role(names: &[String]) -> Result<BTreeSet<Role>, Stop> {
    let role = |name: &String| name.parse().map_err(|error| Stop::refused(format!("{name:?}: {error}")));
    names.iter().map(role).collect()
}
