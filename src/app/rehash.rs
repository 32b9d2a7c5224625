//! A hash made anew, of a password that was just right.

use relatch_domain::UserId;
use relatch_domain::password_rules::Password;

use super::{App, Failure};
use crate::keys::password::{Admission, needs_rehash};
use crate::store::{UserAsSeen, UserChange, UserChangeOutcome};

/// Replaces a stored hash of another scheme or cost than configured, if it is still the one that `password` was checked
/// against. Whatever hinders it: the password was right, the old hash still holds, and the next sign-in tries again.
pub(super) async fn rehash(app: &App, admission: &Admission, user: UserId, password: &str, checked: &str) {
    if !needs_rehash(checked, app.hasher.cost()) {
        return;
    }
    match replace(app, admission, user, password, checked).await {
        Ok(UserChangeOutcome::Changed(_)) => tracing::debug!(%user, "a password has been hashed anew"),
        // Changed or deleted meanwhile; or there is more to do than to wait for.
        Ok(UserChangeOutcome::Blocked | UserChangeOutcome::Unknown) | Err(Failure::Busy(_)) => {}
        Err(error) => tracing::warn!(%user, %error, "a password could not be hashed anew"),
    }
}

async fn replace(
    app: &App,
    admission: &Admission,
    user: UserId,
    password: &str,
    checked: &str,
) -> Result<UserChangeOutcome, Failure> {
    // It was one a moment ago.
    let Ok(password) = Password::parse(password) else { return Ok(UserChangeOutcome::Blocked) };
    let change = UserChange {
        password_hash: Some(admission.hash(password).await?),
        is_rehash: true,
        as_seen: UserAsSeen { password_hash: Some(checked.to_owned()), attributes: None },
        ..UserChange::of(user)
    };
    Ok(app.store.change_user(&change).await?)
}
