//! Plays every fault, or those whose name contains a word that is given, and prints the table. Fails if a promise was broken.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::time::Duration;

use relatch_testkit::fault::{Fault, HEADS, Plan, Tally, play, rows};

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
    let (mut refreshes, mut broken) = (0, Vec::new());
    for fault in Fault::ALL {
        if !wanted.is_empty() && !wanted.iter().any(|word| fault.name().contains(word)) {
            continue;
        }
        let tally = play(fault, plan).await;
        table.push_str(&rows(fault.name(), &tally));
        eprint!("{}", rows(fault.name(), &tally));
        let Tally { keyed, tabs, keyless, .. } = &tally;
        refreshes += keyed.successes() + tabs.successes() + keyless.successes();
        broken.extend(tally.broken_promises().iter().map(|what| format!("{}: {what}", fault.name())));
    }
    println!("{table}\n{refreshes} refreshes succeeded");
    for what in &broken {
        eprintln!("broken: {what}");
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
