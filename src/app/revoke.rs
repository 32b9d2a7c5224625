//! Revoke: an administrator ends sessions: one, all of a user, all of a client, or all from before a point in time.

use relatch_domain::refresh_token::RefreshToken;
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_domain::user::Username;
use relatch_domain::{ClientNumber, SessionRef, UnixMillis, UserId};

use super::cutoff::{Raised, raise_cutoff, revoke_client};
use super::origin::Origin;
use super::sessions::end_sessions;
use super::{App, Failure};
use crate::keys::mint::FIRST_PARTY_CLIENT;

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
    /// All sessions of a client, of all users.
    Client(&'a str),
    /// All sessions that began before a point in time, of all users.
    SignedInBefore(UnixMillis),
}

/// What came of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// So many live sessions have ended.
    Ended(usize),
    /// All sessions, everyone's or the client's, that began before this point are over.
    Cutoff(UnixMillis),
    /// The point lies in the future: nothing has changed.
    InFuture,
    /// They have ended, but too few replicas have heard of it: the administrator should repeat.
    NotDurable,
    /// There is no such session, user, token or client.
    Unknown,
}

impl From<Raised> for Revoked {
    fn from(raised: Raised) -> Self {
        match raised {
            Raised::InForce(cutoff) => Self::Cutoff(cutoff),
            Raised::NotDurable => Self::NotDurable,
            Raised::InFuture => Self::InFuture,
        }
    }
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
    match target {
        Target::SignedInBefore(at) => raise_cutoff(app, origin, at, note).await.map(Revoked::from),
        Target::Client(FIRST_PARTY_CLIENT) => {
            let (client, number) = (FIRST_PARTY_CLIENT, ClientNumber::FIRST_PARTY);
            revoke_client(app, origin, client, number, note).await.map(Revoked::from)
        }
        Target::Client(_) => Ok(Revoked::Unknown),
        target => revoke_of_user(app, origin, target, note).await,
    }
}

async fn revoke_of_user(
    app: &App,
    origin: &Origin,
    target: Target<'_>,
    note: Option<String>,
) -> Result<Revoked, Failure> {
    let Some((user, scope)) = resolve(app, target).await? else { return Ok(Revoked::Unknown) };
    let ended = end_sessions(app, origin, user, scope, EndReason::RevokedByAdmin, note).await?;
    Ok(match scope {
        Scope::One(_) if !ended.found => Revoked::Unknown,
        _ if !ended.in_force => Revoked::NotDurable,
        _ => Revoked::Ended(ended.ended),
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
        Target::Client(_) | Target::SignedInBefore(_) => None,
    })
}
