//! Check: whether a caller is signed in, by the access token alone or with a look into the store.

use relatch_domain::UnixSeconds;
use relatch_domain::user::Profile;

use super::caller::{Caller, NotLetIn};
use super::{App, Failure};

/// A caller who is signed in.
pub struct Checked {
    /// The caller.
    pub caller: Caller,
    /// Name and roles: the access token's, or the store's if it was asked.
    pub username: String,
    /// See `username`.
    pub roles: Vec<String>,
    /// When the access token expires.
    pub expires_at: UnixSeconds,
}

/// Checks an access token; with `live`, asks the store too whether the session is alive.
///
/// # Errors
/// If keys are missing, or the store was asked and failed.
pub async fn check(app: &App, access_token: &str, live: bool) -> Result<Result<Checked, NotLetIn>, Failure> {
    let caller = match app.caller(access_token).await? {
        Ok(caller) => caller,
        Err(refused) => return Ok(Err(refused)),
    };
    if !live {
        let (username, roles) = (caller.claims.preferred_username.clone(), caller.claims.roles.clone());
        return Ok(Ok(checked(caller, username, roles)));
    }
    Ok(app.live(caller).await?.map(|live| {
        let Profile { username, roles, .. } = live.profile;
        checked(live.caller, username.into(), roles.iter().map(str::to_owned).collect())
    }))
}

fn checked(caller: Caller, username: String, roles: Vec<String>) -> Checked {
    let expires_at = UnixSeconds(u32::try_from(caller.claims.exp).unwrap_or(u32::MAX));
    Checked { caller, username, roles, expires_at }
}
