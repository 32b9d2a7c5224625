//! Revoke: an administrator ends sessions.

use relatch_domain::refresh_token::RefreshToken;
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_domain::user::Username;
use relatch_domain::{SessionRef, UserId};

use super::origin::Origin;
use super::sessions::end_sessions;
use super::{App, Failure};

/// Whose sessions an administrator wants to end. Texts are as they came.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// One session.
    Session(&'a str),
    /// All sessions of a user, by id.
    User(&'a str),
    /// All sessions of a user, by name.
    Username(&'a str),
    /// The session of a refresh token.
    RefreshToken(&'a str),
    /// The session of an access token, which may have expired.
    AccessToken(&'a str),
}

/// What came of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// So many live sessions have ended.
    Ended(usize),
    /// They have ended, but too few replicas have heard of it: the administrator should repeat.
    NotDurable,
    /// There is no such session, user or token.
    Unknown,
}

/// Ends the sessions that the target names.
///
/// # Errors
/// If the store fails or keys are missing.
pub async fn revoke(
    app: &App,
    origin: &Origin,
    target: Target<'_>,
    note: Option<String>,
) -> Result<Revoked, Failure> {
    let Some((user, scope)) = resolve(app, target).await? else { return Ok(Revoked::Unknown) };
    let ended = end_sessions(app, origin, user, scope, EndReason::RevokedByAdmin, note).await?;
    Ok(match scope {
        Scope::One(_) if ended.covered == 0 => Revoked::Unknown,
        _ if !ended.durable => Revoked::NotDurable,
        _ => Revoked::Ended(ended.ended.len()),
    })
}

async fn resolve(app: &App, target: Target<'_>) -> Result<Option<(UserId, Scope)>, Failure> {
    let one = |session: SessionRef| (session.user, Scope::One(session.session));
    Ok(match target {
        Target::Session(text) => text.parse().ok().map(one),
        Target::RefreshToken(text) => {
            RefreshToken::open(text, &app.macs).ok().map(|token| one(token.session))
        }
        Target::AccessToken(text) => app.origin_of(text).await?.map(one),
        Target::User(text) => match text.parse::<UserId>() {
            Ok(id) => app.store.user(id).await?.map(|user| (user.id, Scope::All)),
            Err(_) => None,
        },
        Target::Username(text) => match text.parse::<Username>() {
            Ok(name) => app.store.credentials(&name).await?.map(|found| (found.user.id, Scope::All)),
            Err(_) => None,
        },
    })
}
