//! The promise on real processes, in short: every fault for some seconds. `make fault` plays them longer and prints the table.

use std::time::Duration;

use relatch_testkit::fault::{Fault, Plan, Planted, play};

const SHORT: Plan = Plan {
    time: Duration::from_secs(4),
    clients: 3,
    thieves: 3,
    grace: Duration::from_secs(1),
    thief_patience: Duration::from_secs(10),
    planted: None,
};

async fn keeps_every_promise(fault: Fault) {
    let tally = play(fault, SHORT).await;
    assert_eq!(tally.broken_promises(), Vec::<String>::new(), "{}", fault.name());
}

macro_rules! faults {
    ($($name:ident: $fault:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            keeps_every_promise(Fault::$fault).await;
        }
    )*};
}

faults! {
    without_a_fault: Nothing;
    redis_killed_with_every_write_on_disk: KilledAlways;
    redis_killed_with_the_last_second_in_doubt: KilledEverySecond;
    redis_back_from_an_older_file: OlderFile;
    redis_stopped: Stopped;
    redis_pausing_its_clients: ClientsPaused;
    redis_busy_with_a_long_command: LongCommand;
    connections_cut_before_the_request: CutBefore;
    connections_cut_after_the_request: CutAfter;
    connections_cut_in_the_middle_of_the_answer: CutWithin;
    redis_out_of_memory: FullMemory;
    one_of_two_nodes_frozen: NodeFrozen;
}

/// A check that cannot fail shows nothing: without grace a lost answer signs out whoever sends no attempt key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_would_be_counted() {
    let tally = play(Fault::Stopped, Plan { grace: Duration::ZERO, ..SHORT }).await;
    assert!(tally.keyless.sign_outs() > 0);
    assert_eq!(tally.broken_promises(), Vec::<String>::new(), "the others do not need it");
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
    let broken = play(Fault::Nothing, plan).await.broken_promises();
    assert!(broken.iter().any(|what| what.ends_with("thieves were not caught")), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_comes_back_would_be_counted() {
    let broken =
        play(Fault::Nothing, Plan { planted: Some(Planted::NoSignOut), ..SHORT }).await.broken_promises();
    assert!(
        broken.iter().any(|what| what.ends_with("refreshes of revoked sessions succeeded")),
        "{broken:?}"
    );
}
