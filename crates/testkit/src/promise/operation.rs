//! What may happen in a case. Each operation applies to whatever is there, so that any shorter sequence is a case too.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::client::{Client, Kind};

/// Which attempt key a thief sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ThiefsKey {
    None,
    /// The one it copied with the token, if it did.
    Copied,
    /// A new one of its own.
    Fresh,
    /// The one it sent last with this token.
    Same,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation {
    Wait(Duration),
    /// The server's clock is set back.
    ClockBack(Duration),
    /// A tab refreshes and all goes well.
    Refresh(usize),
    /// A tab sends a refresh.
    Begin(usize),
    /// Its request arrives, for the first time or once more.
    Arrive(usize),
    /// The answer arrives.
    Deliver(usize),
    /// The tab is closed, or loses patience. The request may be on its way.
    GiveUp(usize),
    /// A request arrives that nobody waits for.
    Stray(usize),
    Copy {
        with_key: bool,
    },
    Thief {
        which: usize,
        key: ThiefsKey,
    },
    /// The thief refreshes its latest token so many times.
    ThiefGoesOn(usize),
    /// The store loses its last writes.
    Rollback(usize),
    /// An administrator ends the session.
    Revoke,
}

/// A world and what happens in it.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) kind: Kind,
    /// Whether a thief is about.
    pub(super) theft: bool,
    /// Whether the node keeps its memory of ends.
    pub(super) memory: bool,
    pub(super) grace: Duration,
    /// Whether the session has a budget of three refreshes, one more a second.
    pub(super) budget: bool,
    pub(super) operations: Vec<Operation>,
}

/// Cases with clients of one kind.
pub(super) fn cases(kind: Kind) -> impl Strategy<Value = Case> {
    let grace = prop_oneof![4 => Just(Duration::from_secs(10)), 1 => Just(Duration::ZERO)];
    (any::<bool>(), any::<bool>(), grace, proptest::bool::weighted(0.2), vec(scene(), 1..40)).prop_map(
        move |(theft, memory, grace, budget, scenes)| Case {
            kind,
            theft,
            memory,
            grace,
            budget,
            operations: scenes.concat(),
        },
    )
}

/// One operation, or a few that chance would seldom put together.
fn scene() -> impl Strategy<Value = Vec<Operation>> {
    prop_oneof![
        60 => operation().prop_map(|operation| vec![operation]),
        1 => a_thief_gets_ahead(),
        1 => an_answer_is_lost_before_a_rollback(),
    ]
}

/// A thief rotates a few times, the store forgets it, and the client goes on.
fn a_thief_gets_ahead() -> impl Strategy<Value = Vec<Operation>> {
    (2_usize..5, 100_u64..400).prop_map(|(times, seconds)| {
        let pause = Operation::Wait(Duration::from_secs(seconds));
        vec![
            Operation::Copy { with_key: false },
            Operation::ThiefGoesOn(times),
            pause,
            Operation::Rollback(times),
            Operation::Refresh(0),
            pause,
            Operation::Refresh(0),
            Operation::Thief { which: 0, key: ThiefsKey::None },
        ]
    })
}

/// An answer is lost, a tab asks again and gets it, and the store forgets all of it while another tab asks too.
fn an_answer_is_lost_before_a_rollback() -> impl Strategy<Value = Vec<Operation>> {
    (100_u64..400, 1_u64..60).prop_map(|(long, short)| {
        vec![
            Operation::Begin(0),
            Operation::Arrive(0),
            Operation::GiveUp(0),
            Operation::Wait(Duration::from_secs(long)),
            Operation::Begin(1),
            Operation::Refresh(2),
            Operation::Rollback(1),
            Operation::Arrive(1),
            Operation::Wait(Duration::from_secs(short)),
            Operation::Refresh(2),
        ]
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let tab = || 0..Client::TABS;
    prop_oneof![
        6 => pause().prop_map(Operation::Wait),
        1 => (1_u64..25).prop_map(|seconds| Operation::ClockBack(Duration::from_secs(seconds))),
        8 => tab().prop_map(Operation::Refresh),
        5 => tab().prop_map(Operation::Begin),
        6 => tab().prop_map(Operation::Arrive),
        4 => tab().prop_map(Operation::Deliver),
        3 => tab().prop_map(Operation::GiveUp),
        2 => (0_usize..3).prop_map(Operation::Stray),
        2 => any::<bool>().prop_map(|with_key| Operation::Copy { with_key }),
        6 => (0_usize..4, thiefs_key()).prop_map(|(which, key)| Operation::Thief { which, key }),
        2 => (2_usize..5).prop_map(Operation::ThiefGoesOn),
        2 => (1_usize..8).prop_map(Operation::Rollback),
        1 => Just(Operation::Revoke),
    ]
}

fn thiefs_key() -> impl Strategy<Value = ThiefsKey> {
    prop_oneof![Just(ThiefsKey::None), Just(ThiefsKey::Copied), Just(ThiefsKey::Fresh), Just(ThiefsKey::Same),]
}

/// From within the grace time to beyond the idle deadline.
fn pause() -> impl Strategy<Value = Duration> {
    const HOUR: u64 = 3600;
    prop_oneof![
        6 => 1_u64..9,
        3 => 9_u64..35,
        3 => 100_u64..200,
        4 => Just(16 * 60),
        2 => Just(24 * HOUR),
        1 => Just(13 * 24 * HOUR),
    ]
    .prop_map(Duration::from_secs)
}
