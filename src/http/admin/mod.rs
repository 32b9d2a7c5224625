//! What administrators may do. Every call asks the store whether the caller is still one.

pub mod audit;
pub mod keys;
pub mod revoke;
pub mod sessions;
pub mod stats;
pub mod users;

use actix_web::HttpRequest;
use relatch_domain::UserId;

use crate::http::error::{Answer, ApiError, Code};

/// The user that the path names. What is no id is nobody's.
fn user_id(request: &HttpRequest) -> Answer<UserId> {
    let id = request.match_info().get("id").and_then(|id| id.parse().ok());
    id.ok_or_else(|| ApiError::new(Code::NotFound))
}
