//! `POST /token/refresh`: a new pair for an old one.

use actix_web::{HttpRequest, HttpResponse, web};
use relatch_domain::attempt::AttemptKey;
use relatch_domain::rotation::{Mismatch, Verdict};
use relatch_domain::session::Delivery;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::refresh::{RefreshRequest, Refreshed, refresh as refresh_pair};
use crate::http::answer::TokenAnswer;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::header::single;
use crate::http::extract::{ClientOrigin, OptionalBearer, OptionalJson};
use crate::http::openapi::{problems, tag};

/// The refresh token, for a refresh or a sign-out.
#[derive(Deserialize, Default, ToSchema)]
#[schema(as = RefreshToken)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// The refresh token, unless it comes in the header `X-Refresh-Token`.
    #[schema(value_type = Option<String>, examples("rlt1_AaH9q2oHeG-ZftCuDiZGtvX0zhGwWUnUkyz7Cg9mQCQ"))]
    refresh_token: Option<SecretString>,
}

/// Where else the refresh token may be.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
pub struct RefreshTokenHeader {
    /// The refresh token, unless it comes in the body.
    #[param(rename = "X-Refresh-Token", nullable = false)]
    pub refresh_token: Option<String>,
}

/// What a refresh is recognised by when it is sent again.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
pub struct AttemptHeader {
    /// The attempt key: unguessable, fresh for each refresh, repeated only on retries of that refresh. Whoever repeats
    /// a refresh with it gets the same pair again.
    #[param(
        rename = "Idempotency-Key",
        nullable = false,
        min_length = 22,
        max_length = 255,
        pattern = "^[!-~]+$"
    )]
    pub attempt: Option<String>,
}

problems!(RefreshProblems: OptionalBearer, OptionalJson<Body>, App;
    AttemptKeyReused, WrongDelivery, InvalidToken, InvalidRefreshToken, RefreshTokenReused, SessionRevoked,
    SessionExpired, UserDisabled, RefreshSuperseded, TooManyRequests);

/// Answers 200 with the pair, or one of the problems of the table of verdicts.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    post, path = "/token/refresh", operation_id = "refresh", tag = tag::TOKENS,
    summary = "Refresh the pair",
    description = "Takes the access token, expired or not, with the refresh token of the same session, and answers with \
        a new pair. A failed refresh consumes nothing. A refresh token that was rotated out before ends the session.",
    security(("bearer" = [])), params(RefreshTokenHeader, AttemptHeader), request_body = Option<Body>,
    responses((status = 200, description = "The new pair", body = TokenAnswer), RefreshProblems),
)]
pub async fn refresh(
    app: web::Data<App>,
    request: HttpRequest,
    origin: ClientOrigin,
    access_token: OptionalBearer,
    body: OptionalJson<Body>,
) -> Answer<HttpResponse> {
    let Some(refresh_token) = refresh_token(&request, body.0)? else {
        return Err(ApiError::invalid_field("refresh_token", "is missing"));
    };
    let refreshed = refresh_pair(
        &app,
        RefreshRequest {
            refresh_token: refresh_token.expose_secret(),
            access_token: access_token.0.as_deref(),
            attempt: attempt_key(&request)?,
            delivery: Delivery::Body,
            origin: origin.0,
        },
    );
    match refreshed.await? {
        Refreshed::Pair(pair) => Ok(HttpResponse::Ok().json(TokenAnswer::new(&pair, None))),
        Refreshed::InvalidRefreshToken => Err(ApiError::new(Code::InvalidRefreshToken)),
        Refreshed::AccessTokenMissing => {
            Err(ApiError::invalid_request("the access token is missing: send it in the header Authorization"))
        }
        Refreshed::InvalidAccessToken => Err(ApiError::new(Code::InvalidToken)),
        Refreshed::Refused(verdict) => Err(refusal(verdict)),
    }
}

/// The refresh token from the body or from `X-Refresh-Token`; from both is an error.
///
/// # Errors
/// 400 if it came twice.
pub fn refresh_token(request: &HttpRequest, body: Body) -> Answer<Option<SecretString>> {
    match (body.refresh_token, single(request, "x-refresh-token")?) {
        (Some(_), Some(_)) => Err(ApiError::invalid_field(
            "refresh_token",
            "came in the body and in the header X-Refresh-Token",
        )),
        (Some(token), None) => Ok(Some(token)),
        (None, header) => Ok(header.map(|token| token.to_owned().into())),
    }
}

fn attempt_key(request: &HttpRequest) -> Answer<Option<AttemptKey>> {
    let Some(key) = single(request, "idempotency-key")? else { return Ok(None) };
    let key = AttemptKey::parse(key);
    key.map(Some).map_err(|error| ApiError::invalid_field("Idempotency-Key", error.to_string()))
}

/// How a verdict that mints nothing is answered.
fn refusal(verdict: Verdict) -> ApiError {
    match verdict {
        Verdict::Unknown => ApiError::new(Code::SessionRevoked),
        Verdict::Revoked(reason) => ApiError::new(Code::SessionRevoked).reason(Some(reason.code())),
        Verdict::Disabled => ApiError::new(Code::UserDisabled),
        Verdict::Mismatch(Mismatch::Delivery) => ApiError::new(Code::WrongDelivery),
        Verdict::Mismatch(Mismatch::Client | Mismatch::Key) => ApiError::new(Code::InvalidToken),
        Verdict::Expired(_) => ApiError::new(Code::SessionExpired),
        Verdict::AttemptKeyReused => ApiError::new(Code::AttemptKeyReused),
        Verdict::Throttled(wait) => ApiError::new(Code::TooManyRequests)
            .retry_after(wait.as_millis().div_ceil(1000).try_into().unwrap_or(1)),
        Verdict::Superseded => ApiError::new(Code::RefreshSuperseded),
        Verdict::Reuse => ApiError::new(Code::RefreshTokenReused),
        // These mint; `app::refresh` never refuses with them.
        Verdict::Rotate | Verdict::Retry | Verdict::Heal => ApiError::new(Code::InternalError),
    }
}
