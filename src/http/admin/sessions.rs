//! `/admin/users/{id}/sessions`: the devices on which a user is signed in.

use actix_web::{HttpRequest, HttpResponse, web};
use relatch_domain::UserId;
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;

use crate::app::App;
use crate::app::sessions::end_sessions;
use crate::app::users::find_user;
use crate::http::answer::{Page, SessionAnswer};
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::query::ListParams;
use crate::http::extract::{Admin, ClientOrigin, NoParams, Query, Then, named};
use crate::http::openapi::{problems, tag};
use crate::http::session::{ended, named_of, one_ended, page};

problems!(ListProblems: Admin, Query<ListParams>; NotFound);
problems!(EndAllProblems: Admin, Query<NoParams>; NotFound, CrossSiteRequest);
problems!(EndOneProblems: Admin, Query<NoParams>; NotFound, CrossSiteRequest);

/// `GET /admin/users/{id}/sessions`: answers 200 with the user's live sessions, the latest sign-in first.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    get, path = "/admin/users/{id}/sessions", operation_id = "listUserSessions", tag = tag::ADMIN,
    summary = "A user's devices",
    description = "Live sessions, the latest sign-in first. `current` is the caller's own.",
    security(("bearer" = []), ("accessCookie" = [])),
    params(("id" = String, Path, format = Uuid, description = "The user",
            example = "01a1fdab-6a07-786f-997e-d0ae0e2646b6"), ListParams),
    responses((status = 200, description = "A page of sessions", body = Page<SessionAnswer>), ListProblems),
)]
pub async fn list(
    app: web::Data<App>,
    request: HttpRequest,
    caller: Then<Admin, Query<ListParams>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), Query(params)) = caller;
    let user = existing(&app, &request).await?;
    Ok(HttpResponse::Ok().json(page(&app, user, admin.caller.session, &params).await?))
}

/// `DELETE /admin/users/{id}/sessions`: ends all of them, answers 204.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    delete, path = "/admin/users/{id}/sessions", operation_id = "endUserSessions", tag = tag::ADMIN,
    summary = "Sign a user out everywhere",
    description = "Ends all of the user's sessions, the caller's own too if it is one of them.",
    security(("bearer" = []), ("accessCookie" = [])),
    params(("id" = String, Path, format = Uuid, description = "The user",
            example = "01a1fdab-6a07-786f-997e-d0ae0e2646b6")),
    responses((status = 204, description = "The sessions have ended"), EndAllProblems),
)]
pub async fn end_all(
    app: web::Data<App>,
    request: HttpRequest,
    origin: ClientOrigin,
    caller: Then<Admin, Query<NoParams>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), _) = caller;
    let origin = origin.0.by(admin.actor());
    let user = existing(&app, &request).await?;
    ended(end_sessions(&app, &origin, user, Scope::All, EndReason::RevokedByAdmin, None).await?)
}

/// `DELETE /admin/users/{id}/sessions/{sid}`: answers 204, also for a session that has ended before; 404 for one that is
/// not this user's.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    delete, path = "/admin/users/{id}/sessions/{sid}", operation_id = "endUserSession", tag = tag::ADMIN,
    summary = "Sign one of a user's devices out",
    description = "One that has ended already is as good.",
    security(("bearer" = []), ("accessCookie" = [])),
    params(("id" = String, Path, format = Uuid, description = "The user",
            example = "01a1fdab-6a07-786f-997e-d0ae0e2646b6"),
           ("sid" = String, Path, description = "The session", pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$",
            example = "AaH9q2oHeG-ZftCuDiZGtvX0zhGwWUnUkyz7Cg9mQCQ")),
    responses((status = 204, description = "The session has ended"), EndOneProblems),
)]
pub async fn end_one(
    app: web::Data<App>,
    request: HttpRequest,
    origin: ClientOrigin,
    caller: Then<Admin, Query<NoParams>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), _) = caller;
    let origin = origin.0.by(admin.actor());
    let user = named(&request, "id")?;
    let scope = Scope::One(named_of(&request, "sid", user)?);
    one_ended(end_sessions(&app, &origin, user, scope, EndReason::RevokedByAdmin, None).await?)
}

/// The user that the path names, if there is one.
async fn existing(app: &App, request: &HttpRequest) -> Answer<UserId> {
    let user = find_user(app, named(request, "id")?).await?;
    user.map(|user| user.id).ok_or_else(|| ApiError::new(Code::NotFound))
}
