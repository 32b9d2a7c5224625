//! Limits on what comes before the body.

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HOST, HeaderValue};
use actix_web::http::uri::Authority;
use actix_web::web;

use crate::http::error::{ApiError, Code};
use crate::http::hosts::Hosts;

/// Longest path and query, in bytes.
pub const MAX_URI: usize = 8 * 1024;
/// Longest value of one header field, in bytes. The HTTP library limits the head as a whole to 128 KiB.
pub const MAX_HEADER: usize = 16 * 1024;

/// Why a request's head is refused: long URIs with 414, long header fields with 431 (RFC 9110, section 15.5.15; RFC 6585,
/// section 5), and a `Host` that is none with 400 (RFC 9112, section 3.2).
pub fn refusal(request: &ServiceRequest) -> Option<ApiError> {
    let uri = request.uri();
    let uri_len = uri.path().len() + uri.query().map_or(0, str::len);
    if uri_len > MAX_URI {
        Some(ApiError::new(Code::UriTooLong))
    } else if request.headers().iter().any(|(_, value)| value.len() > MAX_HEADER) {
        Some(ApiError::new(Code::HeadersTooLarge))
    } else if request.headers().get(HOST).is_some_and(|host| !is_host(host)) {
        Some(ApiError::invalid_request("the header host is not a host"))
    } else if !is_ours(request) {
        Some(ApiError::invalid_request("the header host names a host that ops.allowed_hosts does not list"))
    } else {
        None
    }
}

/// Whether the listener may be asked by the name in `Host`.
fn is_ours(request: &ServiceRequest) -> bool {
    match (request.app_data::<web::Data<Hosts>>(), request.headers().get(HOST)) {
        (Some(hosts), Some(host)) => hosts.admit(host.as_bytes()),
        _ => true,
    }
}

/// A host and perhaps a port, or nothing where the target has no authority. It is asked for nothing else here.
fn is_host(value: &HeaderValue) -> bool {
    let authority = |bytes: &[u8]| Authority::try_from(bytes).is_ok() && !bytes.contains(&b'@');
    value.is_empty() || authority(value.as_bytes())
}
