//! The first administrator: made while there is no user at all.
//!
//! A password that the server makes up is shown before it becomes the administrator's. Until then the administrator has
//! none and cannot sign in. A later start that finds such an administrator knows that no valid password was shown. It deletes
//! the user and creates it again under another id, so that of two servers only one can go on, and shows another password.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use relatch_domain::base64url;
use relatch_domain::password_rules::Password;
use relatch_domain::user::{Role, Roles};
use relatch_domain::{UnixMillis, UserId};
use secrecy::{ExposeSecret as _, SecretString};

use super::error::NotJoined;
use super::parts::Parts;
use super::{Announce, Announcement};
use crate::app::delete_user::delete_user;
use crate::app::node::StoreKind;
use crate::app::origin::Origin;
use crate::app::users::{
    NewAccount, create_user, create_without_password, give_first_password, hash_first_password, list_users,
};
use crate::app::{App, Failure};
use crate::store::{UserCreation, UserQuery};

/// So long another server that shares the store has to show the password to its operator.
const SHOWING: Duration = Duration::from_secs(10);
/// How often it is looked whether another server is done.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What there is in a store.
enum Found {
    NoUser,
    /// An administrator without a password, and no other user.
    Unfinished(UserId, UnixMillis),
    Users,
}

/// Makes an administrator while there is no user, and shows the operator the password if it is made up.
///
/// # Errors
/// If the store fails, or the configured name and password are not allowed.
pub(super) async fn first_administrator(
    parts: &Parts,
    app: &App,
    announce: Option<&Announce>,
) -> Result<(), NotJoined> {
    let mut waiting: Option<Instant> = None;
    loop {
        let made = match find(parts, app).await? {
            Found::Users => return Ok(()),
            // No operator is there to see a password.
            Found::Unfinished(..) if announce.is_none() && parts.bootstrap.password.is_none() => {
                return Ok(());
            }
            Found::Unfinished(user, since) => {
                let waited = waiting.get_or_insert_with(Instant::now).elapsed() >= SHOWING;
                if waited || is_abandoned(app, since).await? {
                    delete_user(app, &Origin::server(), user, true).await?;
                    make(parts, app, announce).await?
                } else {
                    false
                }
            }
            Found::NoUser => make(parts, app, announce).await?,
        };
        if made {
            return Ok(());
        }
        // Another server is about it.
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn find(parts: &Parts, app: &App) -> Result<Found, NotJoined> {
    let mut users = list_users(app, &UserQuery { limit: 2, ..UserQuery::default() }).await?;
    let (Some(user), true) = (users.pop(), users.is_empty()) else {
        return Ok(if users.is_empty() { Found::NoUser } else { Found::Users });
    };
    let is_as_made = user.profile.username == parts.bootstrap.username
        && user.profile.roles == roles()?
        && user.profile.attributes.is_empty()
        && !user.disabled;
    if !is_as_made {
        return Ok(Found::Users);
    }
    let found = app.store.credentials(&user.profile.username).await?;
    let has_none = found.is_some_and(|found| found.password_hash.is_none() && found.password_changes == 0);
    Ok(if has_none { Found::Unfinished(user.id, user.created_at) } else { Found::Users })
}

/// Whether the server that made the administrator cannot be at it any more. A file has one server.
async fn is_abandoned(app: &App, since: UnixMillis) -> Result<bool, NotJoined> {
    if app.node.store == StoreKind::Embedded {
        return Ok(true);
    }
    Ok(app.store.latest_time().await?.age_since(since) >= SHOWING)
}

/// Makes the administrator. False if another server has been quicker.
async fn make(parts: &Parts, app: &App, announce: Option<&Announce>) -> Result<bool, NotJoined> {
    let origin = Origin::server();
    let username = parts.bootstrap.username.clone();
    if let Some(password) = &parts.bootstrap.password {
        let account = NewAccount::of(username.clone(), roles()?, password.clone());
        let UserCreation::Created(_) = create_user(app, &origin, account).await? else { return Ok(false) };
        if let Some(announce) = announce {
            let made = Announcement::AdministratorMade { username: username.to_string(), password: None };
            // Nothing depends on it.
            let _ = announce(&made);
        }
        return Ok(true);
    }
    let made_up = make_up_password(parts)?;
    let password = Password::parse(made_up.expose_secret()).map_err(wrong)?;
    let hash = hash_first_password(app, password).await?;
    let creation = create_without_password(app, &origin, username.clone(), roles()?).await?;
    let UserCreation::Created(user) = creation else { return Ok(false) };
    let Some(announce) = announce else { return Ok(true) };
    let made = Announcement::AdministratorMade { username: username.to_string(), password: Some(made_up) };
    if let Err(error) = announce(&made) {
        tracing::error!(
            %error,
            "the first administrator's password could not be shown, so the administrator has none: the next start shows \
             one, or set one with `relatch user passwd`"
        );
        return Ok(true);
    }
    if !give_first_password(app, user.id, hash).await? {
        tracing::error!(
            "the password that was shown is void: another server has made the administrator anew and has shown another"
        );
    }
    Ok(true)
}

fn wrong(error: impl std::fmt::Display) -> NotJoined {
    NotJoined::Bootstrap(error.to_string())
}

fn roles() -> Result<Roles, NotJoined> {
    let roles = [Role::ADMIN, Role::USER].map(str::parse::<Role>);
    let roles = roles.into_iter().collect::<Result<BTreeSet<_>, _>>().map_err(wrong)?;
    Roles::try_from(roles).map_err(wrong)
}

/// 120 random bits in letters and digits, easy to copy.
fn make_up_password(parts: &Parts) -> Result<SecretString, NotJoined> {
    let random = parts.random.bytes::<15>().map_err(Failure::from)?;
    Ok(base64url::encode(&random).into())
}
