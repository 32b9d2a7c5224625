//! The promise on real processes, in short: every fault for some seconds. `make fault` plays them longer and prints the table.

use std::time::Duration;

use relatch_testkit::fault::{Fault, GroupFault, Plan, Planted, Scene, play};

const CALM: Scene = Scene::Single(Fault::Nothing);
const SHORT: Plan = Plan {
    time: Duration::from_secs(4),
    clients: 3,
    thieves: 3,
    grace: Duration::from_secs(1),
    thief_patience: Duration::from_secs(10),
    planted: None,
};

async fn keeps_every_promise(scene: Scene) {
    let tally = play(scene, SHORT).await;
    assert_eq!(tally.broken_promises(scene), Vec::<String>::new(), "{scene:?}");
}

macro_rules! faults {
    ($($name:ident: $scene:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            keeps_every_promise($scene).await;
        }
    )*};
}

faults! {
    without_a_fault: Scene::Single(Fault::Nothing);
    redis_killed_with_every_write_on_disk: Scene::Single(Fault::KilledAlways);
    redis_killed_with_the_last_second_in_doubt: Scene::Single(Fault::KilledEverySecond);
    redis_back_from_an_older_file: Scene::Single(Fault::OlderFile);
    redis_stopped: Scene::Single(Fault::Stopped);
    redis_pausing_its_clients: Scene::Single(Fault::ClientsPaused);
    redis_busy_with_a_long_command: Scene::Single(Fault::LongCommand);
    connections_cut_before_the_request: Scene::Single(Fault::CutBefore);
    connections_cut_after_the_request: Scene::Single(Fault::CutAfter);
    connections_cut_in_the_middle_of_the_answer: Scene::Single(Fault::CutWithin);
    redis_out_of_memory: Scene::Single(Fault::FullMemory);
    one_of_two_nodes_frozen: Scene::Single(Fault::NodeFrozen);
    clients_that_reset_their_connections: Scene::Single(Fault::ClientsReset);
    one_of_two_nodes_killed_between_its_writes: Scene::Single(Fault::NodeKilled);
    behind_one_address_roles_that_swap: Scene::Address { sync_replicas: 0 };
    behind_one_address_roles_that_swap_and_replicas_that_acknowledge: Scene::Address { sync_replicas: 1 };
    behind_sentinels_a_primary_killed: Scene::Sentinels(GroupFault::Killed);
    behind_sentinels_a_primary_killed_with_late_replicas: Scene::Sentinels(GroupFault::KilledAhead);
    behind_sentinels_a_primary_cut_off_with_one_node: Scene::Sentinels(GroupFault::Isolated);
    of_a_cluster_a_primary_killed: Scene::Cluster(GroupFault::Killed);
    of_a_cluster_slots_on_the_move: Scene::Cluster(GroupFault::Migrating);
}

/// A check that cannot fail shows nothing: without grace a lost answer signs out whoever sends no attempt key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_would_be_counted() {
    let tally = play(Scene::Single(Fault::Stopped), Plan { grace: Duration::ZERO, ..SHORT }).await;
    assert!(tally.keyless.sign_outs() > 0);
    assert_eq!(tally.broken_promises(CALM), Vec::<String>::new(), "the others do not need it");
}

/// Where neither sends attempt keys, a thief and its victim get the same tokens as long as they keep close.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thief_who_is_not_caught_would_be_counted() {
    let thief_patience = Duration::from_secs(2);
    let plan = Plan {
        grace: Duration::from_secs(10),
        thief_patience,
        planted: Some(Planted::KeylessVictims),
        ..SHORT
    };
    let broken = play(CALM, plan).await.broken_promises(CALM);
    assert!(broken.iter().any(|what| what.ends_with("thieves were not caught")), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_comes_back_would_be_counted() {
    let broken = play(CALM, Plan { planted: Some(Planted::NoSignOut), ..SHORT }).await.broken_promises(CALM);
    assert!(
        broken.iter().any(|what| what.ends_with("refreshes of revoked sessions succeeded")),
        "{broken:?}"
    );
}
