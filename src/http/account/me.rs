//! `GET /me`: who the caller is.

use actix_web::HttpResponse;
use relatch_domain::SessionRef;
use relatch_domain::attributes::Attributes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::UserAnswer;
use crate::http::error::Answer;
use crate::http::extract::{LiveSession, NoParams, Query, Then};
use crate::http::openapi::{problems, tag};

/// The caller, as the store has them now.
#[derive(Serialize, ToSchema)]
#[schema(as = Me)]
struct MeAnswer<'a> {
    #[serde(flatten)]
    user: UserAnswer<'a>,
    /// What the application keeps with the user.
    #[schema(schema_with = crate::http::openapi::attributes::all)]
    attributes: &'a Attributes,
    /// The session that the access token belongs to.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$",
             examples("AaH9q2oHeG-ZftCuDiZGtvX0zhGwWUnUkyz7Cg9mQCQ"))]
    session_id: SessionRef,
}

problems!(MeProblems: LiveSession, Query<NoParams>);

/// Answers 200 with the caller.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    get, path = "/me", operation_id = "getMe", tag = tag::ACCOUNT,
    summary = "Who the caller is",
    description = "Name, roles and attributes as they are now, whatever the access token says.",
    security(("bearer" = []), ("accessCookie" = [])),
    responses((status = 200, description = "The caller", body = MeAnswer), MeProblems),
)]
pub async fn me(request: Then<LiveSession, Query<NoParams>>) -> Answer<HttpResponse> {
    let Then(LiveSession(live), _) = request;
    let (session_id, profile) = (live.caller.session, &live.profile);
    let (username, roles) = (profile.username.as_str(), profile.roles.iter().collect());
    let user = UserAnswer::new(session_id.user, username, roles);
    Ok(HttpResponse::Ok().json(MeAnswer { user, attributes: &profile.attributes, session_id }))
}
