//! The OpenAPI document, made from the code.
//!
//! How to describe an operation:
//!
//! 1. Above the handler, name its refusals: those of its extractors (they implement [`Refuses`]), [`App`] if it may ask
//!    the store, and its own codes after a semicolon:
//!    `problems!(CreateProblems: Admin, Json<Body>; UsernameTaken, CrossSiteRequest);`
//!    The last one is for all that takes a cookie and is no GET. Status, words and examples come from the catalogue. What every request can be refused with is added.
//! 2. On the handler: `#[utoipa::path(post, path = "/admin/users", operation_id = "createUser", tag = tag::ADMIN,
//!    summary = "…", description = "…", security(("bearer" = []), ("accessCookie" = [])), request_body = Body,
//!    responses((status = 201, description = "…", body = AdminUserAnswer), CreateProblems))]`.
//! 3. Requests and answers are types with `ToSchema` (queries: `IntoParams`). Each field has a comment, the limits that
//!    its parser has, and an example: `#[schema(max_length = 100, examples("phone"))]`. Domain types are described by
//!    `value_type`, see [`types`]. The example of a whole body is composed of its fields'; where that makes no sense (fields that
//!    exclude each other) the type has `#[schema(examples(json!({…})))]`. Of the fields marked with
//!    `extensions(("x-alternative" = json!(true)))` a request has exactly one.
//! 4. Add the handler to `paths(…)` below. `tests/it/openapi` holds the document to the routes, the catalogue and
//!    its own schemas.

pub mod attributes;
mod finish;
pub mod problems;
pub mod types;

use std::sync::LazyLock;

use serde_json::Value;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::answer::TokenAnswer;
use super::error::{Code, Problem};
use super::{account, admin, ops, session, timeline, token};
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

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Relatch",
        description = "Issues, rotates and revokes access and refresh tokens.\n\n\
            Errors are problems (RFC 9457); clients go by their `error`. A method that a path does not have is answered \
            405 `method_not_allowed` with `Allow`, a path that does not exist 404 `not_found`. Unknown fields and query \
            parameters are refused.",
    ),
    paths(
        token::login::login,
        token::refresh::refresh,
        token::logout::logout,
        token::check::check,
        account::me::me,
        account::register::register,
        account::password::change,
        session::list,
        session::end_others,
        session::end_one,
        timeline::of_session,
        timeline::of_user,
        admin::users::create,
        admin::users::list,
        admin::users::get,
        admin::users::delete,
        admin::edit::edit,
        admin::sessions::list,
        admin::sessions::end_all,
        admin::sessions::end_one,
        admin::revoke::revoke,
        admin::stats::show,
        admin::audit::list,
        admin::keys::list,
        admin::keys::rotate,
        ops::root::root,
        ops::jwks::jwks,
        ops::errors::describe,
        ops::health::live,
        ops::health::ready,
        ops::docs::document,
    ),
    components(schemas(Problem, TokenAnswer)),
    tags(
        (name = "Tokens", description = "The life of a client: sign in, refresh, check, sign out."),
        (name = "Account", description = "What people do about their own account."),
        (name = "Sessions", description = "The devices on which the caller is signed in."),
        (name = "Administration", description = "For users with the role `admin`."),
        (name = "Operations", description = "For API servers, operators and the curious."),
    ),
    modifiers(&Schemes),
)]
struct Annotated;

/// How callers show who they are. Those that no operation names are left out of the document.
struct Schemes;

/// The schemes of browsers: name, cookie, what is in it.
const COOKIES: [(&str, &str, &str); 3] = [
    ("accessCookie", "__Host-relatch-at", "The access token, with delivery `cookie`"),
    ("refreshCookie", "__Host-relatch-rt", "The refresh token, with deliveries `cookie` and `hybrid`"),
    ("pairCookie", "__Host-relatch-pair", "The access token, with delivery `hybrid`, for refreshes only"),
];

impl Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let bearer = bearer.description(Some("The access token (RFC 6750)"));
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        for (scheme, cookie, description) in COOKIES {
            let cookie = ApiKey::Cookie(ApiKeyValue::with_description(cookie, description));
            components.add_security_scheme(scheme, SecurityScheme::ApiKey(cookie));
        }
    }
}

impl Refuses for App {
    fn codes() -> Vec<Code> {
        vec![Code::TemporarilyUnavailable]
    }
}

/// The document, as JSON.
pub fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
        let mut document = serde_json::to_value(Annotated::openapi()).unwrap_or(Value::Null);
        finish::finish(&mut document);
        document.to_string()
    });
    &DOCUMENT
}
