//! The OpenAPI document, made from the code. Handlers take from here what describes them; [`document`] takes it from them.
//!
//! How to describe an operation:
//!
//! 1. Above the handler, name its refusals: those of its extractors (they implement [`Refuses`]), [`App`] if it may ask
//!    the store, and its own codes after a semicolon:
//!    `problems!(CreateProblems: Admin, Json<Body>; UsernameTaken, CrossSiteRequest);`
//!    The last one is for all that takes a cookie and is no GET. Status, words and examples come from the catalogue.
//!    What every request can be refused with is added.
//! 2. On the handler: `#[utoipa::path(post, path = "/admin/users", operation_id = "createUser", tag = tag::ADMIN,
//!    summary = "…", description = "…", security(("bearer" = []), ("accessCookie" = [])), request_body = Body,
//!    responses((status = 201, description = "…", body = AdminUserAnswer), CreateProblems))]`.
//! 3. Requests and answers are types with `ToSchema` (queries: `IntoParams`). Each field has a comment, the limits that
//!    its parser has, and an example: `#[schema(max_length = 100, examples("phone"))]`. Domain types are described by
//!    `value_type`, see [`types`]. The example of a whole body is composed of its fields'; where that makes no sense (fields that
//!    exclude each other) the type has `#[schema(examples(json!({…})))]`. Of the fields marked with
//!    `extensions(("x-alternative" = json!(true)))` a request has exactly one.
//! 4. Add the handler to `paths(…)` in [`document`]. `tests/it/openapi` holds the document to the routes, the catalogue and
//!    its own schemas.

pub mod attributes;
pub mod document;
mod finish;
pub mod problems;
pub mod types;

use super::error::Code;
use crate::app::App;

pub(crate) use problems::{Refuses, problems};

/// Under which heading an operation stands.
pub mod tag {
    /// Sign-in, refresh, check, sign-out.
    pub const TOKENS: &str = "Tokens";
    /// The caller's own account.
    pub const ACCOUNT: &str = "Account";
    /// The caller's devices.
    pub const SESSIONS: &str = "Sessions";
    /// For administrators.
    pub const ADMIN: &str = "Administration";
    /// For API servers, operators and the curious.
    pub const OPERATIONS: &str = "Operations";
}

impl Refuses for App {
    fn codes() -> Vec<Code> {
        vec![Code::TemporarilyUnavailable]
    }
}
