//! `GET /auth/check`: whether the caller is signed in.

use actix_web::{HttpResponse, web};
use relatch_domain::UnixSeconds;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::app::check::{CheckRequest, check as check_token};
use crate::http::answer::{UserAnswer, rfc3339};
use crate::http::cookie::TokenCookie;
use crate::http::error::Answer;
use crate::http::extract::{AccessToken, Query, Then};
use crate::http::openapi::{problems, tag, types};
use crate::telemetry::request::UnderWay;

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
    #[schema(value_type = types::SessionId)]
    session_id: &'a str,
    /// When it began.
    #[schema(format = DateTime, examples("2026-11-21T10:33:52Z"))]
    signed_in_at: String,
}

problems!(CheckProblems: AccessToken, Query<Params>, App; SessionRevoked, SessionExpired, UserDisabled);

/// Answers 200 with user, session and the access token's end. Asks the store only if `live=true`, or to renew an access
/// token in its cookie.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    get, path = "/auth/check", operation_id = "check", tag = tag::TOKENS,
    summary = "Whether the caller is signed in",
    description = "Verifies the access token without asking the store, and refuses it if its session was revoked within the last \
        hour, as every node knows within a second; with `live=true` the store is asked too. With \
        `access_token.sliding`, an access token in its cookie that is about to expire is renewed.",
    security(("bearer" = []), ("accessCookie" = [])), params(Params),
    responses(
        (status = 200, description = "The caller is signed in", body = CheckAnswer,
         headers(("Set-Cookie" = String, description = "The renewed `__Host-relatch-at`, if it was about to expire"))),
        CheckProblems,
    ),
)]
pub async fn check(app: web::Data<App>, request: Then<AccessToken, Query<Params>>) -> Answer<HttpResponse> {
    let Then(access_token, Query(params)) = request;
    let request = CheckRequest {
        access_token: &access_token.token,
        live: params.live,
        cookie_room: access_token.in_cookie.then_some(TokenCookie::Access.max_value()),
    };
    let checked = check_token(&app, request).await??;
    UnderWay::is_by(checked.caller.session.user);
    let claims = &checked.caller.claims;
    let signed_in_at = UnixSeconds(u32::try_from(claims.auth_time).unwrap_or(u32::MAX));
    let mut response = HttpResponse::Ok();
    if let Some(renewed) = &checked.renewed {
        response.cookie(TokenCookie::Access.with(&renewed.access.token, renewed.session_expires_in));
    }
    Ok(response.json(CheckAnswer {
        user: UserAnswer::new(
            checked.caller.session.user,
            &checked.username,
            checked.roles.iter().map(String::as_str).collect(),
        ),
        session: Session { session_id: &claims.sid, signed_in_at: rfc3339(signed_in_at) },
        expires_at: rfc3339(checked.expires_at),
    }))
}
