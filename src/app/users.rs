//! Users: created, found, listed, given a new password. Other changes are in [`super::change_user`].

use relatch_domain::UserId;
use relatch_domain::attributes::Attributes;
use relatch_domain::event::Event;
use relatch_domain::password_rules::{InvalidPassword, Password, WeakPassword};
use relatch_domain::user::{Roles, User, Username};

use super::audit::AuditRecord;
use super::operation::{Done, What};
use super::origin::Origin;
use super::{App, Failure};
use crate::keys::password::Admission;
use crate::store::{Credentials, NewUser, UserChange, UserCreation, UserQuery};

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

/// Reads a new password of this user and holds it to the rules.
///
/// # Errors
/// Why it is refused.
pub fn new_password(app: &App, username: &Username, text: &str) -> Result<Password, PasswordRefused> {
    let password = Password::parse_new(text)?;
    app.policy.password_rules.check(&password, Some(username))?;
    Ok(password)
}

/// An account to be.
pub struct NewAccount {
    /// The name.
    pub username: Username,
    /// The roles.
    pub roles: Roles,
    /// The attributes.
    pub attributes: Attributes,
    /// Whether sign-in is refused until somebody changes that.
    pub disabled: bool,
    /// The password.
    pub password: Password,
}

impl NewAccount {
    /// An account without attributes that can be used at once.
    pub fn of(username: Username, roles: Roles, password: Password) -> Self {
        Self { username, roles, attributes: Attributes::default(), disabled: false, password }
    }
}

/// Creates a user, or says that the name is taken.
///
/// # Errors
/// If the store fails or the hashing queue is full.
pub async fn create_user(app: &App, origin: &Origin, account: NewAccount) -> Result<UserCreation, Failure> {
    let admission = app.admit_actor(origin)?;
    let new = hash_password(app, &admission, account).await?;
    keep_user(app, origin, new).await
}

/// Creates a user who has no password yet and cannot sign in, or says that the name is taken.
///
/// # Errors
/// If the store fails.
pub async fn create_without_password(
    app: &App,
    origin: &Origin,
    username: Username,
    roles: Roles,
) -> Result<UserCreation, Failure> {
    let id = app.random.user_id(app.clock.now())?;
    let attributes = Attributes::default();
    let new =
        NewUser { id, username, roles, attributes, disabled: false, password_hash: None, operation: None };
    keep_user(app, origin, new).await
}

/// The hash of a password that the server has made up.
///
/// # Errors
/// If the hashing queue is full.
pub async fn hash_first_password(app: &App, password: Password) -> Result<String, Failure> {
    Ok(app.admit_actor(&Origin::server())?.hash(password).await?)
}

/// Gives a user without a password the first one, by its hash. That the user was created is on record; this completes
/// it. False if there is no such user any more.
///
/// # Errors
/// If the store fails.
pub async fn give_first_password(app: &App, user: UserId, hash: String) -> Result<bool, Failure> {
    let change = UserChange { password_hash: Some(hash), is_rehash: true, ..UserChange::of(user) };
    Ok(app.store.change_user(&change).await?.changed().is_some())
}

/// The first half of [`create_user`], which takes the same time whether the name is free or not.
pub(super) async fn hash_password(
    app: &App,
    admission: &Admission,
    account: NewAccount,
) -> Result<NewUser, Failure> {
    let NewAccount { username, roles, attributes, disabled, password } = account;
    let password_hash = Some(admission.hash(password).await?);
    let id = app.random.user_id(app.clock.now())?;
    Ok(NewUser { id, username, roles, attributes, disabled, password_hash, operation: None })
}

/// The second half of [`create_user`].
pub(super) async fn keep_user(app: &App, origin: &Origin, mut new: NewUser) -> Result<UserCreation, Failure> {
    let (user, username) = (new.id, new.username.clone());
    let event = Event::UserCreated { user, username };
    let record = AuditRecord::of(origin, &event, app.clock.now());
    let operation = app.open(origin, What::Create { user }, vec![record]).await?;
    new.operation = Some(operation.id);
    let creation = app.store.create_user(&new).await?;
    match &creation {
        UserCreation::Created(_) => {
            app.note(origin, &event);
            app.conclude(origin, operation, Done { durable: true, ..Done::default() }).await?;
        }
        UserCreation::NameTaken => app.withdraw(operation).await,
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

/// A user by id, with the hash and the number of the password.
pub(super) async fn credentials(app: &App, id: UserId) -> Result<Option<Credentials>, Failure> {
    let Some(user) = app.store.user(id).await? else { return Ok(None) };
    let found = app.store.credentials(&user.profile.username).await?;
    // A name can have gone to somebody else meanwhile.
    Ok(found.filter(|found| found.user.id == id))
}

/// Users in the byte order of their names.
///
/// # Errors
/// If the store fails.
pub async fn list_users(app: &App, query: &UserQuery) -> Result<Vec<User>, Failure> {
    Ok(app.store.list_users(query).await?)
}

/// The user of this id, or else the users whose names begin with the query, in the byte order of their names.
///
/// # Errors
/// If the store fails.
pub async fn search_users(
    app: &App,
    query: &str,
    after: Option<Username>,
    limit: usize,
) -> Result<Vec<User>, Failure> {
    if let Ok(id) = query.parse::<UserId>()
        && let Some(user) = app.store.user(id).await?
    {
        // One user is one page.
        return Ok(if after.is_none() { vec![user] } else { Vec::new() });
    }
    let Some(beginning) = Username::beginning(query) else { return Ok(Vec::new()) };
    Ok(app.store.list_users(&UserQuery { prefix: Some(beginning), after, limit }).await?)
}
