//! Revoke: an administrator ends sessions: one, all of a user, all of a client, or all from before a point in time.

use relatch_domain::event::Event;
use relatch_domain::refresh_token::RefreshToken;
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_domain::user::Username;
use relatch_domain::{ClientNumber, SessionRef, UnixSeconds, UserId};

use super::cutoff::{Raised, raise_cutoff};
use super::everyone::{Ending, Tally, end_page};
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
    SignedInBefore(UnixSeconds),
}

/// What came of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// So many live sessions have ended.
    Ended(usize),
    /// Everyone who signed in before this point is signed out.
    Cutoff(UnixSeconds),
    /// The point lies in the future: nothing has changed.
    InFuture,
    /// They have ended, but too few replicas have heard of it: the administrator should repeat.
    NotDurable,
    /// There is no such session, user, token or client.
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
    match target {
        Target::SignedInBefore(at) => Ok(match raise_cutoff(app, origin, at, note).await? {
            Raised::InForce(cutoff) => Revoked::Cutoff(cutoff),
            Raised::NotDurable => Revoked::NotDurable,
            Raised::InFuture => Revoked::InFuture,
        }),
        Target::Client(FIRST_PARTY_CLIENT) => {
            revoke_client(app, origin, FIRST_PARTY_CLIENT, ClientNumber::FIRST_PARTY, note).await
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

/// Ends the sessions of a client, of all users. One event tells of them all: one for each session would push everything
/// else out of the audit trail.
async fn revoke_client(
    app: &App,
    origin: &Origin,
    client: &'static str,
    number: ClientNumber,
    note: Option<String>,
) -> Result<Revoked, Failure> {
    let note = origin.end_note(None, note);
    let ending = Ending { scope: Scope::Client(number), reason: EndReason::RevokedByAdmin, note };
    let mut tally = Tally::default();
    let mut after = None;
    let ended = loop {
        match end_page(app, &ending, after.as_ref(), &mut tally).await {
            Ok(None) => break Ok(()),
            Ok(last) => after = last,
            Err(error) => break Err(error),
        }
    };
    // What has ended has ended, even if not all of them have.
    if tally.ended > 0 {
        app.tell(origin, &Event::ClientRevoked { client, sessions: tally.ended }).await;
    }
    ended?;
    Ok(if tally.durable { Revoked::Ended(tally.ended) } else { Revoked::NotDurable })
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
