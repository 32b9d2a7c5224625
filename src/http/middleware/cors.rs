//! CORS (Fetch standard, section 3.3): which pages of other origins may read answers, and send more than a form can.
//!
//! Outside of the envelope, so that problems have the headers too. An `OPTIONS` is answered by the routes, which know the
//! methods of a path ([`ALLOW`]); here a preflight's answer only gets the headers by which the browser goes on. One from
//! an origin that is not listed gets none, and the browser stops.

use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONTENT_TYPE, CROSS_ORIGIN_RESOURCE_POLICY, HeaderMap, HeaderValue,
    ORIGIN, VARY,
};
use actix_web::web::Data;

use crate::http::cross_site::Origins;

/// What pages may send.
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, Idempotency-Key, X-Refresh-Token, DPoP");
/// What pages may read.
const RESPONSE_HEADERS: HeaderValue =
    HeaderValue::from_static("Retry-After, WWW-Authenticate, DPoP-Nonce, X-Request-Id");
/// For how many seconds a browser need not ask again.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
/// Pages of other origins cannot even embed it (Fetch standard, section 3.7).
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// Adds what a page of a listed origin needs to an answer, and keeps the rest of the JSON from other origins.
pub fn answer<B>(response: &mut ServiceResponse<B>) {
    open(response);
    let headers = response.headers_mut();
    if is_json(headers)
        && !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)
        && !headers.contains_key(CROSS_ORIGIN_RESOURCE_POLICY)
    {
        headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, SAME_ORIGIN);
    }
}

/// Whether the body is JSON, of whatever kind.
fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    essence == b"application/json" || essence.ends_with(b"+json")
}

fn open<B>(response: &mut ServiceResponse<B>) {
    let request = response.request();
    let origins = request.app_data::<Data<Origins>>().filter(|origins| origins.lists_some());
    let Some(origins) = origins else { return };
    let origin = listed_origin(request.headers(), origins);
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let headers = response.headers_mut();
    // For caches: the same path is answered differently to others.
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        if preflight {
            answer_preflight(headers);
        } else {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
        }
    }
}

/// The request's one origin, if it is listed.
fn listed_origin(headers: &HeaderMap, origins: &Origins) -> Option<HeaderValue> {
    let mut values = headers.get_all(ORIGIN);
    let origin = values.next()?;
    (values.next().is_none() && origins.lists(origin.as_bytes())).then(|| origin.clone())
}

fn answer_preflight(headers: &mut HeaderMap) {
    if let Some(methods) = headers.get(ALLOW).cloned() {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
}
