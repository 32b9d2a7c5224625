//! `POST /token/refresh`: a new pair for an old one.

use actix_web::{HttpRequest, HttpResponse, web};
use relatch_domain::attempt::AttemptKey;
use relatch_domain::rotation::{Mismatch, Verdict};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::deliver::deliver;
use crate::app::App;
use crate::app::refresh::{RefreshRequest, Refreshed, Way, refresh as refresh_pair};
use crate::http::cookie::TokenCookie;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::header::single;
use crate::http::extract::{ClientOrigin, Cookies, OptionalBearer, OptionalJson};

/// The body of a refresh or a sign-out.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Body {
    refresh_token: Option<SecretString>,
}

/// Answers 200 with the pair, or one of the problems of the table of verdicts.
///
/// # Errors
/// The documented problems.
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
    let header = single(request, "x-refresh-token")?.map(SecretString::from);
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
