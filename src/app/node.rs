//! What all workers of a node share, and what changes while the node runs.

use std::sync::atomic::AtomicBool;

use relatch_domain::{SessionRef, UnixMillis};

use super::cutoff::{KnownCutoffs, SweepOrders};
use super::even_pace::EvenPace;
use super::history::Histories;
use super::journal::Unwritten;
use super::membership::Membership;
use super::newcomers::Newcomers;
use super::revocations::Revocations;
use super::turns::Turns;
use super::usage::Usage;
use crate::budgets::Budgets;
use crate::doctor::Checkup;
use crate::doctor::clock::StoreClock;
use crate::telemetry::counters::Counters;
use crate::telemetry::metrics::Metrics;

/// A node as it runs.
#[derive(Debug)]
pub struct NodeState {
    /// When it started, by its clock.
    pub started_at: UnixMillis,
    /// What kind of store it is on.
    pub store: StoreKind,
    /// What it has seen since then.
    pub counters: Counters,
    /// What it measures.
    pub metrics: Metrics,
    /// Sessions that began before one that concerns them are over.
    pub cutoffs: KnownCutoffs,
    /// What was found when its store was last looked at.
    pub checkup: Checkup,
    /// How far its store's clock is from its own.
    pub store_clock: StoreClock,
    /// How it stands to its store.
    pub membership: Membership,
    /// Whether it is about to stop: whoever sends it requests shall send them elsewhere.
    pub leaving: AtomicBool,
    /// What it has heard of revocations.
    pub(super) revocations: Revocations,
    /// What it has yet to write into the journal.
    pub(super) unwritten: Unwritten,
    /// Whether it has met revocations of kinds that it does not know.
    pub(super) unknown_kinds: AtomicBool,
    /// Held while an administrator is removed.
    pub(super) removing_administrators: tokio::sync::Mutex<()>,
    /// The last sign-ins that it has made.
    pub(super) newcomers: Newcomers,
    /// What sessions have repeated of late.
    pub(super) repetitions: Budgets<SessionRef>,
    /// Successful sign-ins and registrations.
    pub(super) usage: Usage,
    /// Whose turn it is to begin a session.
    pub(super) turns: Turns,
    /// How long it takes to find a name free and make its user.
    pub(super) registrations: EvenPace,
    /// What it has yet to write into histories.
    pub(super) histories: Histories,
    /// Sweeps that it has yet to make.
    pub(super) sweeps: SweepOrders,
}

/// The kinds of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// A file of the node's own.
    Embedded,
    /// A Redis, shared with other nodes.
    Redis,
}

impl StoreKind {
    /// The kind's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Redis => "redis",
        }
    }
}

impl NodeState {
    /// A node that starts now.
    pub fn started(at: UnixMillis, store: StoreKind, metrics: Metrics) -> Self {
        Self {
            started_at: at,
            store,
            counters: Counters::default(),
            metrics,
            cutoffs: KnownCutoffs::default(),
            checkup: Checkup::default(),
            store_clock: StoreClock::default(),
            membership: Membership::default(),
            leaving: AtomicBool::new(false),
            revocations: Revocations::default(),
            unwritten: Unwritten::default(),
            unknown_kinds: AtomicBool::new(false),
            removing_administrators: tokio::sync::Mutex::default(),
            newcomers: Newcomers::default(),
            repetitions: Budgets::default(),
            usage: Usage::default(),
            turns: Turns::default(),
            registrations: EvenPace::default(),
            histories: Histories::default(),
            sweeps: SweepOrders::default(),
        }
    }
}
