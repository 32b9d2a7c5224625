//! `POST /admin/revoke`: an administrator ends sessions.

use actix_web::{HttpResponse, web};
use relatch_domain::UnixMillis;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::app::revoke::{Revoked, Target, revoke as revoke_target};
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::{Admin, ClientOrigin, Json, Then};
use crate::http::openapi::{problems, tag};
use crate::rfc3339;

/// Longest free-text reason, in characters.
const MAX_REASON: usize = 256;

/// Whose sessions end: exactly one of all fields but `reason`.
#[derive(Deserialize, ToSchema)]
#[schema(as = Revocation, examples(json!({ "username": "ada", "reason": "lost phone" })))]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// One session.
    #[schema(extensions(("x-alternative" = json!(true))))]
    session_id: Option<String>,
    /// All sessions of a user.
    #[schema(extensions(("x-alternative" = json!(true))))]
    user_id: Option<String>,
    /// All sessions of a user.
    #[schema(extensions(("x-alternative" = json!(true))))]
    username: Option<String>,
    /// The session of a refresh token, be it rotated out or expired.
    #[schema(value_type = Option<String>, extensions(("x-alternative" = json!(true))))]
    refresh_token: Option<SecretString>,
    /// The session of an access token, be it expired.
    #[schema(value_type = Option<String>, extensions(("x-alternative" = json!(true))))]
    access_token: Option<SecretString>,
    /// All sessions of a client that have begun by now, of all users: `relatch`, the client of this API itself.
    #[schema(extensions(("x-alternative" = json!(true))))]
    client_id: Option<String>,
    /// Everyone who signed in before this time (RFC 3339, not in the future). Milliseconds count; a finer fraction is
    /// rounded up.
    #[schema(format = DateTime, extensions(("x-alternative" = json!(true))))]
    signed_in_before: Option<String>,
    /// Free text, for administrators only.
    #[schema(max_length = 256)]
    reason: Option<String>,
}

/// What a revocation did.
#[derive(Serialize, ToSchema)]
#[schema(as = Revoked)]
pub struct RevokedAnswer {
    /// How many live sessions have ended.
    #[schema(examples(3))]
    revoked_sessions: usize,
}

/// Since when one must have signed in: everyone, or whoever did so by the client.
#[derive(Serialize, ToSchema)]
#[schema(as = Cutoff)]
pub struct CutoffAnswer {
    /// Sessions that began before this are over. It may be later than was asked for: it never goes back.
    #[schema(format = DateTime, examples("2026-11-21T10:33:51Z"))]
    cutoff: String,
}

problems!(RevokeProblems: Admin, Json<Body>; NotFound, CrossSiteRequest);

/// Answers 200 with the number of live sessions that have ended; 404 for whom or what does not exist. For `client_id` and
/// `signed_in_before` it answers 202 with the cutoff that is in force now, which may be later than the one asked for.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    post, path = "/admin/revoke", operation_id = "revoke", tag = tag::ADMIN,
    summary = "End sessions",
    description = "Afterwards no refresh of those sessions succeeds. Exactly one field says which. \
        `client_id` and `signed_in_before` are in force on every node within a second.",
    security(("bearer" = []), ("accessCookie" = [])), request_body = Body,
    responses(
        (status = 200, description = "How many sessions have ended", body = RevokedAnswer),
        (status = 202, description = "The cutoff that is in force now; for `client_id` and `signed_in_before`",
         body = CutoffAnswer),
        RevokeProblems,
    ),
)]
pub async fn revoke(
    app: web::Data<App>,
    origin: ClientOrigin,
    request: Then<Admin, Json<Body>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), Json(mut body)) = request;
    let origin = origin.0.by(admin.actor());
    let reason = reason(body.reason.take())?;
    match revoke_target(&app, &origin, target(&body)?, reason).await? {
        Revoked::Ended(count) => Ok(HttpResponse::Ok().json(RevokedAnswer { revoked_sessions: count })),
        Revoked::Cutoff(cutoff) => {
            Ok(HttpResponse::Accepted().json(CutoffAnswer { cutoff: rfc3339::exact(cutoff) }))
        }
        Revoked::InFuture => Err(ApiError::invalid_field(SIGNED_IN_BEFORE, "lies in the future")),
        Revoked::NotDurable => Err(ApiError::not_durable()),
        Revoked::Unknown => Err(ApiError::new(Code::NotFound)),
    }
}

const SIGNED_IN_BEFORE: &str = "signed_in_before";

fn target(body: &Body) -> Answer<Target<'_>> {
    let signed_in_before = body.signed_in_before.as_deref().map(point_in_time).transpose();
    let targets = [
        body.session_id.as_deref().map(Target::Session),
        body.user_id.as_deref().map(Target::User),
        body.username.as_deref().map(Target::Username),
        body.refresh_token.as_ref().map(|token| Target::RefreshToken(token.expose_secret())),
        body.access_token.as_ref().map(|token| Target::AccessToken(token.expose_secret())),
        body.client_id.as_deref().map(Target::Client),
        signed_in_before?.map(Target::SignedInBefore),
    ];
    let mut named = targets.into_iter().flatten();
    match (named.next(), named.next()) {
        (Some(target), None) => Ok(target),
        _ => Err(ApiError::invalid_request(
            "name exactly one of session_id, user_id, username, refresh_token, access_token, client_id and \
             signed_in_before",
        )),
    }
}

fn point_in_time(text: &str) -> Answer<UnixMillis> {
    let at = rfc3339::parse_up(text);
    at.ok_or_else(|| ApiError::invalid_field(SIGNED_IN_BEFORE, "is not a time in RFC 3339"))
}

fn reason(reason: Option<String>) -> Answer<Option<String>> {
    match reason {
        Some(reason) if reason.chars().count() > MAX_REASON => {
            Err(ApiError::invalid_field("reason", "has more than 256 characters"))
        }
        reason => Ok(reason),
    }
}
