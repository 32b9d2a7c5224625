//! Runs random cases, many at once, and makes those that fail short.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::join_all;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use relatch::ambient::Random;
use relatch::store::Store;
use relatch_domain::UnixMillis;
use relatch_domain::rotation::Verdict;

use super::case::Case;
use super::command::{Command, commands, timeline};
use super::pair::Divergence;
use crate::clock::ManualClock;

/// How many cases run at once. They share the clock, and so they share the times at which their commands run.
const AT_ONCE: u32 = 200;

type Timed = Vec<(UnixMillis, Command)>;

/// A short sequence of commands on which the store and the model do not agree.
pub struct Counterexample {
    commands: Timed,
    divergence: Divergence,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the store and the model do not agree after")?;
        for (time, command) in &self.commands {
            writeln!(f, "  at {}: {command:?}", time.0)?;
        }
        self.divergence.fmt(f)
    }
}

impl fmt::Debug for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Counterexample {
    /// How many commands it takes.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether it takes no command at all.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }
}

/// How often each verdict was reached, and what else happened to users, by its name.
#[derive(Debug, Clone, Default)]
pub struct Coverage(pub BTreeMap<&'static str, u64>);

impl Coverage {
    pub(super) fn verdict(&mut self, verdict: Verdict) {
        self.happened(verdict.name());
    }

    pub(super) fn happened(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    fn add(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            *self.0.entry(name).or_default() += count;
        }
    }
}

/// Runs so many random cases on a store that takes its time from `clock`, beside the model. The store may be in use by
/// others, if they do not mind the clock.
///
/// # Errors
/// A case on which the store and the model do not agree, made as short as it can be.
pub async fn run_random(
    store: Arc<dyn Store>,
    clock: ManualClock,
    cases: u32,
) -> Result<Coverage, Counterexample> {
    let mut runner = TestRunner::default();
    let mut coverage = Coverage::default();
    let mut left = cases;
    while left > 0 {
        let times = sample(&mut runner, timeline());
        let group: Vec<_> = (0..left.min(AT_ONCE)).map(|_| sample(&mut runner, commands())).collect();
        left = left.saturating_sub(AT_ONCE);
        if let Err((failed, divergence)) = run_group(&store, &clock, &times, &group, &mut coverage).await {
            let commands = times.into_iter().zip(failed).collect();
            return Err(shorten(&store, &clock, commands, divergence).await);
        }
    }
    Ok(coverage)
}

fn sample<T: fmt::Debug + Default>(runner: &mut TestRunner, strategy: impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).map(|tree| tree.current()).unwrap_or_default()
}

/// Runs the cases in step with each other: all do their first command, then all do their second one.
async fn run_group(
    store: &Arc<dyn Store>,
    clock: &ManualClock,
    times: &[UnixMillis],
    group: &[Vec<Command>],
    coverage: &mut Coverage,
) -> Result<(), (Vec<Command>, Divergence)> {
    let mut cases = Vec::new();
    for begun in join_all(group.iter().map(|_| begin(store, clock))).await {
        cases.push(begun.map_err(|divergence| (Vec::new(), divergence))?);
    }
    for (round, time) in times.iter().enumerate() {
        clock.set(*time);
        let steps = cases.iter_mut().zip(group).map(async |(case, commands)| match commands.get(round) {
            Some(command) => case.run(command).await.map_err(|divergence| (commands.clone(), divergence)),
            None => Ok(()),
        });
        join_all(steps).await.into_iter().collect::<Result<(), _>>()?;
    }
    let ends = cases.iter().zip(group).map(async |(case, commands)| {
        case.compare().await.map_err(|divergence| (commands.clone(), divergence))
    });
    join_all(ends).await.into_iter().collect::<Result<(), _>>()?;
    for case in &cases {
        coverage.add(&case.coverage);
    }
    Ok(())
}

async fn begin(store: &Arc<dyn Store>, clock: &ManualClock) -> Result<Case, Divergence> {
    let seed = Random.bytes().map_err(|error| Divergence::of_rule("there is randomness", &error))?;
    Case::begin(store.clone(), clock, seed).await
}

/// On failure also says how many commands were run.
async fn run_alone(
    store: &Arc<dyn Store>,
    clock: &ManualClock,
    commands: &Timed,
) -> Result<(), (usize, Divergence)> {
    let mut case = begin(store, clock).await.map_err(|divergence| (0, divergence))?;
    for (number, (time, command)) in commands.iter().enumerate() {
        clock.set(*time);
        case.run(command).await.map_err(|divergence| (number + 1, divergence))?;
    }
    case.compare().await.map_err(|divergence| (commands.len(), divergence))
}

/// Leaves out what the failure does not need: first halves, then ever shorter stretches, in the end single commands.
async fn shorten(
    store: &Arc<dyn Store>,
    clock: &ManualClock,
    mut commands: Timed,
    mut divergence: Divergence,
) -> Counterexample {
    let mut stretch = commands.len();
    while stretch > 0 {
        let mut start = 0;
        while start < commands.len() {
            let mut shorter = commands.clone();
            shorter.drain(start..commands.len().min(start + stretch));
            if let Err((run, still)) = run_alone(store, clock, &shorter).await {
                shorter.truncate(run);
                (commands, divergence) = (shorter, still);
            } else {
                start += stretch;
            }
        }
        stretch /= 2;
    }
    Counterexample { commands, divergence }
}
