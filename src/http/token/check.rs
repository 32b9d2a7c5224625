//! `GET /auth/check`: whether the caller is signed in.

use actix_web::{HttpResponse, web};
use relatch_domain::UnixSeconds;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::app::check::{CheckRequest, check as check_token};
use crate::http::answer::{UserAnswer, rfc3339};
use crate::http::cookie::TokenCookie;
use crate::http::error::Answer;
use crate::http::extract::{AccessToken, Query, Then};

/// The query of a check.
#[derive(Deserialize)]
pub struct Params {
    /// Whether to ask the store too.
    #[serde(default)]
    live: bool,
}

#[derive(Serialize)]
struct CheckAnswer<'a> {
    user: UserAnswer<'a>,
    session: Session<'a>,
    expires_at: String,
}

#[derive(Serialize)]
struct Session<'a> {
    session_id: &'a str,
    signed_in_at: String,
}

/// Answers 200 with user, session and the access token's end. Asks the store only if `live=true`, or to renew an access
/// token in its cookie.
///
/// # Errors
/// The documented problems.
pub async fn check(app: web::Data<App>, request: Then<AccessToken, Query<Params>>) -> Answer<HttpResponse> {
    let Then(access_token, Query(params)) = request;
    let request = CheckRequest {
        access_token: &access_token.token,
        live: params.live,
        cookie_room: access_token.in_cookie.then_some(TokenCookie::Access.max_value()),
    };
    let checked = check_token(&app, request).await??;
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
