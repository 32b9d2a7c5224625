//! Delete a user, with all sessions.

use relatch_domain::event::Event;
use relatch_domain::revocation::Revocation;
use relatch_domain::{SessionRef, UserId};

use super::administrators::RemovalGuard;
use super::audit::AuditRecord;
use super::operation::{Done, What};
use super::origin::Origin;
use super::{App, Failure};
use crate::store::NewEntry;

/// What came of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The user is gone.
    Yes,
    /// The user is gone, but too few replicas have heard of it: repeat it.
    NotDurable,
    /// There is no such user.
    Unknown,
    /// No administrator would be left who can sign in.
    LastAdministrator,
}

/// Deletes a user. The name is free again; the id never is. Repeated within a day it answers as it did at first. The last
/// administrator who can sign in is deleted only with `force`.
///
/// # Errors
/// If the store fails. The deletion may be repeated.
pub async fn delete_user(app: &App, origin: &Origin, id: UserId, force: bool) -> Result<Deleted, Failure> {
    let all = app.store.sessions_of(id).await?;
    let guard = match &all.user {
        Some(user) if !force => Box::pin(app.guard_removal(origin, user)).await?,
        _ => Some(RemovalGuard::unneeded()),
    };
    let Some(_guard) = guard else { return Ok(Deleted::LastAdministrator) };
    let template = AuditRecord::template(origin, app.clock.now());
    let live = all.sessions.iter().filter(|stored| stored.record.is_live(all.now));
    let ended =
        live.map(|stored| template.of_end(SessionRef { user: id, session: stored.id }, Event::USER_DELETED));
    let operation = app.open(origin, What::Delete { user: id }, ended.collect()).await?;
    let Some(deleted) = app.store.delete_user(id, Some(operation.id)).await? else {
        app.withdraw(operation).await;
        app.reveal_deleted(id).await?;
        return Ok(Deleted::Unknown);
    };
    let event = Event::UserDeleted { user: id, username: deleted.user.profile.username };
    app.note(origin, &event);
    // Kept with the entry: a repetition adds neither.
    let record = AuditRecord::of(origin, &event, app.clock.now()).to_json();
    let entry = NewEntry { revocation: Revocation::User(id), record };
    let done = Done { entry: Some(entry), durable: deleted.durable, ..Done::default() };
    let in_force = app.conclude(origin, operation, done).await?;
    Ok(if in_force { Deleted::Yes } else { Deleted::NotDurable })
}
