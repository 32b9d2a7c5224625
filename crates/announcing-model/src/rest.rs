//! What must be true: of every moment, and when nothing happens any more.

use super::process::{Process, Step};
use super::store::{Journal, subjects};
use super::world::{Case, NODES, RESOLVER, World};

/// What is broken at this moment.
pub(crate) fn broken_now(case: &Case, world: &World) -> Option<&'static str> {
    let refused = world.memory[0] | world.memory[1] | world.journal_now().log();
    if refused & !world.rightful != 0 {
        return Some("D3: a node refuses what was not rightfully ended");
    }
    if subjects().any(|subject| world.journal_now().entries(subject) > 1) {
        return Some("D6: two live entries for one subject");
    }
    if world.hasty {
        return Some("R: an answer left before its entry was durable in the log");
    }
    if world.rests() { broken_at_rest(case, &at_rest(case, world)) } else { None }
}

/// Lets nodes read and resolvers run until nothing changes.
fn at_rest(case: &Case, world: &World) -> World {
    let mut world = *world;
    loop {
        let before = world;
        for node in NODES {
            if world.journal_unexamined & 1 << node != 0 {
                world.examine_journal(case, node);
            }
            if world.user_unexamined & 1 << node != 0 {
                world.examine_user(case, node);
            }
            world.remember(node, world.journal_now().log());
        }
        if !case.has(super::protocol::Flaw::NobodyResolves) {
            for operation in (0..4).filter(|operation| before.journal_now().open() & 1 << operation != 0) {
                resolve(case, &mut world, operation);
            }
        }
        if world == before {
            return world;
        }
    }
}

fn resolve(case: &Case, world: &mut World, operation: u16) {
    let step = World::resolver_begins(case, operation);
    world.processes[RESOLVER] = Process { step, ..Process::idle(operation) };
    while world.processes[RESOLVER].step != Step::Idle {
        let mut process = world.processes[RESOLVER];
        let step = process.step;
        world.call(case, &mut process, step);
        world.processes[RESOLVER] = process;
        world.go_on(case, RESOLVER);
    }
}

fn broken_at_rest(case: &Case, world: &World) -> Option<&'static str> {
    let journal = world.journal_now();
    let user = world.user_now();
    let refused = journal.log() & world.memory[0] & world.memory[1];
    let ended = refused & user.dead();
    for operation in (0..2).filter(|operation| world.succeeded & 1 << operation != 0) {
        if case.scope(operation) & !ended != 0 {
            return Some("D1: acknowledged, and not in force everywhere");
        }
        if !audited(case, journal, case.scope(operation), operation) {
            return Some("D1: acknowledged, and not in the audit exactly once");
        }
    }
    if world.told & !ended != 0 {
        return Some("D2: a client was told of an end that is not in force everywhere");
    }
    let known = journal.log() | world.memory[0] | world.memory[1];
    if user.dead() & !refused != 0 {
        return Some("D4: dead in the store, and not refused by every node");
    }
    if known != refused || known & !user.dead() != 0 {
        return Some("D4: refused by a node, and not dead in the store and refused by all");
    }
    if refused & !in_effect(case, world) != 0 {
        return Some("D5: announced, and no operation is in effect that says so");
    }
    if journal.open() != 0 {
        return Some("D8: an operation stays open");
    }
    if subjects().any(|subject| journal.ends_audited(subject) != u16::from(refused & 1 << subject != 0)) {
        return Some("D7: the audit does not have each end exactly once");
    }
    let applied = user.changed();
    if (0..2).any(|operation| journal.changes_audited(operation) != u16::from(applied & 1 << operation != 0))
    {
        return Some("D7: the audit does not have each change that is in effect exactly once");
    }
    if case.minds_memory && world.told_from_memory & !ended != 0 {
        return Some("M: a node refused from memory what is not ended");
    }
    None
}

/// Whether the ends, and the change if it is one, are in the audit once each.
fn audited(case: &Case, journal: Journal, scope: u16, operation: u16) -> bool {
    let ends = subjects().filter(|subject| scope & 1 << subject != 0);
    let same_kind = (0..2).filter(|other| case.kind(*other) == case.kind(operation));
    let changes: u16 = same_kind.map(|other| journal.changes_audited(other)).sum();
    ends.into_iter().all(|subject| journal.ends_audited(subject) == 1)
        && (changes == 1 || !case.is_conditional(operation))
}

/// The sessions that an operation ends whose change is in force, or which asks for no condition.
fn in_effect(case: &Case, world: &World) -> u16 {
    let changed = world.user_now().changed();
    (0..2)
        .filter(|operation| changed & 1 << operation != 0 || !case.is_conditional(*operation))
        .fold(0, |set, operation| set | case.scope(operation))
}
