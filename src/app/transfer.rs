//! Users brought over from another place and taken to another, with the password hashes that they have there.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use relatch_domain::attributes::Attributes;
use relatch_domain::event::Event;
use relatch_domain::user::{Roles, User, Username};
use relatch_domain::{SessionId, SessionRef, UserId};

use super::audit::AuditRecord;
use super::operation::{Done, Operation, What};
use super::origin::Origin;
use super::{App, Failure};
use crate::keys::password::{UnreadableHash, as_exported, as_imported};
use crate::store::{Credentials, NewUser, UserCreation, UserQuery};

/// How many users are worked on at the same time.
const AT_ONCE: usize = 32;

/// A user as another place has it.
pub struct ForeignUser {
    /// The id, if it is to stay the same.
    pub id: Option<UserId>,
    /// The name.
    pub username: Username,
    /// The roles.
    pub roles: Roles,
    /// The attributes.
    pub attributes: Attributes,
    /// Whether sign-in is refused until somebody changes that.
    pub disabled: bool,
    /// The password's hash. Without one nobody can sign in by password.
    pub password_hash: Option<String>,
}

/// What came of a user who was to be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// There is such a user now.
    Added,
    /// There was such a user before: it was imported earlier.
    AlreadyThere,
    /// There is none.
    Refused(ImportRefused),
}

/// Why a user is not imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefused {
    /// No password could be checked against the hash.
    #[error(transparent)]
    Hash(#[from] UnreadableHash),
    /// Somebody else has the name, or the same user in another state.
    #[error("another user has this name, or this one has another password by now")]
    NameTaken,
    /// Somebody else has the id.
    #[error("another user has this id")]
    IdTaken,
    /// Servers still remember the end of whoever had the id, and would repeat it.
    #[error("a user with this id was deleted within the last hour; wait, or import without the id")]
    IdDeleted,
}

/// Imports users, or only says what would come of it. One that is there already stays as it is, so that an import that
/// broke off can be repeated.
///
/// # Errors
/// If the store fails. Some may have been added by then.
pub async fn import_users(
    app: &App,
    origin: &Origin,
    users: Vec<ForeignUser>,
    dry_run: bool,
) -> Result<Vec<Imported>, Failure> {
    let operation = if dry_run {
        None
    } else {
        let event = Event::UsersImported { users: users.len() };
        let record = AuditRecord::of(origin, &event, app.clock.now());
        Some(app.open(origin, What::Act, vec![record]).await?)
    };
    let importing = users.into_iter().map(|user| import_user(app, user, dry_run));
    let mut importing = stream::iter(importing).buffered(AT_ONCE);
    let (mut all, mut failure) = (Vec::new(), None);
    while let Some(imported) = importing.next().await {
        match imported {
            Ok(imported) => all.push(imported),
            // The others are on their way already; what was added is to be told.
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    let added = all.iter().filter(|imported| **imported == Imported::Added).count();
    if let Some(operation) = operation {
        conclude(app, origin, operation, added).await?;
    }
    failure.map_or(Ok(all), Err)
}

async fn conclude(app: &App, origin: &Origin, operation: Operation, added: usize) -> Result<(), Failure> {
    if added == 0 {
        app.withdraw(operation).await;
        return Ok(());
    }
    let event = Event::UsersImported { users: added };
    app.note(origin, &event);
    let operation = operation.recording(vec![AuditRecord::of(origin, &event, app.clock.now())]);
    app.conclude(origin, operation, Done { durable: true, ..Done::default() }).await.map(drop)
}

async fn import_user(app: &App, user: ForeignUser, dry_run: bool) -> Result<Imported, Failure> {
    let password_hash = match user.password_hash.as_deref().map(as_imported).transpose() {
        Ok(password_hash) => password_hash,
        Err(unreadable) => return Ok(Imported::Refused(unreadable.into())),
    };
    if let Some(found) = app.store.credentials(&user.username).await? {
        return Ok(beside(&user, &found));
    }
    let id = match user.id {
        Some(id) => match hindrance(app, id).await? {
            Some(why) => return Ok(Imported::Refused(why)),
            None => id,
        },
        None => app.random.user_id(app.clock.now())?,
    };
    if dry_run {
        return Ok(Imported::Added);
    }
    let new = NewUser {
        id,
        username: user.username,
        roles: user.roles,
        attributes: user.attributes,
        disabled: user.disabled,
        password_hash,
        operation: None,
    };
    match app.store.create_user(&new).await? {
        UserCreation::Created(_) => Ok(Imported::Added),
        UserCreation::NameTaken => Ok(Imported::Refused(ImportRefused::NameTaken)),
    }
}

/// What to say of a user whose name somebody has.
fn beside(user: &ForeignUser, found: &Credentials) -> Imported {
    let is_same = match user.id {
        Some(id) => found.user.id == id,
        None => exported(found.password_hash.as_deref()) == exported(user.password_hash.as_deref()),
    };
    if is_same { Imported::AlreadyThere } else { Imported::Refused(ImportRefused::NameTaken) }
}

fn exported(hash: Option<&str>) -> Option<&str> {
    hash.map(as_exported)
}

/// Why nobody can be given this id.
async fn hindrance(app: &App, id: UserId) -> Result<Option<ImportRefused>, Failure> {
    let any_session = SessionRef { user: id, session: SessionId::from_bytes([0; 16]) };
    if app.node.revocations.of(any_session).is_some() {
        return Ok(Some(ImportRefused::IdDeleted));
    }
    Ok(app.store.user(id).await?.map(|_| ImportRefused::IdTaken))
}

/// A page of users with their hashes, in the byte order of their names.
pub struct ExportedPage {
    /// The users.
    pub users: Vec<(User, Option<String>)>,
    /// The name after which the next page begins, if there may be one.
    pub next: Option<Username>,
}

/// Users with their password hashes. That somebody took them is told once, with the first page.
///
/// # Errors
/// If the store fails.
pub async fn export_users(
    app: &App,
    origin: &Origin,
    after: Option<Username>,
    limit: usize,
) -> Result<ExportedPage, Failure> {
    if after.is_none() {
        app.tell_for_certain(origin, &Event::UsersExported).await?;
    }
    let listed = app.store.list_users(&UserQuery { prefix: None, after, limit }).await?;
    let next = listed.last().filter(|_| listed.len() == limit).map(|last| last.profile.username.clone());
    let looking_up = listed.iter().map(|user| app.store.credentials(&user.profile.username));
    let found: Vec<_> = stream::iter(looking_up).buffered(AT_ONCE).try_collect().await?;
    // Whoever was deleted meanwhile is left out.
    let users = found.into_iter().flatten();
    let users =
        users.map(|found| (found.user, found.password_hash.as_deref().map(as_exported).map(str::to_owned)));
    let users = users.collect();
    Ok(ExportedPage { users, next })
}
