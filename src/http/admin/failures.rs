//! `/admin/users/{id}/failures`: the failed sign-ins that make the next one wait.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::guesses::{Failed, Failures, failures_of, forget_failures};
use crate::http::answer::rfc3339;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::{Admin, ClientOrigin, NoParams, Query, Then, named};
use crate::http::openapi::{problems, tag};

/// The failed sign-ins of an account.
#[derive(Serialize, ToSchema)]
#[schema(as = SignInFailures)]
pub struct FailuresAnswer {
    /// How many from unknown devices count at the moment.
    #[schema(examples(12))]
    failures: u64,
    /// When somebody last tried; null if none counts.
    #[schema(required, format = DateTime, examples("2026-11-21T10:33:51Z"))]
    last_at: Option<String>,
    /// For how many seconds the next try from an unknown device has to wait.
    #[schema(examples(3))]
    wait_seconds: u64,
    /// Those from devices that are known.
    known_devices: KnownDevicesAnswer,
}

/// The failed sign-ins of all known devices of an account, together.
#[derive(Serialize, ToSchema)]
#[schema(as = KnownDevicesFailures)]
pub struct KnownDevicesAnswer {
    /// How many count at the moment.
    #[schema(examples(2))]
    failures: u64,
    /// When one of them was last tried on; null if none counts.
    #[schema(required, format = DateTime, examples("2026-11-21T10:31:07Z"))]
    last_at: Option<String>,
    /// For how many seconds the next try from any of them has to wait. A single one may have to wait for its own failures.
    #[schema(examples(0))]
    wait_seconds: u64,
}

impl From<Failures> for FailuresAnswer {
    fn from(failures: Failures) -> Self {
        let Failures { strangers, known_devices } = failures;
        Self {
            failures: strangers.counting,
            last_at: last_at(&strangers),
            wait_seconds: wait_seconds(&strangers),
            known_devices: KnownDevicesAnswer {
                failures: known_devices.counting,
                last_at: last_at(&known_devices),
                wait_seconds: wait_seconds(&known_devices),
            },
        }
    }
}

fn last_at(failed: &Failed) -> Option<String> {
    failed.last.map(|last| rfc3339(last.seconds()))
}

fn wait_seconds(failed: &Failed) -> u64 {
    failed.wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
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
    let failures = failures.ok_or_else(|| ApiError::new(Code::NotFound))?;
    Ok(HttpResponse::Ok().json(FailuresAnswer::from(failures)))
}

/// Answers 204: nothing counts any more.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    delete, path = "/admin/users/{id}/failures", operation_id = "forgetSignInFailures", tag = tag::ADMIN,
    summary = "Let a user sign in without a wait",
    description = "Forgets the failed sign-ins of the account, those of strangers and those of all known devices together, and wrong \
        current passwords in password changes. What an address or a single device has failed goes on counting for it.",
    security(("bearer" = []), ("accessCookie" = [])),
    params(("id" = String, Path, format = Uuid, description = "The user",
            example = "01a1fdab-6a07-786f-997e-d0ae0e2646b6")),
    responses((status = 204, description = "They are forgotten"), ForgetProblems),
)]
pub async fn forget(
    app: web::Data<App>,
    request: HttpRequest,
    origin: ClientOrigin,
    caller: Then<Admin, Query<NoParams>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), _) = caller;
    match forget_failures(&app, &origin.0.by(admin.actor()), named(&request, "id")?).await? {
        Some(()) => Ok(HttpResponse::NoContent().finish()),
        None => Err(ApiError::new(Code::NotFound)),
    }
}
