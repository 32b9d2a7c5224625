//! `GET /health/live` and `GET /health/ready`.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::membership::Unready;
use crate::doctor::Finding;
use crate::doctor::clock::ClockOffset;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::openapi::{problems, tag};

/// How the server is.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthAnswer {
    /// `live` or `ready`, as was asked.
    #[schema(examples("ready"))]
    status: &'static str,
}

problems!(LiveProblems:);
problems!(ReadyProblems: App);

/// Answers 200 as long as the process can answer at all.
#[utoipa::path(
    get, path = "/health/live", operation_id = "live", tag = tag::OPERATIONS,
    summary = "Whether the process is alive",
    description = "For whoever restarts it.",
    security(()),
    responses((status = 200, description = "It is", body = HealthAnswer), LiveProblems),
)]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(HealthAnswer { status: "live" })
}

/// Answers 200 if the server has joined its store and the store answers.
///
/// # Errors
/// 503 if not.
#[utoipa::path(
    get, path = "/health/ready", operation_id = "ready", tag = tag::OPERATIONS,
    summary = "Whether the server can serve",
    description = "For load balancers: the server has joined its store, and the store answers. `detail` says what is missing.",
    security(()),
    responses((status = 200, description = "It can", body = HealthAnswer), ReadyProblems),
)]
pub async fn ready(app: web::Data<App>) -> Answer<HttpResponse> {
    must_be_ready(&app).await?;
    Ok(HttpResponse::Ok().json(HealthAnswer { status: "ready" }))
}

/// The same with what was found at the store when it was last looked at: for operators only.
#[derive(Serialize)]
struct HealthWithFindings<'a> {
    status: &'static str,
    /// As `relatch doctor` tells them, the worst first; null before the first look.
    findings: Option<&'a [Finding]>,
}

/// As [`ready`], for the operators' listener: what is wrong with the store may break a promise long before it is out of
/// reach.
///
/// # Errors
/// 503 as there.
pub async fn ready_with_findings(app: web::Data<App>) -> Answer<HttpResponse> {
    must_be_ready(&app).await?;
    let found = app.node.checkup.found().map(|found| {
        let clocks = app.node.store_clock.last();
        let mut all: Vec<_> =
            found.iter().cloned().chain(clocks.iter().filter_map(ClockOffset::finding)).collect();
        all.sort_by_key(|finding| finding.severity);
        all
    });
    let findings = found.as_deref();
    Ok(HttpResponse::Ok().json(HealthWithFindings { status: "ready", findings }))
}

async fn must_be_ready(app: &App) -> Answer<()> {
    let unready = match app.ready().await? {
        Ok(()) => return Ok(()),
        Err(Unready::NotJoined) => "The server has not joined its store yet; the log says why.",
        Err(Unready::AtReplica) => {
            "The address of the store leads to a replica, which takes no writes; it has to lead to the primary."
        }
        Err(Unready::Leaving) => "The server is about to stop.",
        Err(Unready::Estranged) => {
            "The store is not the one that this server knew; see `relatch store adopt`."
        }
    };
    Err(ApiError::new(Code::TemporarilyUnavailable).detail(unready).retry_after(1))
}
