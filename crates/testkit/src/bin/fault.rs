//! Plays every fault, or those that fit all words that are given, a kind of store or a part of the name ("sentinel kill"), and
//! prints the table. Fails if a promise was broken.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use relatch_testkit::fault::{HEADS, Plan, Scene, Tally, play, rows};

#[tokio::main]
async fn main() -> ExitCode {
    let wanted: Vec<_> = std::env::args().skip(1).collect();
    let grace = Duration::from_secs(10);
    let plan = Plan {
        time: Duration::from_secs(20),
        clients: 12,
        thieves: 12,
        grace,
        thief_patience: grace * 2,
        planted: None,
    };
    let mut table = HEADS.to_owned();
    let (mut refreshes, mut broken) = (BTreeMap::<_, u64>::new(), Vec::new());
    for scene in Scene::all() {
        let is_meant = |word: &String| scene.name().contains(word) || scene.ground() == word;
        if !wanted.iter().all(is_meant) {
            continue;
        }
        let tally = play(scene, plan).await;
        table.push_str(&rows(scene, &tally));
        eprint!("{}", rows(scene, &tally));
        let Tally { keyed, tabs, keyless, .. } = &tally;
        *refreshes.entry(scene.ground()).or_default() +=
            keyed.successes() + tabs.successes() + keyless.successes();
        let mut broken_here = tally.broken_promises(scene);
        if let Some(late) = tally.too_slow(scene) {
            let after = scene.served_within().as_secs();
            broken_here.push(format!("somebody waited {late} ms longer than the failover and {after} s"));
        }
        broken.extend(broken_here.iter().map(|what| format!("{}, {}: {what}", scene.ground(), scene.name())));
    }
    println!("{table}");
    for (ground, count) in &refreshes {
        println!("{ground}: {count} refreshes succeeded");
    }
    for what in &broken {
        eprintln!("broken: {what}");
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
