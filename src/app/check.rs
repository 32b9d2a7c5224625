//! Check: whether a caller is signed in, by the access token alone or with a look into the store. A token in a cookie
//! may be renewed by it.

use relatch_domain::session::Delivery;
use relatch_domain::user::Profile;
use relatch_domain::{UnixMillis, UnixSeconds};

use super::caller::{Caller, LiveCaller, NotLetIn};
use super::issue::left_of;
use super::{App, Failure};
use crate::keys::mint::MintedToken;

/// A check as a client asks for it.
#[derive(Debug, Clone, Copy)]
pub struct CheckRequest<'a> {
    /// The access token.
    pub access_token: &'a str,
    /// Whether to ask the store too.
    pub live: bool,
    /// If the token came in its cookie: the longest one that fits there, in bytes.
    pub cookie_room: Option<usize>,
}

/// A caller who is signed in.
pub struct Checked {
    /// The caller.
    pub caller: Caller,
    /// Name and roles: the access token's, or the store's if it was asked.
    pub username: String,
    /// See `username`.
    pub roles: Vec<String>,
    /// When the access token expires; the renewed one, if there is one.
    pub expires_at: UnixSeconds,
    /// A new access token for the cookie.
    pub renewed: Option<Renewed>,
}

/// An access token that takes the place of one that was about to expire.
pub struct Renewed {
    /// The token.
    pub access: MintedToken,
    /// Seconds until the session expires if it does not refresh.
    pub session_expires_in: u32,
}

/// Checks an access token. The store is asked with `live`, while a change of the user is under way, and if the token is in a
/// cookie and near its end: then it is renewed, and neither is the refresh token rotated nor any deadline moved.
///
/// # Errors
/// If keys are missing, or the store was asked with `live` and failed.
pub async fn check(app: &App, request: CheckRequest<'_>) -> Result<Result<Checked, NotLetIn>, Failure> {
    // Where the store is asked, its word comes first.
    let token = request.access_token;
    let caller = if request.live { app.holder(token).await } else { app.caller(token).await };
    let caller = match caller? {
        Ok(caller) => caller,
        Err(refused) => return Ok(Err(refused)),
    };
    if request.live
        && let Err(wait) = app.asks_live(caller.session)
    {
        return Ok(Err(NotLetIn::TooOften(wait)));
    }
    let cookie_room = request.cookie_room.filter(|_| slides(app, &caller, app.clock.now()));
    // What an operation that is open has ended is not in the log yet.
    let is_unsettled = app.node.revocations.is_unsettled(caller.session.user);
    if !request.live && cookie_room.is_none() && !is_unsettled {
        return Ok(Ok(by_token(caller)));
    }
    let live = match app.live(caller.clone()).await {
        Ok(Ok(live)) => live,
        Ok(Err(refused)) => return Ok(Err(refused)),
        // The token is good still, and nobody asked for more.
        Err(failure) if !request.live => {
            tracing::warn!(error = %failure, "the store was not asked whether a session is alive");
            return Ok(Ok(by_token(caller)));
        }
        Err(failure) => return Err(failure),
    };
    let renewed = match cookie_room {
        Some(room) => renew(app, &live, room)?,
        None => None,
    };
    Ok(Ok(by_store(live, renewed)))
}

/// Whether a caller's access token is in the last part of its life, in which it is renewed.
fn slides(app: &App, caller: &Caller, now: UnixMillis) -> bool {
    let left = caller.claims.exp.saturating_sub(now.seconds().0.into());
    app.policy.sliding.is_some_and(|sliding| left <= sliding.as_secs())
}

/// A new access token, if the session is one of cookies, and if the token fits there and lives longer.
fn renew(app: &App, live: &LiveCaller, room: usize) -> Result<Option<Renewed>, Failure> {
    if live.record.delivery != Delivery::Cookie {
        return Ok(None);
    }
    let access = app.mint(live.caller.session, &live.record, &live.profile, live.now)?;
    let better = u64::from(access.expires_at.0) > live.caller.claims.exp && access.token.len() <= room;
    Ok(better.then(|| Renewed { access, session_expires_in: left_of(&live.record, live.now) }))
}

fn by_token(caller: Caller) -> Checked {
    let (username, roles) = (caller.claims.preferred_username.clone(), caller.claims.roles.clone());
    checked(caller, username, roles, None)
}

fn by_store(live: LiveCaller, renewed: Option<Renewed>) -> Checked {
    let Profile { username, roles, .. } = live.profile;
    let roles = roles.iter().map(str::to_owned).collect();
    checked(live.caller, username.into(), roles, renewed)
}

fn checked(caller: Caller, username: String, roles: Vec<String>, renewed: Option<Renewed>) -> Checked {
    let expires_at = match &renewed {
        Some(renewed) => renewed.access.expires_at,
        None => UnixSeconds(u32::try_from(caller.claims.exp).unwrap_or(u32::MAX)),
    };
    Checked { caller, username, roles, expires_at, renewed }
}
