//! `GET /admin/stats`: how things stand.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::app::App;
use crate::app::stats::{Stats, stats};
use crate::http::answer::rfc3339;
use crate::http::error::Answer;
use crate::http::extract::query::{NoParams, Query};
use crate::http::extract::{Admin, Then};
use crate::http::openapi::{problems, tag};
use crate::telemetry::counters::Counters;

/// How things stand.
#[derive(Serialize, ToSchema)]
#[schema(as = Stats)]
pub struct StatsAnswer {
    /// How many users there are; null if the store does not answer.
    #[schema(required, examples(204))]
    users: Option<u64>,
    keys: KeysAnswer,
    node: NodeAnswer,
    store: StoreAnswer,
    /// Whoever signed in before this is signed out; null if there never was a cutoff.
    #[schema(required, format = DateTime, examples("2026-11-21T10:33:51Z"))]
    cutoff: Option<String>,
}

/// How many signing keys there are in each state.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyCounts)]
pub struct KeysAnswer {
    /// They are published and sign from the next rotation on.
    #[schema(examples(1))]
    next: usize,
    /// They sign, or could.
    #[schema(examples(1))]
    active: usize,
    /// They sign no more; what they signed is good.
    #[schema(examples(0))]
    retired: usize,
    /// What they signed is good no more.
    #[schema(examples(0))]
    revoked: usize,
}

/// The answering node, and what it alone has seen since it started. Other nodes count for themselves.
#[derive(Serialize, ToSchema)]
#[schema(as = NodeStats)]
pub struct NodeAnswer {
    /// The version of Relatch that it runs.
    #[schema(examples("0.1.0"))]
    version: &'static str,
    /// When it started.
    #[schema(format = DateTime, examples("2026-11-21T10:33:51Z"))]
    started_at: String,
    /// For how many seconds it has been running.
    #[schema(examples(86_400))]
    uptime_seconds: u64,
    /// Sign-ins.
    #[schema(examples(311))]
    sign_ins: u64,
    /// Sign-ins that were refused.
    #[schema(examples(12))]
    refused_sign_ins: u64,
    /// Judged refreshes, by verdict.
    #[schema(schema_with = by_verdict)]
    refreshes: BTreeMap<&'static str, u64>,
    /// Sessions that it has ended, by reason.
    #[schema(schema_with = by_reason)]
    sessions_ended: BTreeMap<&'static str, u64>,
}

/// The store.
#[derive(Serialize, ToSchema)]
#[schema(as = StoreStats)]
pub struct StoreAnswer {
    /// `redis` or `embedded`.
    #[schema(examples("redis"))]
    kind: &'static str,
    /// Whether it answers.
    #[schema(examples(true))]
    reachable: bool,
}

fn by_verdict() -> Object {
    let example = json!({ "rotate": 5120, "retry": 3, "reuse": 0 });
    counts("Judged refreshes, by verdict.", example)
}

fn by_reason() -> Object {
    let example = json!({ "signed_out": 95, "revoked_by_admin": 4 });
    counts("Sessions that it has ended, by reason.", example)
}

fn counts(description: &str, example: Value) -> Object {
    let count = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    ObjectBuilder::new()
        .description(Some(description))
        .additional_properties(Some(count))
        .examples([example])
        .build()
}

problems!(ShowProblems: Admin, Query<NoParams>);

/// Answers 200 with the numbers of users and keys, the cutoff, and the state of node and store. What stands under `node`
/// is what the answering node alone has seen since it started; other nodes count for themselves.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    get, path = "/admin/stats", operation_id = "showStats", tag = tag::ADMIN,
    summary = "Show how things stand",
    description = "Numbers of users and keys, the cutoff, and the state of node and store. What stands under `node` is \
        what the answering node alone has seen since it started.",
    security(("bearer" = []), ("accessCookie" = [])),
    responses((status = 200, description = "How things stand", body = StatsAnswer), ShowProblems),
)]
pub async fn show(app: web::Data<App>, _: Then<Admin, Query<NoParams>>) -> Answer<HttpResponse> {
    let stats = stats(&app).await?;
    Ok(HttpResponse::Ok().json(StatsAnswer::of(&stats, &app.node.counters)))
}

impl StatsAnswer {
    fn of(stats: &Stats, counters: &Counters) -> Self {
        Self {
            users: stats.users,
            keys: KeysAnswer {
                next: stats.keys.next,
                active: stats.keys.active,
                retired: stats.keys.retired,
                revoked: stats.keys.revoked,
            },
            node: NodeAnswer {
                version: env!("CARGO_PKG_VERSION"),
                started_at: rfc3339(stats.started_at.seconds()),
                uptime_seconds: stats.uptime.as_secs(),
                sign_ins: counters.sign_ins(),
                refused_sign_ins: counters.refused_sign_ins(),
                refreshes: counters.refreshes().collect(),
                sessions_ended: counters.sessions_ended().collect(),
            },
            store: StoreAnswer { kind: stats.store.name(), reachable: stats.users.is_some() },
            cutoff: stats.cutoff.map(crate::rfc3339::exact),
        }
    }
}
