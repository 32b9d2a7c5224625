//! The access token in `Authorization: Bearer` (RFC 6750, section 2.1) or in its cookie, and the caller that it names.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use relatch_domain::user::Role;

use super::cookies::Cookies;
use super::header::single;
use crate::app::App;
use crate::app::caller::LiveCaller;
use crate::http::cookie::TokenCookie;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::middleware::recorded::AdminCaller;
use crate::http::openapi::Refuses;
use crate::telemetry::request::UnderWay;

/// The access token in the header, if one came there.
pub struct OptionalBearer(pub Option<String>);

/// The access token, wherever it came. A Bearer token wins, and a bad one never falls back to the cookie.
pub struct AccessToken {
    /// The token.
    pub token: String,
    /// Whether it came in its cookie.
    pub in_cookie: bool,
}

/// A caller whose session the store knows to be alive.
pub struct LiveSession(pub LiveCaller);

/// A live caller who is an administrator at this moment, whatever the access token says.
pub struct Admin(pub LiveCaller);

/// Reads `Authorization`. A scheme other than Bearer counts as no token.
fn bearer(request: &HttpRequest) -> Answer<Option<String>> {
    let Some(value) = single(request, &AUTHORIZATION)? else { return Ok(None) };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim_start_matches(' ');
    // b64token of RFC 6750, section 2.1.
    let in_token =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    let body = token.trim_end_matches('=');
    // Looked at to the end whatever it is: that way it goes many bytes at a time.
    let all_in_token = body.bytes().fold(true, |all, byte| all & in_token(byte));
    if body.is_empty() || !all_in_token {
        return Err(ApiError::invalid_request("the header authorization is not `Bearer` and one token"));
    }
    Ok(Some(token.to_owned()))
}

fn access_token(request: &HttpRequest) -> Answer<AccessToken> {
    if let Some(token) = bearer(request)? {
        return Ok(AccessToken { token, in_cookie: false });
    }
    match Cookies::of(request).credential(TokenCookie::Access)? {
        Some(token) => Ok(AccessToken { token: token.to_owned(), in_cookie: true }),
        None => Err(ApiError::new(Code::AuthenticationRequired)),
    }
}

async fn live_session(request: HttpRequest) -> Answer<LiveCaller> {
    let access_token = access_token(&request)?;
    let app = app(&request)?;
    let caller = app.holder(&access_token.token).await??;
    UnderWay::is_by(caller.session.user);
    Ok(app.live(caller).await??)
}

fn app(request: &HttpRequest) -> Answer<web::Data<App>> {
    let app = request.app_data::<web::Data<App>>().cloned();
    app.ok_or_else(|| ApiError::new(Code::InternalError))
}

impl FromRequest for OptionalBearer {
    type Error = ApiError;
    type Future = std::future::Ready<Answer<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(bearer(request).map(Self))
    }
}

impl FromRequest for AccessToken {
    type Error = ApiError;
    type Future = std::future::Ready<Answer<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(access_token(request))
    }
}

impl FromRequest for LiveSession {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Answer<Self>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { live_session(request).await.map(Self) })
    }
}

impl FromRequest for Admin {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Answer<Self>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let caller = live_session(request.clone()).await?;
            request.extensions_mut().insert(AdminCaller(caller.actor()));
            if caller.profile.roles.has(Role::ADMIN) {
                Ok(Self(caller))
            } else {
                Err(ApiError::new(Code::InsufficientScope))
            }
        })
    }
}

impl Refuses for OptionalBearer {
    fn codes() -> Vec<Code> {
        vec![Code::InvalidRequest]
    }
}

impl Refuses for AccessToken {
    /// With those of the token's verification, which comes next. What changes something is refused by `CrossSiteRequest`
    /// as well, for the cookie; it says so itself.
    fn codes() -> Vec<Code> {
        vec![Code::InvalidRequest, Code::AuthenticationRequired, Code::InvalidToken, Code::TokenExpired]
    }
}

impl Refuses for LiveSession {
    fn codes() -> Vec<Code> {
        let ended = [Code::SessionRevoked, Code::SessionExpired, Code::UserDisabled];
        [AccessToken::codes(), App::codes(), ended.to_vec()].concat()
    }
}

impl Refuses for Admin {
    fn codes() -> Vec<Code> {
        [LiveSession::codes(), vec![Code::InsufficientScope]].concat()
    }
}
