//! The promise on real processes: two nodes of the real binary, a real Redis, clients that carry their tokens forward and keep
//! count, and one fault after another.

mod clients;
mod faults;
mod front;
mod group_faults;
mod killed;
mod proxy;
mod stage;
mod tally;
mod tripwire;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::actor::PASSWORD;
use clients::{Field, Kind, honest, revoked, thief};
use front::Front;
use stage::Stage;

pub use faults::Fault;
pub use group_faults::GroupFault;
pub use proxy::{Cut, CuttingProxy};
pub use stage::Scene;
pub use tally::{HEADS, KindTally, Tally, rows};

/// Between two strikes, so that everybody gets on in between.
const BETWEEN: Duration = Duration::from_millis(1500);
/// How long after the last strike somebody may still be missing whose fate is of interest: a store that has just been replaced
/// says nothing for seconds about sessions that it does not know.
const PATIENCE: Duration = Duration::from_secs(20);

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

/// Plays a fault. Gives what was counted.
pub async fn play(scene: Scene, plan: Plan) -> Tally {
    let mut stage = Stage::set(scene, plan).await;
    let field = Field::new(stage.bases(), plan, scene.parts_the_store());
    let actors = cast(&field, plan).await;
    stage.arm(scene);
    let end = Instant::now() + plan.time;
    let mut turn = 0;
    while Instant::now() < end {
        match scene {
            Scene::Single(fault) => fault.strike(&mut stage, &field.tally, turn).await,
            Scene::Address { .. } => stage.swap(&field.tally).await,
            Scene::Sentinels(fault) | Scene::Cluster(fault) => {
                fault.strike(&mut stage, &field.tally, turn).await;
            }
        }
        turn += 1;
    }
    let patience = Instant::now() + PATIENCE;
    while !field.tally.has_met_everybody() && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.fronts.iter().for_each(|front| front.arm(false));
    field.stop.store(true, Ordering::Relaxed);
    for actor in actors {
        actor.await.expect("an actor does not panic");
    }
    field.tally.heals.store(field.heals().await, Ordering::Relaxed);
    if let Some(proxy) = &stage.proxy {
        assert!(proxy.cuts() > 0, "the proxy has cut nothing");
        field.tally.cuts.store(proxy.cuts(), Ordering::Relaxed);
    }
    if scene == Scene::Single(Fault::ClientsReset) {
        let resets = stage.fronts.iter().map(Front::resets).sum();
        assert!(resets > 0, "no connection was reset");
        field.tally.resets.store(resets, Ordering::Relaxed);
    }
    drop(stage);
    let Field { tally, .. } = field;
    Arc::try_unwrap(tally).expect("all actors have ended")
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
