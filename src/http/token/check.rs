//! `GET /auth/check`: whether the caller is signed in.

use actix_web::{HttpResponse, web};
use relatch_domain::UnixSeconds;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::app::check::check as check_token;
use crate::http::answer::{UserAnswer, rfc3339};
use crate::http::error::Answer;
use crate::http::extract::{Bearer, Query, Then};

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

/// Answers 200 with user, session and the access token's end. Asks the store only if `live=true`.
///
/// # Errors
/// The documented problems.
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
