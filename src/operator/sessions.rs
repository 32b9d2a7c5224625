//! Commands about sessions.

use relatch_domain::{SessionId, SessionRef, UnixMillis, UnixSeconds};

use super::command::{Reply, RevokeTarget};
use super::rows::{ExplanationRow, SessionRow};
use super::{Done, Stop, named};
use crate::app::App;
use crate::app::explain::{Explanation, explain, gather};
use crate::app::origin::Origin;
use crate::app::revoke::{Revoked, Target, revoke as revoke_target};
use crate::app::session_history::{KnownSession, SessionState, known_sessions};
use crate::rfc3339;

/// Most sessions on one page.
const MAX_PAGE: usize = 500;
/// Longest note on the end of a session, in characters, as over HTTP.
const MAX_REASON: usize = 256;

pub(super) async fn list(app: &App, user: &str, all: bool, after: Option<String>, limit: usize) -> Done {
    let user = named(app, user).await?.id;
    let after =
        after.map(|after| read_place(&after).ok_or_else(|| Stop::refused("not a place in this list")));
    let after = after.transpose()?;
    let mut sessions = known_sessions(app, user).await?;
    sessions.retain(|known| all || known.state == SessionState::Live);
    sessions.retain(|known| after.is_none_or(|after| place(known) < after));
    let limit = limit.clamp(1, MAX_PAGE);
    let more = sessions.len() > limit;
    sessions.truncate(limit);
    let next = sessions.last().filter(|_| more).map(|last| {
        let (signed_in_at, session) = place(last);
        format!("{}.{}", signed_in_at.0, SessionRef { user, session })
    });
    let sessions = sessions.into_iter().map(|known| SessionRow::of(user, known)).collect();
    Ok(Reply::Sessions { sessions, next })
}

pub(super) async fn why(app: &App, session: &str) -> Done {
    let not_an_id =
        |_| Stop::refused("this is no session id; `relatch session list NAME --all` shows those of a user");
    let session: SessionRef = session.parse().map_err(not_an_id)?;
    let Explanation { cause, summary, story } = explain(&gather(app, session).await?);
    let explanation =
        ExplanationRow { session_id: session.to_string(), cause: cause.to_owned(), summary, story };
    Ok(Reply::Explained { explanation })
}

/// Where a session stands in the list, which goes from the highest place to the lowest.
fn place(known: &KnownSession) -> (UnixSeconds, SessionId) {
    (known.stored.record.signed_in_at, known.stored.id)
}

fn read_place(text: &str) -> Option<(UnixSeconds, SessionId)> {
    let (signed_in_at, session) = text.split_once('.')?;
    Some((UnixSeconds(signed_in_at.parse().ok()?), session.parse::<SessionRef>().ok()?.session))
}

pub(super) async fn revoke(app: &App, target: RevokeTarget, reason: Option<String>) -> Done {
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > MAX_REASON) {
        return Err(Stop::refused(format!("a reason has at most {MAX_REASON} characters")));
    }
    let user;
    let (target, unknown) = match &target {
        RevokeTarget::Session(id) => (Target::Session(id), "there is no such session"),
        RevokeTarget::User(name) => {
            user = named(app, name).await?.id.to_string();
            (Target::User(&user), "there is no such user any more")
        }
        RevokeTarget::Token(token) => {
            let (text, unknown) = (token.expose(), "this server did not issue the token, or its key is gone");
            if text.starts_with(relatch_domain::refresh_token::PREFIX) {
                (Target::RefreshToken(text), unknown)
            } else {
                app.load_keys_once().await?;
                (Target::AccessToken(text), unknown)
            }
        }
        RevokeTarget::Client(id) => (Target::Client(id), "there is no such client"),
        RevokeTarget::SignedInBefore(cutoff) => (Target::SignedInBefore(UnixMillis(*cutoff)), ""),
    };
    let client = match &target {
        Target::Client(id) => Some((*id).to_owned()),
        _ => None,
    };
    match revoke_target(app, &Origin::operator(), target, reason).await? {
        Revoked::Ended(revoked_sessions) => Ok(Reply::Revoked { revoked_sessions }),
        Revoked::Cutoff(cutoff) => Ok(Reply::CutoffRaised { client, cutoff: rfc3339::exact(cutoff) }),
        Revoked::InFuture => Err(Stop::refused("the time lies in the future, by the clock of the store")),
        Revoked::NotDurable => Err(Stop::not_durable()),
        Revoked::Unknown => Err(Stop::refused(unknown)),
    }
}
