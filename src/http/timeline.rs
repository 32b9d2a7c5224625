//! `GET /sessions/{id}/timeline` and `GET /admin/users/{id}/timeline`: what happened to sessions.

use actix_web::{HttpRequest, HttpResponse, web};
use relatch_domain::user::Role;
use relatch_domain::{SessionId, SessionRef, UnixSeconds, UserId, base64url};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Page, rfc3339};
use super::error::{Answer, ApiError, Code};
use super::extract::query::{ListParams, Query, read_cursor};
use super::extract::{Admin, ClientOrigin, LiveSession, Then, named};
use super::openapi::{problems, tag};
use crate::app::App;
use crate::app::timeline::{Entry, Place, What, session_timeline, user_timeline};

/// Something that happened to a session. What does not apply or is not known is left out.
#[derive(Serialize, ToSchema, Default)]
#[schema(as = TimelineEntry)]
pub struct EntryAnswer {
    /// When. Of `refreshed`, when it was last.
    #[schema(format = DateTime, examples("2026-11-21T12:03:17Z"))]
    at: String,
    /// `signed_in`, `refreshed`, `expired` or `ended`; or what was not ordinary: `moved` (refreshed from elsewhere),
    /// `retried`, `superseded`, `healed`, `mismatched`. Later versions may tell of more.
    #[schema(examples("ended"))]
    event: &'static str,
    /// To which session.
    #[schema(
        pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$",
        examples("AaH9q2oHeG-ZftCuDiZGtvX0zhGwWUnUkyz7Cg9mQCQ")
    )]
    session_id: String,
    /// The generation of the refresh token then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(12))]
    generation: Option<u32>,
    /// How many events of the kind the entry stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(12))]
    count: Option<u32>,
    /// Why it ended, or which deadline it missed: `idle` or `absolute`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("revoked_by_admin"))]
    reason: Option<&'static str>,
    /// What the client called its device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("phone"))]
    device_name: Option<String>,
    /// From where it was caused. Where administrators sit is for administrators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("192.0.2.7"))]
    address: Option<String>,
    /// `User-Agent` of whoever caused it. That of administrators is for administrators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("okhttp/5.1"))]
    user_agent: Option<String>,
    /// What an administrator wrote about the end. For administrators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("lost phone"))]
    note: Option<String>,
    /// Of an end by `reuse`: who had refreshed last, if that is known. One of the two is not the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    other: Option<PartyAnswer>,
}

/// Where somebody is and with what.
#[derive(Serialize, ToSchema)]
#[schema(as = TimelineParty)]
pub struct PartyAnswer {
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("198.51.100.23"))]
    address: Option<String>,
    /// The `User-Agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("okhttp/5.1"))]
    user_agent: Option<String>,
}

impl EntryAnswer {
    fn of(entry: Entry, user: UserId, for_admin: bool) -> Self {
        let session_id = SessionRef { user, session: entry.session }.to_string();
        let base = Self { at: rfc3339(entry.at), session_id, ..Self::default() };
        let what = if for_admin { entry.what } else { entry.what.for_its_user() };
        match what {
            What::SignedIn(details) => Self {
                event: "signed_in",
                generation: Some(0),
                device_name: details.device_name,
                address: details.address,
                user_agent: details.user_agent,
                ..base
            },
            What::Refreshed(generation) => {
                Self { event: "refreshed", generation: Some(generation.0), count: Some(generation.0), ..base }
            }
            What::Happened(line) => Self {
                event: line.what.name(),
                generation: Some(line.generation),
                count: Some(line.more.saturating_add(1)),
                address: line.party.address,
                user_agent: line.party.user_agent,
                ..base
            },
            What::Expired(deadline) => Self { event: "expired", reason: Some(deadline.code()), ..base },
            What::Ended(reason, note) => Self {
                event: "ended",
                reason: Some(reason.code()),
                address: note.address,
                user_agent: note.user_agent,
                note: note.text,
                other: note
                    .other
                    .map(|other| PartyAnswer { address: other.address, user_agent: other.user_agent }),
                ..base
            },
        }
    }
}

problems!(SessionProblems: LiveSession, Query<ListParams>; NotFound);
problems!(UserProblems: Admin, Query<ListParams>; NotFound);

/// `GET /sessions/{id}/timeline`: answers 200 with what happened to a session of the caller, or of anyone if the caller
/// is an administrator; 404 otherwise.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    get, path = "/sessions/{id}/timeline", operation_id = "getSessionTimeline", tag = tag::SESSIONS,
    summary = "What happened to a session",
    description = "Newest first. Ended sessions have a timeline too, for at least a day. Administrators read anyone's.",
    security(("bearer" = []), ("accessCookie" = [])),
    params(("id" = String, Path, description = "The session", pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$",
            example = "AaH9q2oHeG-ZftCuDiZGtvX0zhGwWUnUkyz7Cg9mQCQ"), ListParams),
    responses((status = 200, description = "A page of entries", body = Page<EntryAnswer>), SessionProblems),
)]
pub async fn of_session(
    app: web::Data<App>,
    request: HttpRequest,
    origin: ClientOrigin,
    read: Then<LiveSession, Query<ListParams>>,
) -> Answer<HttpResponse> {
    let Then(LiveSession(reader), Query(params)) = read;
    let origin = origin.0.by(reader.actor());
    let session: SessionRef = named(&request, "id")?;
    let entries = session_timeline(&app, &origin, &reader, session).await?;
    let for_admin = reader.profile.roles.has(Role::ADMIN);
    page(entries, &params, |entry| EntryAnswer::of(entry, session.user, for_admin))
}

/// `GET /admin/users/{id}/timeline`: answers 200 with what happened to all sessions of a user.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    get, path = "/admin/users/{id}/timeline", operation_id = "getUserTimeline", tag = tag::ADMIN,
    summary = "What happened to a user's sessions",
    description = "All sessions that are remembered, as one timeline, newest first.",
    security(("bearer" = []), ("accessCookie" = [])),
    params(("id" = String, Path, description = "The user", format = Uuid,
            example = "01a1fdab-6a07-786f-997e-d0ae0e2646b6"), ListParams),
    responses((status = 200, description = "A page of entries", body = Page<EntryAnswer>), UserProblems),
)]
pub async fn of_user(
    app: web::Data<App>,
    request: HttpRequest,
    read: Then<Admin, Query<ListParams>>,
) -> Answer<HttpResponse> {
    let Then(_, Query(params)) = read;
    let user: UserId = named(&request, "id")?;
    let entries = user_timeline(&app, user).await?;
    page(entries, &params, |entry| EntryAnswer::of(entry, user, true))
}

fn page(
    entries: Option<Vec<Entry>>,
    params: &ListParams,
    answer: impl FnMut(Entry) -> EntryAnswer,
) -> Answer<HttpResponse> {
    let after = read_cursor(params.cursor.as_deref(), read_place)?;
    let Some(mut entries) = entries else { return Err(ApiError::new(Code::NotFound)) };
    entries.retain(|entry| after.is_none_or(|after| entry.place() < after));
    Ok(HttpResponse::Ok().json(Page::new(entries, params.limit.get(), cursor).map(answer)))
}

fn cursor(last: &Entry) -> String {
    let (at, session, rank) = last.place();
    base64url::encode(&[&at.0.to_be_bytes(), session.as_bytes().as_slice(), &[rank]].concat())
}

fn read_place(cursor: &str) -> Option<Place> {
    let bytes: [u8; 21] = base64url::decode_exact(cursor)?;
    let (at, rest) = bytes.split_first_chunk::<4>()?;
    let (session, rank) = rest.split_first_chunk::<16>()?;
    Some((UnixSeconds(u32::from_be_bytes(*at)), SessionId::from_bytes(*session), *rank.first()?))
}
