//! Delete a user, with all sessions.

use relatch_domain::UserId;
use relatch_domain::event::Event;

use super::origin::Origin;
use super::{App, Failure};

/// What came of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The user is gone.
    Yes,
    /// The user is gone, but too few replicas have heard of it: repeat it.
    NotDurable,
    /// There is no such user.
    Unknown,
}

/// Deletes a user. The name is free again; the id never is.
///
/// # Errors
/// If the store fails. The deletion may be repeated.
pub async fn delete_user(app: &App, origin: &Origin, id: UserId) -> Result<Deleted, Failure> {
    let since = app.since();
    let Some(deleted) = app.store.delete_user(id).await? else { return Ok(Deleted::Unknown) };
    let username = deleted.user.profile.username;
    app.tell(origin, &Event::UserDeleted { user: id, username }).await;
    let durable = app.in_force(since, deleted.durable).await;
    Ok(if durable { Deleted::Yes } else { Deleted::NotDurable })
}
