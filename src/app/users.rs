//! Users: created, found, listed, given a new password.

use relatch_domain::UserId;
use relatch_domain::event::Event;
use relatch_domain::password_rules::{InvalidPassword, Password, WeakPassword};
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_domain::user::{Roles, User, Username};

use super::origin::Origin;
use super::sessions::end_sessions;
use super::{App, Failure};
use crate::store::{NewUser, UserCreation};
use crate::telemetry;

/// Why a password cannot become somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefused {
    /// No account can have it.
    #[error(transparent)]
    Invalid(#[from] InvalidPassword),
    /// It breaks the rules for new passwords.
    #[error(transparent)]
    Weak(#[from] WeakPassword),
}

/// Reads a new password and holds it to the rules.
///
/// # Errors
/// Why it is refused.
pub fn new_password(app: &App, text: &str) -> Result<Password, PasswordRefused> {
    let password = Password::parse(text)?;
    password.check_new(app.policy.password_min_length)?;
    Ok(password)
}

/// Creates a user, or says that the name is taken.
///
/// # Errors
/// If the store fails or the hashing queue is full.
pub async fn create_user(
    app: &App,
    origin: &Origin,
    username: Username,
    roles: Roles,
    password: Password,
) -> Result<UserCreation, Failure> {
    let password_hash = Some(app.hasher.hash(password).await?);
    let id = app.random.user_id(app.clock.now())?;
    let creation = app.store.create_user(&NewUser { id, username, roles, password_hash }).await?;
    if let UserCreation::Created(user) = &creation {
        telemetry::record(origin, &Event::UserCreated { user: user.id });
    }
    Ok(creation)
}

/// A user by id.
///
/// # Errors
/// If the store fails.
pub async fn find_user(app: &App, id: UserId) -> Result<Option<User>, Failure> {
    Ok(app.store.user(id).await?)
}

/// At most `limit` users in the byte order of their names, those after `after` only.
///
/// # Errors
/// If the store fails.
pub async fn list_users(app: &App, after: Option<&Username>, limit: usize) -> Result<Vec<User>, Failure> {
    Ok(app.store.list_users(after, limit).await?)
}

/// Sets a user's password and ends all of the user's sessions. The user as it stands, or nothing if there is none.
///
/// # Errors
/// If the store fails or the hashing queue is full.
pub async fn set_password(
    app: &App,
    origin: &Origin,
    username: &Username,
    password: Password,
) -> Result<Option<User>, Failure> {
    let Some(found) = app.store.credentials(username).await? else { return Ok(None) };
    let hash = app.hasher.hash(password).await?;
    if !app.store.set_password(found.user.id, &hash).await? {
        return Ok(None);
    }
    telemetry::record(origin, &Event::PasswordChanged { user: found.user.id });
    end_sessions(app, origin, found.user.id, Scope::All, EndReason::PasswordChanged, None).await?;
    Ok(Some(found.user))
}
