//! What a path names.

use std::str::FromStr;

use actix_web::HttpRequest;

use crate::http::error::{Answer, ApiError, Code};

/// The id in a part of the path. What is no id names nothing, which is 404 like an id that is nobody's.
///
/// # Errors
/// 404.
pub fn named<T: FromStr>(request: &HttpRequest, part: &str) -> Answer<T> {
    let id = request.match_info().get(part).and_then(|id| id.parse().ok());
    id.ok_or_else(|| ApiError::new(Code::NotFound))
}
