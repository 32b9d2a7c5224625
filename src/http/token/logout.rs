//! `POST /logout`: the end of the caller's session.

use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::{ExposeSecret as _, SecretString};

use super::refresh::{Body, RefreshTokenHeader, refresh_token};
use crate::app::App;
use crate::app::sign_out::{SignOut, SignedOut, sign_out};
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::{ClientOrigin, OptionalBearer, OptionalJson};
use crate::http::openapi::{problems, tag};

problems!(SignOutProblems: OptionalBearer, OptionalJson<Body>, App;
    AuthenticationRequired, InvalidToken, TokenExpired, InvalidRefreshToken, SessionRevoked, SessionExpired, UserDisabled);

/// Answers 204, however often it is repeated.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    post, path = "/logout", operation_id = "signOut", tag = tag::TOKENS,
    summary = "Sign out",
    description = "Ends the session of a valid access token, or of a refresh token with or without an access token. \
        May be repeated.",
    security(("bearer" = []), ()), params(RefreshTokenHeader), request_body = Option<Body>,
    responses((status = 204, description = "The session has ended"), SignOutProblems),
)]
pub async fn logout(
    app: web::Data<App>,
    request: HttpRequest,
    origin: ClientOrigin,
    access_token: OptionalBearer,
    body: OptionalJson<Body>,
) -> Answer<HttpResponse> {
    let refresh_token = refresh_token(&request, body.0)?;
    let tokens = SignOut {
        refresh_token: refresh_token.as_ref().map(SecretString::expose_secret),
        access_token: access_token.0.as_deref(),
        origin: origin.0,
    };
    match sign_out(&app, tokens).await? {
        SignedOut::Yes => Ok(HttpResponse::NoContent().finish()),
        SignedOut::NotDurable => Err(ApiError::not_durable()),
        SignedOut::NoToken => Err(ApiError::new(Code::AuthenticationRequired)),
        SignedOut::InvalidRefreshToken => Err(ApiError::new(Code::InvalidRefreshToken)),
        SignedOut::NotLetIn(refused) => Err(refused.into()),
    }
}
