//! Find a user by what an operator typed: an id or a name.

use relatch_domain::UserId;
use relatch_domain::user::{User, Username};

use super::{App, Failure};
use crate::store::UserQuery;

/// How many names are looked through for one that is like what was typed.
const LOOKED_THROUGH: usize = 500;
/// How many letters may be wrong in a name that is like another.
const MAX_DISTANCE: usize = 2;

/// The user with this id, or else with this name.
///
/// # Errors
/// If the store fails.
pub async fn find_named_user(app: &App, id_or_name: &str) -> Result<Option<User>, Failure> {
    if let Ok(id) = id_or_name.parse::<UserId>()
        && let Some(user) = app.store.user(id).await?
    {
        return Ok(Some(user));
    }
    let Ok(name) = id_or_name.parse::<Username>() else { return Ok(None) };
    Ok(app.store.credentials(&name).await?.map(|found| found.user))
}

/// A name like this one that somebody has, for an operator who mistyped it. Only some of the names that begin with the
/// same letter are looked at, so it costs one short read however many users there are.
///
/// # Errors
/// If the store fails.
pub async fn similar_name(app: &App, typed: &str) -> Result<Option<Username>, Failure> {
    let Ok(typed) = typed.parse::<Username>() else { return Ok(None) };
    let prefix = typed.as_str().chars().take(1).collect();
    let query = UserQuery { prefix: Some(prefix), after: None, limit: LOOKED_THROUGH };
    let names = app.store.list_users(&query).await?.into_iter().map(|user| user.profile.username);
    let distance = |name: &Username| strsim::osa_distance(name.as_str(), typed.as_str());
    Ok(names.filter(|name| distance(name) <= MAX_DISTANCE).min_by_key(distance))
}
