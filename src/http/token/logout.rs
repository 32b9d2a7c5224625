//! `POST /logout`: the end of the caller's session.

use actix_web::{HttpRequest, HttpResponse, web};

use super::refresh::{Body, RefreshTokenHeader, Sent, refresh_token};
use crate::app::App;
use crate::app::sign_out::{SignOut, SignedOut, sign_out};
use crate::http::cookie::TokenCookie;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::{ClientOrigin, Cookies, OptionalBearer, OptionalJson};
use crate::http::openapi::{problems, tag};

problems!(SignOutProblems: OptionalBearer, OptionalJson<Body>, App;
    AuthenticationRequired, InvalidToken, TokenExpired, InvalidRefreshToken, SessionRevoked, SessionExpired, UserDisabled,
    CrossSiteRequest);

/// Answers 204, however often it is repeated, and clears the cookies that came.
///
/// # Errors
/// The documented problems; no cookie is cleared by one, so that the sign-out can be repeated.
#[utoipa::path(
    post, path = "/logout", operation_id = "signOut", tag = tag::TOKENS,
    summary = "Sign out",
    description = "Ends the session of a valid access token, or of a refresh token with or without an access token. \
        May be repeated. Our cookies that came with the request are cleared.",
    security(("bearer" = []), ("accessCookie" = []), ("refreshCookie" = []), ()), params(RefreshTokenHeader), request_body = Option<Body>,
    responses(
        (status = 204, description = "The session has ended",
         headers(("Set-Cookie" = String, description = "Each cookie of ours that came, with `Max-Age=0`"))),
        SignOutProblems,
    ),
)]
pub async fn logout(
    app: web::Data<App>,
    request: HttpRequest,
    origin: ClientOrigin,
    bearer: OptionalBearer,
    cookies: Cookies,
    body: OptionalJson<Body>,
) -> Answer<HttpResponse> {
    let to_clear = cookies.to_clear(&TokenCookie::ALL)?;
    let refresh_token = refresh_token(&request, &cookies, body.0)?;
    let access_token = match (&bearer.0, &refresh_token) {
        (Some(bearer), _) => Some(bearer.as_str()),
        // The refresh token says which session; an access cookie beside it may be left over from another one.
        (None, Some(_)) => None,
        (None, None) => cookies.credential(TokenCookie::Access)?,
    };
    let refresh_token = refresh_token.as_ref().map(Sent::text);
    match sign_out(&app, SignOut { refresh_token, access_token, origin: origin.0 }).await? {
        SignedOut::Yes => Ok(signed_out(&to_clear)),
        SignedOut::NotDurable => Err(ApiError::not_durable()),
        SignedOut::NoToken => Err(ApiError::new(Code::AuthenticationRequired)),
        SignedOut::InvalidRefreshToken => Err(ApiError::new(Code::InvalidRefreshToken)),
        SignedOut::NotLetIn(refused) => Err(refused.into()),
    }
}

fn signed_out(to_clear: &[TokenCookie]) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    for cookie in to_clear {
        response.cookie(cookie.cleared());
    }
    response.finish()
}
