//! `GET /errors/{code}`: what a problem's `type` refers to.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use crate::http::error::{Answer, ApiError, Code};

/// Answers 200 with what is the same for all problems of the kind.
///
/// # Errors
/// 404 for a code that does not exist.
pub async fn describe(request: HttpRequest) -> Answer<HttpResponse> {
    let asked = request.match_info().get("code").unwrap_or_default();
    let entry = Code::ALL.map(Code::entry).into_iter().find(|entry| entry.error == asked);
    let entry = entry.ok_or_else(|| ApiError::new(Code::NotFound))?;
    Ok(HttpResponse::Ok().json(json!({
        "error": entry.error,
        "status": entry.status,
        "title": entry.title,
        "detail": entry.detail,
    })))
}
