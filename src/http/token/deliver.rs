//! How a new pair of tokens reaches the client.

use actix_web::HttpResponse;
use actix_web::http::header::{ContentType, SET_COOKIE};
use relatch_domain::session::Delivery;

use crate::app::devices::DEVICE_TOKEN_TTL;
use crate::app::issue::IssuedPair;
use crate::http::answer::{TokenAnswer, Welcome};
use crate::http::cookie::TokenCookie;
use crate::http::error::{Answer, ApiError, Code};

/// The cookie in which a delivery has the access token, or a copy of it.
pub const fn access_cookie(delivery: Delivery) -> Option<TokenCookie> {
    match delivery {
        Delivery::Body => None,
        Delivery::Hybrid => Some(TokenCookie::Pair),
        Delivery::Cookie => Some(TokenCookie::Access),
    }
}

/// The answer 200 with a pair, in body and cookies as its delivery says; cookies that are left over are cleared.
///
/// # Errors
/// 400 if the access token does not fit its cookie: the user's roles may have grown since the sign-in. The rotation is
/// done by then, so the refresh token is set all the same, or the session would be lost. The old access token stays where
/// it is: it serves for the next refresh, which works again when the roles have shrunk.
pub fn deliver(
    pair: &IssuedPair,
    welcome: Option<&Welcome<'_>>,
    left_over: &[TokenCookie],
) -> Answer<HttpResponse> {
    let mut response = HttpResponse::Ok();
    if let Some(access_cookie) = access_cookie(pair.delivery) {
        let refresh = TokenCookie::Refresh.with(&pair.refresh, pair.refresh_expires_in);
        if pair.access.token.len() > access_cookie.max_value() {
            return Err(ApiError::new(Code::TokenTooLarge).header(SET_COOKIE, &refresh.to_string()));
        }
        response.cookie(refresh).cookie(access_cookie.with(&pair.access.token, pair.refresh_expires_in));
        if let Some(welcome) = welcome {
            response.cookie(TokenCookie::Device.with(welcome.device_token, DEVICE_TOKEN_TTL));
        }
    }
    for cookie in left_over {
        response.cookie(cookie.cleared());
    }
    // The library would begin with little room and move the tokens several times.
    let mut body = Vec::with_capacity(pair.access.token.len() + 384);
    serde_json::to_writer(&mut body, &TokenAnswer::new(pair, welcome))
        .map_err(|_| ApiError::new(Code::InternalError))?;
    Ok(response.content_type(ContentType::json()).body(body))
}
