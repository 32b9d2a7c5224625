//! Single-valued headers.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;

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
    match value.to_str() {
        Ok(value) => Ok(Some(value.trim())),
        Err(_) => Err(ApiError::invalid_request(format!("the header {name} is not visible ASCII"))),
    }
}
