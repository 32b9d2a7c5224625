//! The access token in `Authorization: Bearer` (RFC 6750, section 2.1), and the caller that it names.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use relatch_domain::user::Role;

use super::header::single;
use crate::app::App;
use crate::app::caller::LiveCaller;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::middleware::recorded::AdminCaller;

/// The access token, if one came.
pub struct OptionalBearer(pub Option<String>);

/// The access token.
pub struct Bearer(pub String);

/// A caller whose session the store knows to be alive.
pub struct LiveSession(pub LiveCaller);

/// A live caller who is an administrator at this moment, whatever the access token says.
pub struct Admin(pub LiveCaller);

/// Reads `Authorization`. A scheme other than Bearer counts as no token.
fn bearer(request: &HttpRequest) -> Answer<Option<String>> {
    let Some(value) = single(request, "authorization")? else { return Ok(None) };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim_start_matches(' ');
    // b64token of RFC 6750, section 2.1.
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    let body = token.trim_end_matches('=');
    if body.is_empty() || !body.bytes().all(in_token) {
        return Err(ApiError::invalid_request("the header authorization is not `Bearer` and one token"));
    }
    Ok(Some(token.to_owned()))
}

async fn live_session(request: HttpRequest) -> Answer<LiveCaller> {
    let Some(token) = bearer(&request)? else { return Err(ApiError::new(Code::AuthenticationRequired)) };
    let app = app(&request)?;
    let caller = app.caller(&token).await??;
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

impl FromRequest for Bearer {
    type Error = ApiError;
    type Future = std::future::Ready<Answer<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let token = bearer(request)
            .and_then(|token| token.ok_or_else(|| ApiError::new(Code::AuthenticationRequired)));
        std::future::ready(token.map(Self))
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
