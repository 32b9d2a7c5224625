//! Commands about who gets in, and as what: waits after failed sign-ins, and roles.

use std::net::IpAddr;

use relatch_domain::user::Roles;

use super::command::Reply;
use super::users::{change, each_role};
use super::{Done, Stop, named};
use crate::app::App;
use crate::app::change_user::Changes;
use crate::app::guesses::{forget_failures, forget_failures_from};
use crate::app::origin::Origin;

pub(super) async fn unblock(app: &App, user: Option<&str>, address: Option<IpAddr>) -> Done {
    let origin = Origin::operator();
    let user = match user {
        Some(user) => Some(named(app, user).await?),
        None => None,
    };
    if let Some(user) = &user {
        forget_failures(app, &origin, user.id).await?.ok_or_else(Stop::gone)?;
    }
    if let Some(address) = address {
        forget_failures_from(app, &origin, address).await?;
    }
    Ok(Reply::Unblocked { user: user.map(Into::into), address })
}

pub(super) async fn roles(app: &App, user: &str, add: &[String], remove: &[String], force: bool) -> Done {
    let (add, remove) = (each_role(add)?, each_role(remove)?);
    let found = named(app, user).await?;
    let mut roles = add;
    for name in found.profile.roles.iter() {
        roles.insert(name.parse().map_err(Stop::refused)?);
    }
    roles.retain(|role| !remove.contains(role));
    let roles = Roles::try_from(roles).map_err(Stop::refused)?;
    change(app, &found.id.to_string(), Changes { roles: Some(roles), force, ..Changes::default() }).await
}
