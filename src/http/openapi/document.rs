//! All operations, put together.

use std::sync::LazyLock;

use serde_json::Value;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::finish;
use crate::http::answer::TokenAnswer;
use crate::http::error::Problem;
use crate::http::{account, admin, ops, session, timeline, token};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Relatch",
        description = "Issues, rotates and revokes access and refresh tokens.\n\n\
            Errors are problems (RFC 9457); clients go by their `error`. A method that a path does not have is answered \
            405 `method_not_allowed` with `Allow`, a path that does not exist 404 `not_found`. Unknown fields and query \
            parameters are refused, and the known ones named. Every answer has `X-Request-Id`.",
    ),
    paths(
        token::login::login,
        token::refresh::refresh,
        token::logout::logout,
        token::check::check,
        account::me::me,
        account::register::register,
        account::password::change,
        account::reset::reset,
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
        admin::failures::show,
        admin::failures::forget,
        admin::reset::issue,
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

/// The document, as JSON.
pub fn json() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
        let mut document = serde_json::to_value(Annotated::openapi()).unwrap_or(Value::Null);
        finish::finish(&mut document);
        document.to_string()
    });
    &DOCUMENT
}
