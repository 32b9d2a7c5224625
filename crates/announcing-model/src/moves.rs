//! What can happen next, and what it is called.

use std::fmt;

use super::process::{On, Process, Step};
use super::protocol::Flaw;
use super::store::{Journal, User, subjects};
use super::world::{CALL, Case, NODES, REFRESH, REPETITION, RESOLVER, SECOND_RESOLVER, With, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Begin {
        which: usize,
        node: u8,
        about: u16,
    },
    Takes {
        which: usize,
        step: Step,
    },
    RunsLate {
        which: usize,
        step: Step,
    },
    /// The node has not examined what was promoted.
    Refused {
        which: usize,
        step: Step,
    },
    CutBefore {
        which: usize,
        step: Step,
    },
    CutAfter {
        which: usize,
        step: Step,
    },
    CutAndLate {
        which: usize,
        step: Step,
    },
    Crash {
        node: u8,
    },
    CrashWithCallUnderWay {
        which: usize,
        node: u8,
        step: Step,
    },
    FailsOver {
        on: On,
        to: u16,
    },
    Hears {
        node: u8,
    },
    ExaminesJournal {
        node: u8,
    },
    ExaminesUser {
        node: u8,
    },
    AnotherChange,
}

impl Move {
    pub(crate) const fn is_fault(self) -> bool {
        matches!(
            self,
            Self::CutBefore { .. }
                | Self::CutAfter { .. }
                | Self::CutAndLate { .. }
                | Self::Crash { .. }
                | Self::CrashWithCallUnderWay { .. }
                | Self::FailsOver { .. }
        )
    }
}

fn node_name(node: u8) -> char {
    if node == 0 { 'A' } else { 'B' }
}

fn process_name(which: usize) -> &'static str {
    ["the call", "the repetition", "the refresh", "a resolver", "another resolver"][which]
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = process_name;
        match *self {
            Self::Begin { which, node, about } => {
                write!(f, "{} begins on node {}, about {about}", name(which), node_name(node))
            }
            Self::Takes { which, step } => write!(f, "{}: {step:?}", name(which)),
            Self::RunsLate { which, step } => {
                write!(f, "{}: {step:?}, given up before, runs now", name(which))
            }
            Self::Refused { which, step } => write!(f, "{}: {step:?} is refused; failed", name(which)),
            Self::CutBefore { which, step } => {
                write!(f, "FAULT {}: cut before {step:?}; failed", name(which))
            }
            Self::CutAfter { which, step } => {
                write!(f, "FAULT {}: {step:?} ran, answer cut; failed", name(which))
            }
            Self::CutAndLate { which, step } => {
                write!(f, "FAULT {}: cut, {step:?} will run later; failed", name(which))
            }
            Self::Crash { node } => write!(f, "FAULT node {} crashes", node_name(node)),
            Self::CrashWithCallUnderWay { which, node, step } => {
                write!(
                    f,
                    "FAULT node {} crashes; {step:?} of {} will run later",
                    node_name(node),
                    name(which)
                )
            }
            Self::FailsOver { on: On::Journal, to } => {
                let journal = Journal(to);
                write!(
                    f,
                    "FAULT the journal fails over: log {:02b}, open {:02b}",
                    journal.log(),
                    journal.open()
                )
            }
            Self::FailsOver { on: On::User, to } => {
                let user = User(to);
                write!(
                    f,
                    "FAULT the user's shard fails over: dead {:02b}, applied {:02b}",
                    user.dead(),
                    user.applied()
                )
            }
            Self::Hears { node } => write!(f, "node {} reads the log", node_name(node)),
            Self::ExaminesJournal { node } => {
                write!(f, "node {} announces again what it heard and the log lacks", node_name(node))
            }
            Self::ExaminesUser { node } => write!(f, "node {} writes its tombstones again", node_name(node)),
            Self::AnotherChange => write!(f, "another change of the user takes the condition away"),
        }
    }
}

/// Everything that can happen next, with what can go wrong or without.
pub(crate) fn next(case: &Case, world: &World, faults: bool, found: &mut Vec<(Move, World)>) {
    found.clear();
    beginnings(case, world, found);
    for which in 0..world.processes.len() {
        steps(case, world, which, faults, found);
    }
    for node in NODES {
        node_moves(case, world, node, faults, found);
    }
    if world.may_spoil {
        let mut after = *world;
        after.another_change(case);
        found.push((Move::AnotherChange, after));
    }
    if faults {
        failovers(world, found);
    }
}

fn beginnings(case: &Case, world: &World, found: &mut Vec<(Move, World)>) {
    let mut begin = |which: usize, node: u8, about: u16, step: Step| {
        let mut after = *world;
        after.processes[which] = Process { step, node, ..Process::idle(about) };
        if which == REFRESH {
            after.refresh_comes(node, about);
        } else if which < REFRESH && !case.is_conditional(about) {
            after.rightful |= case.scope(about);
        }
        found.push((Move::Begin { which, node, about }, after));
    };
    let idle =
        |which: usize| world.processes[which].step == Step::Idle && world.processes[which].late.is_none();
    if idle(CALL) {
        begin(CALL, 0, 0, World::first_step(case, 0));
    }
    let comes_again = case.kinds[0] != case.kinds[1] || (!idle(CALL) && world.succeeded == 0);
    if case.with != With::Refresh && idle(REPETITION) && comes_again {
        for node in NODES {
            begin(REPETITION, node, 1, World::first_step(case, 1));
        }
    }
    if case.with != With::Second && idle(REFRESH) {
        let scope = case.kinds[0].scope() | case.kinds[1].scope();
        for subject in subjects().filter(|subject| scope & 1 << subject != 0) {
            for node in NODES {
                begin(REFRESH, node, subject, Step::Look);
            }
        }
    }
    if case.has(Flaw::NobodyResolves) {
        return;
    }
    for operation in (0..4).filter(|operation| world.journal_now().open() & 1 << operation != 0) {
        let step = World::resolver_begins(case, operation);
        for node in NODES.into_iter().filter(|node| world.may_use(*node, On::Journal)) {
            let which = if case.two_resolvers && node == 1 { SECOND_RESOLVER } else { RESOLVER };
            if idle(which) {
                begin(which, node, operation, step);
            }
        }
    }
}

/// What one process can do, and what can happen to it.
fn steps(case: &Case, world: &World, which: usize, faults: bool, found: &mut Vec<(Move, World)>) {
    let process = world.processes[which];
    if let Some(step) = process.late {
        let mut after = *world;
        let mut aside = process;
        after.call(case, &mut aside, step);
        let about = if which >= REFRESH { 0 } else { process.about };
        after.processes[which] = Process { step: process.step, ..Process::idle(about) };
        found.push((Move::RunsLate { which, step }, after));
        return;
    }
    if !process.runs() {
        return;
    }
    let step = process.step;
    let Some(on) = step.on() else {
        let mut after = *world;
        after.go_on(case, which);
        found.push((Move::Takes { which, step }, after));
        return;
    };
    if !world.may_use(process.node, on) {
        let mut after = *world;
        after.fail(which, None);
        found.push((Move::Refused { which, step }, after));
        return;
    }
    let mut called = *world;
    let mut returned = process;
    called.call(case, &mut returned, step);
    called.processes[which] = returned;
    let mut after = called;
    after.go_on(case, which);
    found.push((Move::Takes { which, step }, after));
    if faults {
        cuts(world, &called, which, step, found);
    }
}

fn cuts(world: &World, called: &World, which: usize, step: Step, found: &mut Vec<(Move, World)>) {
    let mut failed = |from: &World, late: Option<Step>, what: Move| {
        let mut after = *from;
        after.fail(which, late);
        found.push((what, after));
    };
    failed(world, None, Move::CutBefore { which, step });
    if called.journal != world.journal || called.user != world.user {
        failed(called, None, Move::CutAfter { which, step });
        if !step.is_wait() {
            failed(world, Some(step), Move::CutAndLate { which, step });
        }
    }
}

fn node_moves(case: &Case, world: &World, node: u8, faults: bool, found: &mut Vec<(Move, World)>) {
    if !world.may_use(node, On::Journal) {
        let mut after = *world;
        after.examine_journal(case, node);
        found.push((Move::ExaminesJournal { node }, after));
    } else if !world.may_use(node, On::User) {
        let mut after = *world;
        after.examine_user(case, node);
        found.push((Move::ExaminesUser { node }, after));
    }
    let log = world.journal_now().log();
    if world.may_use(node, On::Journal) && log & !world.remembers(node) != 0 {
        let mut after = *world;
        if !case.has(Flaw::HearsWhatMayBeLost) {
            after.journal.wait();
        }
        after.remember(node, log);
        found.push((Move::Hears { node }, after));
    }
    if faults {
        crashes(world, node, found);
    }
}

fn crashes(world: &World, node: u8, found: &mut Vec<(Move, World)>) {
    let on_it = |which: &usize| world.processes[*which].runs() && world.processes[*which].node == node;
    let mut down = *world;
    down.memory[usize::from(node)] = 0;
    down.made[usize::from(node)] = 0;
    down.journal_unexamined &= !(1 << node);
    down.user_unexamined &= !(1 << node);
    for which in (0..world.processes.len()).filter(on_it) {
        down.fail(which, None);
    }
    if down.memory == world.memory && down.processes == world.processes {
        return;
    }
    found.push((Move::Crash { node }, down));
    for which in (0..world.processes.len()).filter(on_it) {
        let process = world.processes[which];
        let step = process.step;
        let sent = step.on().is_some_and(|on| world.may_use(node, on)) && !step.is_wait();
        if sent {
            let mut after = down;
            after.processes[which] = process;
            after.fail(which, Some(step));
            found.push((Move::CrashWithCallUnderWay { which, node, step }, after));
        }
    }
}

fn failovers(world: &World, found: &mut Vec<(Move, World)>) {
    for on in [On::Journal, On::User] {
        let shard = if on == On::Journal { &world.journal } else { &world.user };
        for to in shard.earlier().iter().copied().chain([shard.now]) {
            let mut after = *world;
            after.fail_over(on, to);
            found.push((Move::FailsOver { on, to }, after));
        }
    }
}
