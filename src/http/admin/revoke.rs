//! `POST /admin/revoke`: an administrator ends sessions.

use actix_web::{HttpResponse, web};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::app::revoke::{Revoked, Target, revoke as revoke_target};
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::{Admin, ClientOrigin, Json, Then};
use crate::http::openapi::{problems, tag};

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

problems!(RevokeProblems: Admin, Json<Body>; NotFound);

/// Answers 200 with the number of live sessions that have ended; 404 for whom or what does not exist.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    post, path = "/admin/revoke", operation_id = "revoke", tag = tag::ADMIN,
    summary = "End sessions",
    description = "Afterwards no refresh of those sessions succeeds. Exactly one field says which.",
    security(("bearer" = [])), request_body = Body,
    responses((status = 200, description = "How many sessions have ended", body = RevokedAnswer), RevokeProblems),
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
        Revoked::NotDurable => Err(ApiError::not_durable()),
        Revoked::Unknown => Err(ApiError::new(Code::NotFound)),
    }
}

fn target(body: &Body) -> Answer<Target<'_>> {
    let targets = [
        body.session_id.as_deref().map(Target::Session),
        body.user_id.as_deref().map(Target::User),
        body.username.as_deref().map(Target::Username),
        body.refresh_token.as_ref().map(|token| Target::RefreshToken(token.expose_secret())),
        body.access_token.as_ref().map(|token| Target::AccessToken(token.expose_secret())),
    ];
    let mut named = targets.into_iter().flatten();
    match (named.next(), named.next()) {
        (Some(target), None) => Ok(target),
        _ => Err(ApiError::invalid_request(
            "name exactly one of session_id, user_id, username, refresh_token and access_token",
        )),
    }
}

fn reason(reason: Option<String>) -> Answer<Option<String>> {
    match reason {
        Some(reason) if reason.chars().count() > MAX_REASON => {
            Err(ApiError::invalid_field("reason", "has more than 256 characters"))
        }
        reason => Ok(reason),
    }
}
