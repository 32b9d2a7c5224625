//! Change a user: roles, attributes, password, whether sign-in is allowed. One step in the store, sessions included.

use relatch_domain::UserId;
use relatch_domain::attributes::{Attributes, AttributesPatch, InvalidAttributes};
use relatch_domain::event::{Event, UserEdit};
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_domain::user::{Roles, User};
use secrecy::{ExposeSecret as _, SecretString};

use super::origin::Origin;
use super::sessions::tell_ended;
use super::users::{PasswordRefused, new_password};
use super::{App, Failure};
use crate::store::UserChange;

/// What is to change. What is not named stays as it is.
#[derive(Default)]
pub struct Changes {
    /// The new roles. They are in access tokens from the next refresh on; `/admin` asks the store and knows them at once.
    pub roles: Option<Roles>,
    /// Whether sign-in and refresh are refused from now on. `true` ends all sessions.
    pub disabled: Option<bool>,
    /// How the attributes change.
    pub attributes: Option<AttributesChange>,
    /// The new password as typed. It ends all sessions.
    pub password: Option<SecretString>,
}

/// How attributes change.
pub enum AttributesChange {
    /// All of them go.
    Clear,
    /// Some are set, some go.
    Patch(AttributesPatch),
}

impl AttributesChange {
    fn apply(self, attributes: &Attributes) -> Result<Attributes, InvalidAttributes> {
        match self {
            Self::Clear => Ok(Attributes::default()),
            Self::Patch(patch) => attributes.patched(patch),
        }
    }
}

/// What came of a change.
pub enum Changed {
    /// It is in force.
    Yes {
        /// The user as it is now.
        user: Box<User>,
        /// How many live sessions have ended with it.
        ended: usize,
    },
    /// The change is in force, but too few replicas have heard of it: repeat it.
    NotDurable,
    /// There is no such user.
    Unknown,
    /// The attributes would not be allowed.
    InvalidAttributes(InvalidAttributes),
    /// The password is not allowed.
    PasswordRefused(PasswordRefused),
}

/// Changes a user. Of two changes at once each holds in what it names; where both name the same, the later one.
/// Attributes are one thing here: they are read, patched and written back, all of them.
///
/// # Errors
/// If the store fails or the hashing queue is full.
pub async fn change_user(
    app: &App,
    origin: &Origin,
    id: UserId,
    wanted: Changes,
) -> Result<Changed, Failure> {
    let Some(found) = app.store.user(id).await? else { return Ok(Changed::Unknown) };
    let patched = wanted.attributes.map(|change| change.apply(&found.profile.attributes));
    let attributes = match patched.transpose() {
        Ok(attributes) => attributes,
        Err(error) => return Ok(Changed::InvalidAttributes(error)),
    };
    let password =
        wanted.password.map(|password| new_password(app, &found.profile.username, password.expose_secret()));
    let password = match password.transpose() {
        Ok(password) => password,
        Err(error) => return Ok(Changed::PasswordRefused(error)),
    };
    let edit = UserEdit {
        roles: wanted.roles.as_ref().map(|roles| roles.iter().map(str::to_owned).collect()),
        disabled: wanted.disabled,
        attributes: attributes.is_some(),
        password: password.is_some(),
    };
    let password_hash = match password {
        Some(password) => Some(app.hasher.hash(password).await?),
        None => None,
    };
    let reason = end_reason(&edit);
    let end = reason.map(|reason| (Scope::All, reason, origin.end_note(None)));
    let (roles, disabled) = (wanted.roles, wanted.disabled);
    let change = UserChange { user: id, roles, disabled, attributes, password_hash, end };
    let Some(done) = app.store.change_user(&change).await? else { return Ok(Changed::Unknown) };
    if edit.password {
        app.tell(origin, &Event::PasswordChanged { user: id }).await;
    }
    app.tell(origin, &Event::UserChanged { user: id, edit }).await;
    if let Some(reason) = reason {
        tell_ended(app, origin, id, &done.ended, reason).await;
    }
    if !done.ended.durable {
        return Ok(Changed::NotDurable);
    }
    Ok(Changed::Yes { user: Box::new(done.user), ended: done.ended.ended.len() })
}

/// Why all sessions end, if they do. That the account is disabled is the stronger reason.
fn end_reason(edit: &UserEdit) -> Option<EndReason> {
    match edit {
        UserEdit { disabled: Some(true), .. } => Some(EndReason::UserDisabled),
        UserEdit { password: true, .. } => Some(EndReason::PasswordChanged),
        _ => None,
    }
}
