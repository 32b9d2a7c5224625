//! Limits on what comes before the body.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;

use crate::http::error::{ApiError, Code};

/// Longest path and query, in bytes.
pub const MAX_URI: usize = 8 * 1024;
/// Longest value of one header field, in bytes. The HTTP library limits the head as a whole to 128 KiB.
pub const MAX_HEADER: usize = 16 * 1024;

/// Refuses long URIs with 414 and long header fields with 431 (RFC 9110, section 15.5.15; RFC 6585, section 5).
///
/// # Errors
/// The refusal.
pub async fn limits(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let uri = request.uri();
    let uri_len = uri.path().len() + uri.query().map_or(0, str::len);
    let refused = if uri_len > MAX_URI {
        Some(Code::UriTooLong)
    } else if request.headers().iter().any(|(_, value)| value.len() > MAX_HEADER) {
        Some(Code::HeadersTooLarge)
    } else {
        None
    };
    match refused {
        Some(code) => Ok(request.error_response(ApiError::new(code)).map_into_right_body()),
        None => Ok(next.call(request).await?.map_into_left_body()),
    }
}
