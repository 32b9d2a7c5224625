//! Single-valued headers.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, HeaderValue};

use crate::http::error::{Answer, ApiError};

/// The one value of a header, or nothing if it is absent.
///
/// # Errors
/// 400 if it stands in the request more than once, or is not visible ASCII.
pub fn single<'a>(request: &'a HttpRequest, name: &HeaderName) -> Answer<Option<&'a str>> {
    let mut values = request.headers().get_all(name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ApiError::invalid_request(format!("the header {name} came more than once")));
    }
    match visible(value) {
        Some(value) => Ok(Some(value.trim())),
        None => Err(ApiError::invalid_request(format!("the header {name} is not visible ASCII"))),
    }
}

/// The value as text, if it is visible ASCII, blanks and tabs included. Looked at to the end whatever it is: that way it goes
/// many bytes at a time, and tokens are long.
fn visible(value: &HeaderValue) -> Option<&str> {
    let is_visible = |byte: u8| matches!(byte, b'\t' | b' '..=b'~');
    let all_visible = value.as_bytes().iter().fold(true, |all, byte| all & is_visible(*byte));
    if all_visible { str::from_utf8(value.as_bytes()).ok() } else { None }
}
