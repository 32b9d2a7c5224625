//! The properties hold for the rule as it is; each planted fault breaks one.

use std::cell::RefCell;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::client::{Habits, Kind};
use super::coverage::Coverage;
use super::operation::{Case, cases};
use super::rule::Rule;
use super::story::Story;
use super::world::World;

/// Cases for each kind of client, unless `RELATCH_MODEL_CASES` says otherwise.
const CASES: u32 = 30_000;

/// A broken property, and how it came about.
struct Counterexample {
    broken: String,
    story: Story,
}

fn number_of_cases() -> u32 {
    let chosen = std::env::var("RELATCH_MODEL_CASES");
    chosen.map_or(CASES, |text| text.parse().expect("RELATCH_MODEL_CASES is a number"))
}

/// Looks for a case that breaks a property.
fn search(kind: Kind, rule: Rule, habits: Habits, coverage: &RefCell<Coverage>) -> Option<Counterexample> {
    let config = Config {
        cases: number_of_cases(),
        max_shrink_iters: 50_000,
        failure_persistence: None,
        ..Config::default()
    };
    // The longer run looks elsewhere; the everyday one looks at the same cases each time.
    let mut runner = if number_of_cases() == CASES {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    } else {
        TestRunner::new(config)
    };
    let found = runner.run(&cases(kind), |case| {
        let mut coverage = coverage.borrow_mut();
        let mut world = World::new(&case, rule, habits, Story::untold(), &mut coverage);
        world.play(&case.operations).map_err(TestCaseError::fail)
    });
    match found {
        Ok(()) => None,
        Err(TestError::Fail(_, case)) => Some(retell(&shorten(case, rule, habits), rule, habits)),
        Err(error @ TestError::Abort(_)) => panic!("{error}"),
    }
}

/// Leaves out every operation that the case does without, which proptest does scene by scene only.
fn shorten(mut case: Case, rule: Rule, habits: Habits) -> Case {
    let mut at = 0;
    while at < case.operations.len() {
        let mut shorter = case.clone();
        shorter.operations.remove(at);
        let mut aside = Coverage::default();
        let played =
            World::new(&shorter, rule, habits, Story::untold(), &mut aside).play(&shorter.operations);
        (case, at) = if played.is_err() { (shorter, 0) } else { (case, at + 1) };
    }
    case
}

fn retell(case: &Case, rule: Rule, habits: Habits) -> Counterexample {
    let mut aside = Coverage::default();
    let mut world = World::new(case, rule, habits, Story::told(), &mut aside);
    let broken = world.play(&case.operations).expect_err("the case broke a property a moment ago");
    Counterexample { broken, story: world.story }
}

/// What must occur with every kind of client, or the model has looked at nothing.
const COMMON: [&str; 10] = [
    "rotate",
    "retry",
    "heal",
    "revoked",
    "expired",
    "throttled",
    "a retry after a rollback",
    "a stray request arrived",
    "an answer came too late",
    "a node remembered what the store had lost",
];

/// What must occur where a thief can get something.
const THEFT: [&str; 8] = [
    "superseded",
    "reuse",
    "a thief was caught",
    "thief: rotate",
    "thief: retry",
    "thief: heal",
    "thief: superseded",
    "thief: reuse",
];

fn holds(kind: Kind, habits: Habits, reached: &[&'static str]) {
    let coverage = RefCell::new(Coverage::default());
    if let Some(found) = search(kind, Rule::TRUE, habits, &coverage) {
        panic!("{} client: {}\n{}", kind.name(), found.broken, found.story);
    }
    let coverage = coverage.into_inner();
    println!("{coverage}");
    assert_eq!(coverage.cases, u64::from(number_of_cases()));
    for what in COMMON.iter().chain(reached) {
        assert!(coverage.of(kind, what) >= 20, "hardly ever: {what}\n{coverage}");
    }
}

/// Finds the fault with one of these kinds of client, by a story that can be read.
fn finds(rule: Rule, habits: Habits, kinds: &[Kind], broken: &str) {
    let found = kinds
        .iter()
        .find_map(|kind| search(*kind, rule, habits, &RefCell::default()))
        .expect("the fault was not found");
    println!("{}\n{}", found.broken, found.story);
    assert!(found.broken.contains(broken), "{}\n{}", found.broken, found.story);
    assert!(found.story.len() <= 16, "not short:\n{}", found.story);
}

#[test]
fn a_client_with_attempt_keys_is_safe_and_its_thief_is_caught() {
    holds(Kind::AttemptKey, Habits::GOOD, &THEFT);
}

#[test]
fn a_client_with_a_dpop_key_is_safe_and_its_thief_gets_nothing() {
    let habits = Habits { keeps_the_key: false, ..Habits::GOOD };
    holds(Kind::Dpop, habits, &["thief: mismatch"]);
}

#[test]
fn a_client_with_neither_is_safe_within_grace() {
    holds(Kind::Plain, Habits::GOOD, &THEFT);
}

#[test]
fn finds_a_grace_that_mints_a_sibling() {
    finds(Rule::GRACE_MINTS_A_SIBLING, Habits::GOOD, &Kind::ALL, "did not move");
}

#[test]
fn finds_a_heal_past_a_tombstone() {
    finds(Rule::HEALS_PAST_A_TOMBSTONE, Habits::GOOD, &Kind::ALL, "had ended");
}

#[test]
fn finds_a_judge_without_the_generation_check() {
    finds(Rule::NO_GENERATION_CHECK, Habits::GOOD, &Kind::ALL, "did not move");
}

#[test]
fn finds_a_superseded_that_mints() {
    finds(Rule::SUPERSEDED_MINTS, Habits::GOOD, &Kind::ALL, "the thief got a token");
}

#[test]
fn finds_a_heal_without_the_time_of_issue() {
    finds(Rule::HEALS_AT_ANY_AGE, Habits::GOOD, &[Kind::AttemptKey], "the thief got a token");
}

#[test]
fn finds_that_random_successors_sign_out_a_client_that_lost_an_answer_before_a_rollback() {
    let honest = "an honest client was refused: reuse";
    finds(Rule::RANDOM_SUCCESSORS, Habits::GOOD, &[Kind::AttemptKey], honest);
    finds(Rule::RANDOM_SUCCESSORS, Habits::GOOD, &[Kind::Dpop], honest);
}

#[test]
fn finds_that_each_habit_is_needed() {
    let honest = "an honest client was refused: reuse";
    let impatient = Habits { takes_turns: false, ..Habits::GOOD };
    for kind in Kind::ALL {
        finds(Rule::TRUE, impatient, &[kind], honest);
    }
    finds(Rule::TRUE, Habits { keeps_the_key: false, ..Habits::GOOD }, &[Kind::AttemptKey], honest);
    finds(Rule::TRUE, Habits { gives_up: false, ..Habits::GOOD }, &[Kind::Plain], honest);
}
