//! `POST /admin/users/{id}/reset`: a token for a user who has lost the password.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::app::reset_password::issue_reset;
use crate::http::answer::rfc3339;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::{Admin, ClientOrigin, OptionalJson, Then, named};
use crate::http::openapi::{problems, tag};

/// Nothing has to be said.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = ResetRequest, examples(json!({})))]
#[serde(deny_unknown_fields)]
pub struct Body {}

/// A token by which a password can be set.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedReset)]
pub struct ResetAnswer {
    /// For the user: it goes to `POST /password/reset` with a new password, once. Whoever has it can do so.
    #[schema(examples("rlp1_AQGh_atqB3hvmX7Q2uDiZGYiIiIiIiIiIiIiIiIiIiIiaUMrAKz1Zk0yQ8bTn4Jd2vXxw0p5uF3c"))]
    reset_token: String,
    /// When it expires.
    #[schema(format = DateTime, examples("2026-11-21T10:33:51Z"))]
    expires_at: String,
}

problems!(ResetProblems: Admin, OptionalJson<Body>; NotFound, CrossSiteRequest);

/// Answers 201 with the token. Nothing changes until it is used.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    post, path = "/admin/users/{id}/reset", operation_id = "issuePasswordReset", tag = tag::ADMIN,
    summary = "Let a user set a new password",
    description = "For a user who has lost the password: a token that sets a new one at `POST /password/reset`, once, within \
        `password.reset_ttl`. Give it to the user on a way that you trust. The password so far and all sessions go on until it is used; any \
        change of the password voids it.",
    security(("bearer" = []), ("accessCookie" = [])), request_body = Option<Body>,
    params(("id" = String, Path, format = Uuid, description = "The user",
            example = "01a1fdab-6a07-786f-997e-d0ae0e2646b6")),
    responses((status = 201, description = "The token", body = ResetAnswer), ResetProblems),
)]
pub async fn issue(
    app: web::Data<App>,
    origin: ClientOrigin,
    request: HttpRequest,
    admin: Then<Admin, OptionalJson<Body>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), _) = admin;
    let issued = issue_reset(&app, &origin.0.by(admin.actor()), named(&request, "id")?).await?;
    let issued = issued.ok_or_else(|| ApiError::new(Code::NotFound))?;
    Ok(HttpResponse::Created()
        .json(ResetAnswer { reset_token: issued.token, expires_at: rfc3339(issued.expires_at) }))
}
