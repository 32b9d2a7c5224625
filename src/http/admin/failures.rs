//! `/admin/users/{id}/failures`: the failed sign-ins that make the next one wait.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::guesses::{Failures, failures_of, forget_failures};
use crate::http::answer::rfc3339;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::{Admin, NoParams, Query, Then, named};
use crate::http::openapi::{problems, tag};

/// The failed sign-ins of an account.
#[derive(Serialize, ToSchema)]
#[schema(as = SignInFailures)]
pub struct FailuresAnswer {
    /// How many count at the moment. Those from devices on which the user had signed in before count by themselves.
    #[schema(examples(12))]
    failures: u64,
    /// When somebody last tried; null if none counts.
    #[schema(required, format = DateTime, examples("2026-11-21T10:33:51Z"))]
    last_at: Option<String>,
    /// For how many seconds the next try from an unknown device has to wait.
    #[schema(examples(3))]
    wait_seconds: u64,
}

problems!(ShowProblems: Admin, Query<NoParams>; NotFound);
problems!(ForgetProblems: Admin, Query<NoParams>; NotFound, CrossSiteRequest);

/// Answers 200 with the failed sign-ins that count.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    get, path = "/admin/users/{id}/failures", operation_id = "showSignInFailures", tag = tag::ADMIN,
    summary = "A user's failed sign-ins",
    description = "How many count, and how long they make the next one wait. Whose sign-ins had to wait lately is in the audit trail: \
        `sign_in_failed` with the reason `too_many_attempts`.",
    security(("bearer" = []), ("accessCookie" = [])),
    params(("id" = String, Path, format = Uuid, description = "The user",
            example = "01a1fdab-6a07-786f-997e-d0ae0e2646b6")),
    responses((status = 200, description = "The failures", body = FailuresAnswer), ShowProblems),
)]
pub async fn show(
    app: web::Data<App>,
    request: HttpRequest,
    _: Then<Admin, Query<NoParams>>,
) -> Answer<HttpResponse> {
    let failures = failures_of(&app, named(&request, "id")?).await?;
    let Failures { counting, last, wait } = failures.ok_or_else(|| ApiError::new(Code::NotFound))?;
    Ok(HttpResponse::Ok().json(FailuresAnswer {
        failures: counting,
        last_at: last.map(|last| rfc3339(last.seconds())),
        wait_seconds: wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX),
    }))
}

/// Answers 204: nothing counts any more.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    delete, path = "/admin/users/{id}/failures", operation_id = "forgetSignInFailures", tag = tag::ADMIN,
    summary = "Let a user sign in without a wait",
    description = "Forgets the failed sign-ins of the account. What an address has failed goes on counting for that address.",
    security(("bearer" = []), ("accessCookie" = [])),
    params(("id" = String, Path, format = Uuid, description = "The user",
            example = "01a1fdab-6a07-786f-997e-d0ae0e2646b6")),
    responses((status = 204, description = "They are forgotten"), ForgetProblems),
)]
pub async fn forget(
    app: web::Data<App>,
    request: HttpRequest,
    _: Then<Admin, Query<NoParams>>,
) -> Answer<HttpResponse> {
    match forget_failures(&app, named(&request, "id")?).await? {
        Some(()) => Ok(HttpResponse::NoContent().finish()),
        None => Err(ApiError::new(Code::NotFound)),
    }
}
