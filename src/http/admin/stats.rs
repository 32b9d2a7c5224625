//! `GET /admin/stats`: how things stand.

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::app::stats::stats;
use crate::http::answer::rfc3339;
use crate::http::error::Answer;
use crate::http::extract::query::{NoParams, Query};
use crate::http::extract::{Admin, Then};

/// Answers 200 with the numbers of users and keys, the cutoff, and the state of node and store. What stands under `node`
/// is what the answering node alone has seen since it started; other nodes count for themselves.
///
/// # Errors
/// The documented problems.
pub async fn show(app: web::Data<App>, _: Then<Admin, Query<NoParams>>) -> Answer<HttpResponse> {
    let stats = stats(&app).await?;
    let counters = &app.node.counters;
    Ok(HttpResponse::Ok().json(json!({
        "users": stats.users,
        "keys": {
            "active": stats.keys.active,
            "retired": stats.keys.retired,
            "revoked": stats.keys.revoked,
        },
        "node": {
            "version": env!("CARGO_PKG_VERSION"),
            "started_at": rfc3339(stats.started_at.seconds()),
            "uptime_seconds": stats.uptime.as_secs(),
            "sign_ins": counters.sign_ins(),
            "refused_sign_ins": counters.refused_sign_ins(),
            "refreshes": by_name(counters.refreshes()),
            "sessions_ended": by_name(counters.sessions_ended()),
        },
        "store": { "kind": stats.store.name(), "reachable": stats.users.is_some() },
        "cutoff": stats.cutoff.map(rfc3339),
    })))
}

fn by_name(counts: impl Iterator<Item = (&'static str, u64)>) -> Map<String, Value> {
    counts.map(|(name, count)| (name.to_owned(), Value::from(count))).collect()
}
