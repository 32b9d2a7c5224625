//! A server killed between its writes: another one on the same Redis goes on, and finishes what was left behind.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use relatch::ambient::Random;

use super::faults::said;
use super::stage::{Held, Stage};
use super::tally::Tally;
use super::tripwire::Trip;
use crate::redis_server::RedisServer;

/// How soon a server must come to the script at which it dies.
const SOON: Duration = Duration::from_secs(20);
/// What is still open this long after the kill was left behind: whoever lives has closed its own by then.
const LEFT_BEHIND: Duration = Duration::from_millis(500);
/// How long after that it must be finished. A server leaves others' operations alone for a second.
const FINISHED_WITHIN: Duration = Duration::from_secs(5);

/// Kills one server of the two at a script, waits until the other has finished what was left behind, and starts it again. Both
/// have their turn, twice while they end sessions and twice at any script.
pub(super) async fn kill_a_server(stage: &mut Stage, tally: &Tally, turn: usize) {
    let victim = turn % 2;
    let [nth, carried_out] = Random.bytes::<2>().expect("randomness");
    let trip =
        Trip { nth: 1 + nth % 16, of_the_journal: turn % 4 < 2, carried_out: carried_out.is_multiple_of(2) };
    tokio::time::timeout(SOON, stage.wires[victim].trip(trip)).await.expect("the server runs scripts");
    stage.nodes[victim].kill();
    tally.kills.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(LEFT_BEHIND).await;
    if let Held::Single(redis) = &stage.store {
        let left = open_operations(redis);
        tally.left_behind.fetch_add(count(&left), Ordering::Relaxed);
        tally.unfinished.fetch_add(count(&unfinished(redis, left).await), Ordering::Relaxed);
    }
    stage.restart(victim).await;
}

/// Waits until these operations are closed. Gives those that are not when the time is up.
async fn unfinished(redis: &RedisServer, mut open: HashSet<String>) -> HashSet<String> {
    let begun = Instant::now();
    while !open.is_empty() && begun.elapsed() < FINISHED_WITHIN {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = open_operations(redis);
        open.retain(|operation| now.contains(operation));
    }
    open
}

/// What it takes to finish each of the open operations, by which it can be told from the others.
fn open_operations(redis: &RedisServer) -> HashSet<String> {
    let values = said(redis, |redis| redis.told("HVALS relatch:{journal}:operations"));
    let form = |line: &str| line.split_once(" {").map(|(_, form)| form.to_owned());
    values.lines().filter_map(form).collect()
}

fn count(operations: &HashSet<String>) -> u64 {
    u64::try_from(operations.len()).unwrap_or(u64::MAX)
}
