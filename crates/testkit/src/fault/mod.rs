//! The promise on real processes: two nodes of the real binary, a real Redis, clients that carry their tokens forward and keep
//! count, and one fault after another.

mod clients;
mod faults;
mod proxy;
mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::actor::PASSWORD;
use crate::app::master_key;
use crate::launch::{Launched, own_process};
use crate::redis_server::RedisServer;
use clients::{Field, Kind, honest, revoked, thief};

pub use faults::Fault;
pub use proxy::{Cut, CuttingProxy};
pub use tally::{HEADS, KindTally, Tally, rows};

/// How long, and with how many.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How long each fault goes on.
    pub time: Duration,
    /// Clients of each kind.
    pub clients: usize,
    /// Thieves, and as many who probe sessions that have ended.
    pub thieves: usize,
    /// `refresh_token.grace`.
    pub grace: Duration,
    /// How long a thief may go on before it counts as not caught.
    pub thief_patience: Duration,
    /// What is done wrong on purpose.
    pub planted: Option<Planted>,
}

/// What makes a promise break, to show that it would be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// Those who are stolen from send no attempt keys.
    KeylessVictims,
    /// Those who should sign out do not.
    NoSignOut,
}

/// What everything happens on.
struct Stage {
    // Dropped in this order: servers before their store.
    nodes: Vec<Launched>,
    redis: RedisServer,
    proxy: Option<CuttingProxy>,
    _dirs: Vec<TempDir>,
}

/// Plays a fault. Gives what was counted.
pub async fn play(fault: Fault, plan: Plan) -> Tally {
    let mut stage = set(fault, plan).await;
    let bases = stage.nodes.iter().map(|node| format!("http://{}", node.address())).collect();
    let field = Field::new(bases, plan);
    let actors = cast(&field, plan).await;
    if let Some(proxy) = &stage.proxy {
        proxy.arm();
    }
    let end = Instant::now() + plan.time;
    while Instant::now() < end {
        fault.strike(&mut stage.redis, &stage.nodes).await;
    }
    field.stop.store(true, Ordering::Relaxed);
    for actor in actors {
        actor.await.expect("an actor does not panic");
    }
    if let Some(proxy) = &stage.proxy {
        assert!(proxy.cuts() > 0, "the proxy has cut nothing");
        field.tally.cuts.store(proxy.cuts(), Ordering::Relaxed);
    }
    drop(stage);
    let Field { tally, .. } = field;
    Arc::try_unwrap(tally).expect("all actors have ended")
}

/// Starts Redis and the nodes.
async fn set(fault: Fault, plan: Plan) -> Stage {
    let redis = fault.redis().start().await;
    let proxy = match fault.cut() {
        Some(cut) => Some(CuttingProxy::start(redis.address(), cut).await),
        None => None,
    };
    let url = proxy.as_ref().map_or_else(|| redis.url(), CuttingProxy::url);
    let grace = format!("{}ms", plan.grace.as_millis());
    let settings: BTreeMap<_, _> = [
        ("store.url", url.as_str()),
        ("store.response_timeout", "1s"),
        ("issuer", "http://localhost:8080"),
        ("http.listen", "127.0.0.1:0"),
        ("ops.listen", "127.0.0.1:0"),
        ("master_key", &master_key()),
        ("password.bcrypt_cost", "4"),
        ("bootstrap.admin_password", PASSWORD),
        // Clients refresh thousands of times as often as in life.
        ("rate_limit.enabled", "false"),
        ("refresh_token.grace", &grace),
        ("sessions.max_per_user", "1000"),
        ("log.level", "warn"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    let (mut nodes, mut dirs) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let dir = TempDir::new().expect("a temporary directory");
        nodes.push(own_process(&settings, dir.path()).await.expect("the node starts"));
        dirs.push(dir);
    }
    Stage { nodes, redis, proxy, _dirs: dirs }
}

/// Signs everybody in and lets them go.
async fn cast(field: &Field, plan: Plan) -> Vec<tokio::task::JoinHandle<()>> {
    let admin = field.sign_in("admin").await.expect("the administrator signs in");
    let mut honest_ones = Vec::new();
    for kind in [Kind::Keyed, Kind::Tabs, Kind::Keyless] {
        for number in 0..plan.clients {
            honest_ones.push((kind, format!("{kind:?}-{number}").to_lowercase()));
        }
    }
    let others = (0..plan.thieves).flat_map(|number| [format!("thief-{number}"), format!("gone-{number}")]);
    let names: Vec<_> = honest_ones.iter().map(|(_, name)| name.clone()).chain(others).collect();
    for name in &names {
        let body = json!({ "username": name, "password": PASSWORD });
        let request = field.http.post(format!("{}/admin/users", field.bases[0]));
        let answer = request.bearer_auth(&admin.access).json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), 201, "{name} is not created");
    }
    let mut actors = Vec::new();
    for (kind, name) in honest_ones {
        let pair = field.sign_in(&name).await.expect("they sign in");
        actors.push(tokio::spawn(honest(field.clone(), name, kind, pair)));
    }
    for number in 0..plan.thieves {
        actors.push(tokio::spawn(thief(field.clone(), format!("thief-{number}"))));
        actors.push(tokio::spawn(revoked(field.clone(), format!("gone-{number}"))));
    }
    actors
}
