//! Register: a stranger makes an account.

use std::time::Duration;

use relatch_domain::password_rules::Password;
use relatch_domain::user::{Roles, User, Username};

use super::origin::Origin;
use super::users::{NewAccount, hash_password, keep_user};
use super::{App, Failure};
use crate::store::{NewUser, UserCreation};

/// What came of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// There is such a user now.
    Created(User),
    /// Another user has the name.
    NameTaken,
    /// Another user has a name that looks like it (UTS 39).
    LooksTaken,
}

/// Makes an account with the role `user`, or says that the name is taken, or that it looks like one that is.
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
) -> Result<Result<Registration, Duration>, Failure> {
    // Until then the store may be somebody else's, or lack the administrator, who is only made while there is no user.
    app.ring()?;
    let admission = app.admit_registration(origin)?;
    if let Err(wait) = app.count_registration(origin) {
        return Ok(Err(wait));
    }
    let new = hash_password(app, &admission, NewAccount::of(username, Roles::of_a_user(), password)).await?;
    drop(admission);
    app.node.registrations.keep(keep_if_distinct(app, origin, new)).await.map(Ok)
}

/// Creates the user, unless the name looks like that of another user.
async fn keep_if_distinct(app: &App, origin: &Origin, new: NewUser) -> Result<Registration, Failure> {
    let (id, name) = (new.id, new.username.clone());
    if !app.store.claim_skeleton(&name, id).await? {
        let is_the_same = app.store.credentials(&name).await?.is_some();
        return Ok(if is_the_same { Registration::NameTaken } else { Registration::LooksTaken });
    }
    match keep_user(app, origin, new).await? {
        UserCreation::Created(user) => Ok(Registration::Created(user)),
        UserCreation::NameTaken => {
            app.store.release_skeleton(&name, id).await?;
            Ok(Registration::NameTaken)
        }
    }
}
