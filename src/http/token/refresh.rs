//! `POST /token/refresh`: a new pair for an old one.

use actix_web::http::header::HeaderName;
use actix_web::{HttpRequest, HttpResponse, web};
use relatch_domain::attempt::AttemptKey;
use relatch_domain::rotation::{Mismatch, Verdict};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::deliver::deliver;
use super::described::RefreshedPair;
use crate::app::App;
use crate::app::refresh::{RefreshRequest, Refreshed, Way, refresh as refresh_pair};
use crate::http::cookie::TokenCookie;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::header::single;
use crate::http::extract::{ClientOrigin, Cookies, OptionalBearer, OptionalJson};
use crate::http::openapi::{problems, tag};

const X_REFRESH_TOKEN: HeaderName = HeaderName::from_static("x-refresh-token");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The refresh token, for a refresh or a sign-out.
#[derive(Deserialize, Default, ToSchema)]
#[schema(as = RefreshToken)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// The refresh token, unless it comes in the header `X-Refresh-Token` or its cookie.
    #[schema(value_type = Option<String>, examples("rlt1_AaH9q2oHeG-ZftCuDiZGtvX0zhGwWUnUkyz7Cg9mQCQ"))]
    refresh_token: Option<SecretString>,
}

/// Where else the refresh token may be.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
pub struct RefreshTokenHeader {
    /// The refresh token, unless it comes in the body or its cookie.
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
        pattern = "^[!-~]+$",
        example = "3q2-7wABnGkQ9VxkYH0mFA"
    )]
    pub attempt: Option<String>,
}

problems!(RefreshProblems: OptionalBearer, OptionalJson<Body>, App;
    AttemptKeyReused, WrongDelivery, InvalidToken, InvalidRefreshToken, RefreshTokenReused, SessionRevoked,
    SessionExpired, UserDisabled, RefreshSuperseded, CrossSiteRequest, TokenTooLarge);

/// Answers 200 with the pair, or one of the problems of the table of verdicts.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    post, path = "/token/refresh", operation_id = "refresh", tag = tag::TOKENS,
    summary = "Refresh the pair",
    description = "Takes the access token, expired or not, with the refresh token of the same session, and answers with \
        a new pair. A failed refresh consumes nothing. A refresh token that was rotated out before ends the session. \
        Tokens come back the way they were delivered: cookies in cookies, and what the JSON had in the request. \
        `token_too_large` is the one failure that sets a cookie, the new refresh token: else the session would be lost.",
    security(("bearer" = []), ("bearer" = [], "refreshCookie" = []), ("pairCookie" = [], "refreshCookie" = []),
        ("accessCookie" = [], "refreshCookie" = [])), params(RefreshTokenHeader, AttemptHeader), request_body = Option<Body>,
    responses(RefreshedPair, RefreshProblems),
)]
pub async fn refresh(
    app: web::Data<App>,
    request: HttpRequest,
    origin: ClientOrigin,
    bearer: OptionalBearer,
    cookies: Cookies,
    body: OptionalJson<Body>,
) -> Answer<HttpResponse> {
    let Some(refresh_token) = refresh_token(&request, &cookies, body.0)? else {
        return Err(ApiError::invalid_field("refresh_token", "is missing"));
    };
    let refreshed = refresh_pair(
        &app,
        RefreshRequest {
            refresh_token: refresh_token.text(),
            way: way(&refresh_token, bearer.0.as_deref(), &cookies)?,
            attempt: attempt_key(&request)?,
            origin: origin.0,
        },
    );
    match refreshed.await? {
        Refreshed::Pair(pair) => deliver(&pair, None, &[]),
        Refreshed::InvalidRefreshToken => Err(ApiError::new(Code::InvalidRefreshToken)),
        Refreshed::AccessTokenMissing => Err(ApiError::invalid_request(
            "the access token is missing: send it in the header Authorization or its cookie",
        )),
        Refreshed::InvalidAccessToken => Err(ApiError::new(Code::InvalidToken)),
        Refreshed::Refused(verdict) => Err(refusal(verdict)),
    }
}

/// A refresh token, and who sent it.
pub enum Sent {
    /// The client itself, in the body or in `X-Refresh-Token`.
    Written(SecretString),
    /// The browser, in the cookie.
    InCookie(SecretString),
}

impl Sent {
    /// The token.
    pub fn text(&self) -> &str {
        match self {
            Self::Written(token) | Self::InCookie(token) => token.expose_secret(),
        }
    }
}

/// The refresh token from the body, from `X-Refresh-Token` or from its cookie.
///
/// # Errors
/// 400 if it came from two of them, 403 if another site may have sent the cookie.
pub fn refresh_token(request: &HttpRequest, cookies: &Cookies, body: Body) -> Answer<Option<Sent>> {
    let header = single(request, &X_REFRESH_TOKEN)?.map(SecretString::from);
    let cookie = cookies.credential(TokenCookie::Refresh)?.map(SecretString::from);
    let sent = [body.refresh_token.map(Sent::Written), header.map(Sent::Written), cookie.map(Sent::InCookie)];
    let mut sent = sent.into_iter().flatten();
    match (sent.next(), sent.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(ApiError::invalid_field(
            "refresh_token",
            "came in two places: the body, the header X-Refresh-Token and the cookie are three",
        )),
    }
}

/// How the pair came. The cookie `pair` serves the refresh cookie only; a Bearer token wins over any cookie.
fn way<'a>(refresh_token: &Sent, bearer: Option<&'a str>, cookies: &'a Cookies) -> Answer<Way<'a>> {
    Ok(match (refresh_token, bearer) {
        (Sent::Written(_), Some(_)) => Way::Written { access_token: bearer },
        (Sent::Written(_), None) => Way::Written { access_token: cookies.credential(TokenCookie::Access)? },
        (Sent::InCookie(_), bearer) => Way::Cookies {
            bearer,
            pair: cookies.credential(TokenCookie::Pair)?,
            access: cookies.credential(TokenCookie::Access)?,
        },
    })
}

fn attempt_key(request: &HttpRequest) -> Answer<Option<AttemptKey>> {
    let Some(key) = single(request, &IDEMPOTENCY_KEY)? else { return Ok(None) };
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
        Verdict::Throttled(wait) => ApiError::new(Code::TooManyRequests).wait(wait),
        Verdict::Superseded => ApiError::new(Code::RefreshSuperseded),
        Verdict::Reuse => ApiError::new(Code::RefreshTokenReused),
        // These mint; `app::refresh` never refuses with them.
        Verdict::Rotate | Verdict::Retry | Verdict::Heal => ApiError::new(Code::InternalError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use relatch_domain::rotation::Deadline;
    use relatch_domain::session::EndReason;
    use std::time::Duration;

    #[test]
    fn each_refusal_has_its_answer() {
        for (verdict, answer) in [
            (Verdict::Unknown, "session_revoked"),
            (Verdict::Revoked(EndReason::Reuse), "session_revoked"),
            (Verdict::Disabled, "user_disabled"),
            (Verdict::Mismatch(Mismatch::Delivery), "wrong_delivery"),
            (Verdict::Mismatch(Mismatch::Client), "invalid_token"),
            (Verdict::Mismatch(Mismatch::Key), "invalid_token"),
            (Verdict::Expired(Deadline::Idle), "session_expired"),
            (Verdict::Expired(Deadline::Absolute), "session_expired"),
            (Verdict::AttemptKeyReused, "attempt_key_reused"),
            (Verdict::Throttled(Duration::from_millis(1)), "too_many_requests"),
            (Verdict::Superseded, "refresh_superseded"),
            (Verdict::Reuse, "refresh_token_reused"),
        ] {
            assert_eq!(refusal(verdict).to_string(), answer, "{verdict:?}");
        }
    }
}
