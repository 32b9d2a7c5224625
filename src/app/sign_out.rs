//! Sign-out: the end of the caller's own session.

use relatch_domain::SessionRef;
use relatch_domain::event::{Actor, Event};
use relatch_domain::refresh_token::RefreshToken;
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;

use super::caller::NotLetIn;
use super::origin::Origin;
use super::{App, Failure};
use crate::store::EndStep;

/// The tokens that a client shows to be signed out.
pub struct SignOut<'a> {
    /// The refresh token. With it the access token may have expired, or be missing.
    pub refresh_token: Option<&'a str>,
    /// The access token.
    pub access_token: Option<&'a str>,
    /// Where from.
    pub origin: Origin,
}

/// What came of a sign-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedOut {
    /// The session has ended, now or before.
    Yes,
    /// The session has ended, but too few replicas have heard of it: the client should repeat.
    NotDurable,
    /// No token came at all.
    NoToken,
    /// The refresh token is not one of ours.
    InvalidRefreshToken,
    /// The access token does not let the caller in.
    NotLetIn(NotLetIn),
}

/// Ends the session that the tokens name. Repeating it changes nothing.
///
/// Any genuine refresh token of the session will do, a rotated-out one as well: presenting one could end the session
/// by [`super::refresh`] anyway.
///
/// # Errors
/// If the store fails or keys are missing.
pub async fn sign_out(app: &App, request: SignOut<'_>) -> Result<SignedOut, Failure> {
    let session = match named_session(app, &request).await? {
        Ok(session) => session,
        Err(refused) => return Ok(refused),
    };
    let step = EndStep {
        user: session.user,
        scope: Scope::One(session.session),
        begun_before: None,
        reason: EndReason::SignedOut,
        note: request.origin.end_note(Some(session.user), None),
    };
    let since = app.since();
    let ended = app.store.end_sessions(&step).await?;
    if !ended.ended.is_empty() {
        let reason = EndReason::SignedOut;
        let origin = request.origin.by(Actor::User(session));
        app.tell(&origin, &Event::SessionEnded { session, reason }).await;
    }
    if ended.covered == 0 {
        // A store that has lost it may be given it back, by a server that remembers the sign-in.
        app.remember_as_ended(session, EndReason::SignedOut);
    }
    let durable = app.in_force(since, ended.durable).await;
    Ok(if durable { SignedOut::Yes } else { SignedOut::NotDurable })
}

async fn named_session(app: &App, request: &SignOut<'_>) -> Result<Result<SessionRef, SignedOut>, Failure> {
    let Some(refresh_token) = request.refresh_token else {
        let Some(access_token) = request.access_token else { return Ok(Err(SignedOut::NoToken)) };
        let caller = app.holder(access_token).await?;
        return Ok(caller.map(|caller| caller.session).map_err(SignedOut::NotLetIn));
    };
    let Ok(token) = RefreshToken::open(refresh_token, &app.macs) else {
        return Ok(Err(SignedOut::InvalidRefreshToken));
    };
    let session = token.session;
    match request.access_token {
        Some(access_token) if app.origin_of(access_token).await? != Some(session) => {
            Ok(Err(SignedOut::NotLetIn(NotLetIn::InvalidToken)))
        }
        _ => Ok(Ok(session)),
    }
}
