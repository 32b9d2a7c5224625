//! Register: a stranger makes an account.

use std::time::Duration;

use relatch_domain::password_rules::Password;
use relatch_domain::user::{Roles, Username};

use super::origin::Origin;
use super::users::{NewAccount, hash_password, keep_user};
use super::{App, Failure};
use crate::store::UserCreation;

/// Makes an account with the role `user`, or says that the name is taken.
///
/// The password is hashed before the name is claimed, whether it is free or not, and what comes then takes as long for
/// a taken name as for a free one: a taken name is told by the answer and not by the time that it takes.
///
/// # Errors
/// If the store fails or has not been joined yet, or the hashing queue is full. The inner one is the time after which the
/// address may make another account.
pub async fn register(
    app: &App,
    origin: &Origin,
    username: Username,
    password: Password,
) -> Result<Result<UserCreation, Duration>, Failure> {
    // Until then the store may be somebody else's, or lack the administrator, who is only made while there is no user.
    app.ring()?;
    let admission = app.admit_registration(origin)?;
    if let Err(wait) = app.count_registration(origin) {
        return Ok(Err(wait));
    }
    let new = hash_password(app, &admission, NewAccount::of(username, Roles::of_a_user(), password)).await?;
    drop(admission);
    app.node.registrations.keep(keep_user(app, origin, new)).await.map(Ok)
}
