//! The last administrator, who must not be removed by mistake.
//!
//! Changes that remove an administrator are made one after the other on each server: of two administrators who demote
//! each other there, one stays. Servers that share a Redis do not wait for each other; if they remove two administrators
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

/// Held while an administrator is removed: removals on one server are made one after the other.
#[must_use]
pub(super) struct RemovalGuard<'a>(#[expect(dead_code, reason = "held")] Option<MutexGuard<'a, ()>>);

impl RemovalGuard<'_> {
    /// For a change that removes no administrator, or may remove even the last.
    pub(super) const fn unneeded() -> Self {
        Self(None)
    }
}

impl App {
    /// A guard for the removal of this user, if it is an administrator. Nothing if no other administrator can sign in.
    ///
    /// The caller is looked at first. Only for administrators who remove themselves, and for operators, users are read
    /// until another administrator is found.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) async fn guard_removal(
        &self,
        origin: &Origin,
        user: &User,
    ) -> Result<Option<RemovalGuard<'_>>, Failure> {
        if !is_administrator(user) {
            return Ok(Some(RemovalGuard::unneeded()));
        }
        let turn = self.node.removing_administrators.lock().await;
        let is_there = is_another(self, origin, user.id).await?;
        Ok(is_there.then_some(RemovalGuard(Some(turn))))
    }
}

/// Whether these roles may call `/admin`.
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
