//! The same on a Cluster, where the journal and a user are on different shards.

use relatch_testkit::cutter::{Fate, Lasts};
use relatch_testkit::redis_group::RedisCluster;
use relatch_testkit::{On, TestApp};

use super::acts::{Act, Kind};
use super::cuts::{Then, follow_up, look_at_all};
use super::look::{Journal, Stored, until_closed};
use super::on;

/// At least as many writes as each of these makes.
const WRITES: usize = 5;
const KINDS: [Kind; 4] = [Kind::SignOut, Kind::RevokeUser, Kind::Disable, Kind::Delete];

/// An act about a user who is not where the journal is.
async fn elsewhere(app: &TestApp, cluster: &RedisCluster, kind: Kind, name: &str) -> Act {
    let holds = |key: &str| cluster.primary_of(RedisCluster::slot_of(key));
    for number in 0.. {
        let act = kind.prepare(app, &format!("{name}-{number}")).await;
        if tokio::task::block_in_place(|| holds(&format!("{{{}}}", act.user)) != holds("{journal}")) {
            return act;
        }
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_as_well() {
    let cluster = RedisCluster::builder().with_doors().start().await;
    let app = on(On::store_at(cluster.url())).start().await;
    let there = app.second_node().await;
    there.until_ready().await;
    cluster.cutter().learn_background().await;
    let journal = || {
        let holder = cluster.primary_of(RedisCluster::slot_of("{journal}"));
        Journal::of(&cluster.nodes()[holder])
    };
    let mut outcomes = Vec::new();
    for nth in 1..=WRITES {
        for kind in KINDS {
            for (fate, lasts) in
                [(Fate::Before, Lasts::Onwards), (Fate::After, Lasts::Onwards), (Fate::After, Lasts::Once)]
            {
                let round = outcomes.len();
                let name = format!("{kind:?}-{round}").to_lowercase();
                let act = elsewhere(&app, &cluster, kind, &name).await;
                let then = Then::of(round + nth);
                cluster.cutter().arm(nth, fate, lasts);
                let first = act.call.send(&there).await;
                let is_hit = cluster.cutter().disarm();
                let how = format!("{kind:?} cut at {nth}, {fate:?}, {lasts:?}; {then:?}; {}", first.status);
                assert!(is_hit || kind.is_done(&first), "{how}: {}", first.text);
                outcomes.push(follow_up(act, Some(first), then, [&there, &app.node], how).await);
            }
        }
    }
    until_closed(journal).await;
    let holder = cluster.primary_of(RedisCluster::slot_of("{journal}"));
    let others = cluster.nodes().iter().enumerate().filter(|(at, _)| *at != holder).map(|(_, node)| node);
    let all: Vec<_> = std::iter::once(&cluster.nodes()[holder]).chain(others).collect();
    let stored = tokio::task::block_in_place(|| Stored::of(&all, &outcomes));
    let later = app.second_node().await;
    later.until_ready().await;
    look_at_all(&app, &[&app.node, &there, &later], Some(&stored), &outcomes).await;
}
