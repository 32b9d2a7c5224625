//! Change a user: roles, attributes, password, whether sign-in is allowed. One step in the store, sessions included.

use relatch_domain::UserId;
use relatch_domain::attributes::{Attributes, AttributesPatch, InvalidAttributes};
use relatch_domain::event::{Event, UserEdit};
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_domain::user::{Roles, User};
use secrecy::{ExposeSecret as _, SecretString};

use super::administrators::{RemovalGuard, are_of_administrator};
use super::audit::AuditRecord;
use super::operation::{Operation, What};
use super::origin::Origin;
use super::users::{PasswordRefused, new_password};
use super::{App, Failure, ROUNDS};
use crate::store::{UserAsSeen, UserChange, UserChangeOutcome, UserChanged};

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
    /// Whether it may remove the last administrator.
    pub force: bool,
}

impl Changes {
    /// Whether the user is no administrator afterwards.
    fn remove_administrator(&self) -> bool {
        self.disabled == Some(true) || self.roles.as_ref().is_some_and(|roles| !are_of_administrator(roles))
    }
}

/// How attributes change.
pub enum AttributesChange {
    /// All of them go.
    Clear,
    /// Some are set, some go.
    Patch(AttributesPatch),
}

/// Attributes as they are to be, and as they must be until then, if that matters.
type Patched = (Attributes, Option<Attributes>);

impl AttributesChange {
    fn apply(&self, attributes: &Attributes) -> Result<Patched, InvalidAttributes> {
        match self {
            Self::Clear => Ok((Attributes::default(), None)),
            Self::Patch(patch) => Ok((attributes.patched(patch.clone())?, Some(attributes.clone()))),
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
    /// No administrator would be left who can sign in.
    LastAdministrator,
    /// The attributes would not be allowed.
    InvalidAttributes(InvalidAttributes),
    /// The password is not allowed.
    PasswordRefused(PasswordRefused),
}

/// Changes a user. Of two changes at once each holds in what it names; where both name the same, the later one.
/// Attributes are read, patched and written back, on the condition that they are still those that were read.
///
/// # Errors
/// If the store fails, the hashing queue is full, or the attributes became others each time between reading and writing.
pub async fn change_user(
    app: &App,
    origin: &Origin,
    id: UserId,
    wanted: Changes,
) -> Result<Changed, Failure> {
    let Some(found) = app.store.user(id).await? else { return unknown(app, id).await };
    if let Some(Err(error)) = patched(&wanted, &found) {
        return Ok(Changed::InvalidAttributes(error));
    }
    let password = wanted.password.as_ref();
    let password =
        password.map(|password| new_password(app, &found.profile.username, password.expose_secret()));
    let password = match password.transpose() {
        Ok(password) => password,
        Err(error) => return Ok(Changed::PasswordRefused(error)),
    };
    let Some(_guard) = removal_guard(app, origin, &wanted, &found).await? else {
        return Ok(Changed::LastAdministrator);
    };
    let edit = UserEdit {
        roles: wanted.roles.as_ref().map(|roles| roles.iter().map(str::to_owned).collect()),
        disabled: wanted.disabled,
        attributes: wanted.attributes.is_some(),
        password: password.is_some(),
    };
    let password_hash = match password {
        Some(password) => Some(app.admit_actor(origin)?.hash(password).await?),
        None => None,
    };
    let records = events(id, &edit).map(|event| AuditRecord::of(origin, &event, app.clock.now())).collect();
    let operation = app.open(origin, What::Change { user: id }, records).await?;
    let change = UserChange {
        roles: wanted.roles.clone(),
        disabled: wanted.disabled,
        password_hash,
        end: end_reason(&edit).map(|reason| (Scope::All, reason, origin.end_note(Some(id), None))),
        operation: Some(operation.id),
        ..UserChange::of(id)
    };
    match carry_out(app, change, &wanted, found).await? {
        Ok(done) => conclude(app, origin, operation, &edit, done).await,
        Err(hindrance) => {
            app.withdraw(operation).await;
            match hindrance {
                Hindrance::Unknown => unknown(app, id).await,
                Hindrance::InvalidAttributes(error) => Ok(Changed::InvalidAttributes(error)),
                Hindrance::Contended => Err(Failure::Contended),
            }
        }
    }
}

/// The guard for a change. Nothing if it would remove the last administrator.
async fn removal_guard<'a>(
    app: &'a App,
    origin: &Origin,
    wanted: &Changes,
    user: &User,
) -> Result<Option<RemovalGuard<'a>>, Failure> {
    if wanted.force || !wanted.remove_administrator() {
        return Ok(Some(RemovalGuard::unneeded()));
    }
    Box::pin(app.guard_removal(origin, user)).await
}

async fn unknown(app: &App, id: UserId) -> Result<Changed, Failure> {
    app.reveal_deleted(id).await?;
    Ok(Changed::Unknown)
}

/// Why a change is not made.
enum Hindrance {
    /// There is no such user.
    Unknown,
    /// The attributes would not be allowed.
    InvalidAttributes(InvalidAttributes),
    /// The attributes became others each time between reading and writing.
    Contended,
}

async fn carry_out(
    app: &App,
    mut change: UserChange,
    wanted: &Changes,
    mut found: User,
) -> Result<Result<UserChanged, Hindrance>, Failure> {
    for _ in 0..=ROUNDS {
        (change.attributes, change.as_seen) = match patched(wanted, &found).transpose() {
            Ok(patched) => {
                let (attributes, seen) = patched.unzip();
                (attributes, UserAsSeen { attributes: seen.flatten(), password_hash: None })
            }
            Err(error) => return Ok(Err(Hindrance::InvalidAttributes(error))),
        };
        match app.store.change_user(&change).await? {
            UserChangeOutcome::Changed(done) => return Ok(Ok(done)),
            UserChangeOutcome::Unknown => return Ok(Err(Hindrance::Unknown)),
            UserChangeOutcome::Blocked => {}
        }
        let Some(now) = app.store.user(found.id).await? else { return Ok(Err(Hindrance::Unknown)) };
        found = now;
    }
    Ok(Err(Hindrance::Contended))
}

/// What the attributes become, if they change.
fn patched(wanted: &Changes, user: &User) -> Option<Result<Patched, InvalidAttributes>> {
    wanted.attributes.as_ref().map(|change| change.apply(&user.profile.attributes))
}

/// What there is to tell of a change.
fn events(user: UserId, edit: &UserEdit) -> impl Iterator<Item = Event> {
    let password = edit.password.then_some(Event::PasswordChanged { user });
    password.into_iter().chain([Event::UserChanged { user, edit: edit.clone() }])
}

/// Tells of a change that is made.
async fn conclude(
    app: &App,
    origin: &Origin,
    operation: Operation,
    edit: &UserEdit,
    done: UserChanged,
) -> Result<Changed, Failure> {
    let UserChanged { user, ended, .. } = done;
    events(user.id, edit).for_each(|event| app.note(origin, &event));
    let in_force = app.conclude_change(origin, operation, user.id, &ended, end_reason(edit)).await?;
    if edit.password {
        app.lift_wait(user.id).await;
    }
    if !in_force {
        return Ok(Changed::NotDurable);
    }
    Ok(Changed::Yes { user: Box::new(user), ended: ended.ended.len() })
}

/// Why all sessions end, if they do. That the account is disabled is the stronger reason.
fn end_reason(edit: &UserEdit) -> Option<EndReason> {
    match edit {
        UserEdit { disabled: Some(true), .. } => Some(EndReason::UserDisabled),
        UserEdit { password: true, .. } => Some(EndReason::PasswordChanged),
        _ => None,
    }
}
