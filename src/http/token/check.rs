//! `GET /auth/check`: whether the caller is signed in.

use actix_web::{HttpResponse, web};
use relatch_domain::UnixSeconds;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::app::check::check as check_token;
use crate::http::answer::{UserAnswer, rfc3339};
use crate::http::error::Answer;
use crate::http::extract::{Bearer, Query, Then};
use crate::http::openapi::{problems, tag};

/// The query of a check.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// Whether to ask the store too.
    #[serde(default)]
    live: bool,
}

/// Who is signed in, since when, and until when this answer holds.
#[derive(Serialize, ToSchema)]
#[schema(as = Check)]
pub struct CheckAnswer<'a> {
    user: UserAnswer<'a>,
    session: Session<'a>,
    /// When the access token expires.
    #[schema(format = DateTime, examples("2026-11-21T10:48:52Z"))]
    expires_at: String,
}

/// The session that an access token is of.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckedSession)]
pub struct Session<'a> {
    /// The session, for revocations.
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$", examples("AaH9q2oHeG-ZftCuDiZGtvX0zhGwWUnUkyz7Cg9mQCQ"))]
    session_id: &'a str,
    /// When it began.
    #[schema(format = DateTime, examples("2026-11-21T10:33:52Z"))]
    signed_in_at: String,
}

problems!(CheckProblems: Bearer, Query<Params>, App; SessionRevoked, SessionExpired, UserDisabled);

/// Answers 200 with user, session and the access token's end. Asks the store only if `live=true`.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    get, path = "/auth/check", operation_id = "check", tag = tag::TOKENS,
    summary = "Whether the caller is signed in",
    description = "Verifies the access token without asking the store; with `live=true` the store is asked too.",
    security(("bearer" = [])), params(Params),
    responses((status = 200, description = "The caller is signed in", body = CheckAnswer), CheckProblems),
)]
pub async fn check(app: web::Data<App>, request: Then<Bearer, Query<Params>>) -> Answer<HttpResponse> {
    let Then(Bearer(access_token), Query(params)) = request;
    let checked = check_token(&app, &access_token, params.live).await??;
    let claims = &checked.caller.claims;
    let signed_in_at = UnixSeconds(u32::try_from(claims.auth_time).unwrap_or(u32::MAX));
    Ok(HttpResponse::Ok().json(CheckAnswer {
        user: UserAnswer::new(
            checked.caller.session.user,
            &checked.username,
            checked.roles.iter().map(String::as_str).collect(),
        ),
        session: Session { session_id: &claims.sid, signed_in_at: rfc3339(signed_in_at) },
        expires_at: rfc3339(checked.expires_at),
    }))
}
