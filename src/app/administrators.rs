//! The last administrator, who is not to be locked out by mistake.
//!
//! Changes that take an administrator away are made one after the other on each server: of two administrators who demote
//! each other there, one stays. Servers that share a Redis do not wait for each other; if they take away two administrators
//! in the same moment, none may be left, and an operator makes one (`relatch user role add`).

use relatch_domain::UserId;
use relatch_domain::event::Actor;
use relatch_domain::user::{Role, Roles, User};
use tokio::sync::MutexGuard;

use super::origin::Origin;
use super::{App, Failure};
use crate::store::UserQuery;

/// How many users are read at a time.
const PAGE: usize = 500;

/// Leave to take an administrator away, until it is dropped.
#[must_use]
pub(super) struct Leave<'a>(#[expect(dead_code, reason = "held")] Option<MutexGuard<'a, ()>>);

impl Leave<'_> {
    /// Where none is taken away, or even the last may be.
    pub(super) const fn unneeded() -> Self {
        Self(None)
    }
}

impl App {
    /// Leave to take away the administrator that this user may be. Nothing if there is no other who can sign in.
    ///
    /// The caller is looked at first. Only if administrators take themselves away, or an operator does, users are read
    /// until another is found.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) async fn leave_to_remove(
        &self,
        origin: &Origin,
        user: &User,
    ) -> Result<Option<Leave<'_>>, Failure> {
        if !is_administrator(user) {
            return Ok(Some(Leave::unneeded()));
        }
        let turn = self.node.removing_administrators.lock().await;
        let is_there = is_another(self, origin, user.id).await?;
        Ok(is_there.then_some(Leave(Some(turn))))
    }
}

/// Whether roles let call `/admin`.
pub(super) fn are_of_administrator(roles: &Roles) -> bool {
    roles.has(Role::ADMIN)
}

fn is_administrator(user: &User) -> bool {
    are_of_administrator(&user.profile.roles) && !user.disabled
}

async fn is_another(app: &App, origin: &Origin, than: UserId) -> Result<bool, Failure> {
    let is_other = |user: &User| user.id != than && is_administrator(user);
    if let Actor::User(caller) = origin.actor
        && app.store.user(caller.user).await?.as_ref().is_some_and(is_other)
    {
        return Ok(true);
    }
    let mut after = None;
    loop {
        let page = app.store.list_users(&UserQuery { prefix: None, after, limit: PAGE }).await?;
        if page.iter().any(is_other) {
            return Ok(true);
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.profile.username.clone()),
            _ => return Ok(false),
        }
    }
}
