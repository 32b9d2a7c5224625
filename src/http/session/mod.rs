//! `/sessions`: the devices on which the caller is signed in.

use actix_web::{HttpRequest, HttpResponse, web};
use relatch_domain::base64url;
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_domain::{SessionId, SessionRef, UnixSeconds, UserId};
use serde::Deserialize;

use crate::app::App;
use crate::app::sessions::{EndedSessions, end_sessions, live_sessions};
use crate::http::answer::{Page, SessionAnswer};
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::query::{ListParams, NoParams, Query, read_cursor};
use crate::http::extract::{ClientOrigin, LiveSession, Then, named};
use crate::http::openapi::{problems, tag, types};
use crate::store::StoredSession;

/// The query of an end.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EndParams {
    /// Whether the caller's own session ends too.
    #[serde(default)]
    include_current: bool,
}

problems!(ListProblems: LiveSession, Query<ListParams>);
problems!(EndOneProblems: LiveSession, Query<NoParams>; NotFound, CrossSiteRequest);
problems!(EndOthersProblems: LiveSession, Query<EndParams>; CrossSiteRequest);

/// `GET /sessions`: answers 200 with the caller's live sessions, the latest sign-in first.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    get, path = "/sessions", operation_id = "listSessions", tag = tag::SESSIONS,
    summary = "The caller's devices",
    description = "Live sessions, the latest sign-in first.",
    security(("bearer" = []), ("accessCookie" = [])), params(ListParams),
    responses((status = 200, description = "A page of sessions", body = Page<SessionAnswer>), ListProblems),
)]
pub async fn list(
    app: web::Data<App>,
    request: Then<LiveSession, Query<ListParams>>,
) -> Answer<HttpResponse> {
    let Then(LiveSession(live), Query(params)) = request;
    let current = live.caller.session;
    Ok(HttpResponse::Ok().json(page(&app, current.user, current, &params).await?))
}

/// A page of a user's live sessions, the latest sign-in first. `current` is the caller's own session, be the caller the
/// user or an administrator.
///
/// # Errors
/// If the cursor is not one of ours, or the store fails.
pub(super) async fn page(
    app: &App,
    user: UserId,
    current: SessionRef,
    params: &ListParams,
) -> Answer<Page<SessionAnswer>> {
    let after = read_cursor(params.cursor.as_deref(), read_place)?;
    let mut sessions = live_sessions(app, user).await?;
    sessions.retain(|session| after.is_none_or(|after| place(session) < after));
    let page = Page::new(sessions, params.limit.get(), cursor);
    Ok(page.map(|session| SessionAnswer::of(session, user, current)))
}

/// `DELETE /sessions/{id}`: answers 204; 404 for a session that is not the caller's.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    delete, path = "/sessions/{id}", operation_id = "endSession", tag = tag::SESSIONS,
    summary = "Sign one device out",
    description = "Ends one of the caller's own sessions. One that has ended already is as good.",
    security(("bearer" = []), ("accessCookie" = [])),
    params(("id" = types::SessionId, Path, description = "The session")),
    responses((status = 204, description = "The session has ended"), EndOneProblems),
)]
pub async fn end_one(
    app: web::Data<App>,
    request: HttpRequest,
    origin: ClientOrigin,
    caller: Then<LiveSession, Query<NoParams>>,
) -> Answer<HttpResponse> {
    let Then(LiveSession(live), _) = caller;
    let (user, origin) = (live.caller.session.user, origin.0.by(live.actor()));
    let scope = Scope::One(named_of(&request, "id", user)?);
    one_ended(end_sessions(&app, &origin, user, scope, EndReason::RevokedByUser, None).await?)
}

/// `DELETE /sessions`: answers 204; all but the current one, or all with `include_current=true`.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    delete, path = "/sessions", operation_id = "endSessions", tag = tag::SESSIONS,
    summary = "Sign all other devices out",
    description = "Ends all of the caller's sessions but the current one; with `include_current=true` that one too.",
    security(("bearer" = []), ("accessCookie" = [])), params(EndParams),
    responses((status = 204, description = "The sessions have ended"), EndOthersProblems),
)]
pub async fn end_others(
    app: web::Data<App>,
    origin: ClientOrigin,
    request: Then<LiveSession, Query<EndParams>>,
) -> Answer<HttpResponse> {
    let Then(LiveSession(live), Query(params)) = request;
    let (current, origin) = (live.caller.session, origin.0.by(live.actor()));
    let scope = if params.include_current { Scope::All } else { Scope::AllBut(current.session) };
    ended(end_sessions(&app, &origin, current.user, scope, EndReason::RevokedByUser, None).await?)
}

/// The session that a part of the path names, if it is this user's; 404 if not.
pub(super) fn named_of(request: &HttpRequest, part: &str, user: UserId) -> Answer<SessionId> {
    let session: SessionRef = named(request, part)?;
    if session.user == user { Ok(session.session) } else { Err(ApiError::new(Code::NotFound)) }
}

/// 204 for the end of one session, be it now or before; 404 if there is no such session.
pub(super) fn one_ended(one: EndedSessions) -> Answer<HttpResponse> {
    if one.found { ended(one) } else { Err(ApiError::new(Code::NotFound)) }
}

/// 204 for the end of however many sessions; 503 if it might not survive.
pub(super) fn ended(ended: EndedSessions) -> Answer<HttpResponse> {
    if ended.in_force { Ok(HttpResponse::NoContent().finish()) } else { Err(ApiError::not_durable()) }
}

/// Where a session stands in the list, which goes from the highest place to the lowest.
fn place(session: &StoredSession) -> (UnixSeconds, SessionId) {
    (session.record.signed_in_at, session.id)
}

fn cursor(last: &StoredSession) -> String {
    let (signed_in_at, id) = place(last);
    base64url::encode(&[&signed_in_at.0.to_be_bytes(), id.as_bytes().as_slice()].concat())
}

fn read_place(cursor: &str) -> Option<(UnixSeconds, SessionId)> {
    let bytes: [u8; 20] = base64url::decode_exact(cursor)?;
    let (signed_in_at, id) = bytes.split_first_chunk::<4>()?;
    let signed_in_at = UnixSeconds(u32::from_be_bytes(*signed_in_at));
    Some((signed_in_at, SessionId::from_bytes(id.try_into().ok()?)))
}
