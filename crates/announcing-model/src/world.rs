//! Everything that there is at one moment.

use std::hash::{Hash, Hasher};

use super::process::{On, Process, Step};
use super::protocol::{Flaw, Kind, Protocol};
use super::store::{Journal, Shard, User};

/// The processes: the call, its repetition (or another operation beside it), a client that refreshes, the resolvers.
pub(crate) const CALL: usize = 0;
pub(crate) const REPETITION: usize = 1;
pub(crate) const REFRESH: usize = 2;
pub(crate) const RESOLVER: usize = 3;
pub(crate) const SECOND_RESOLVER: usize = 4;

/// The first of the operations that end the sessions whose entries are announced again.
pub(crate) const AGAIN: u16 = 2;

pub(crate) const NODES: [u8; 2] = [0, 1];

/// Who comes besides the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum With {
    /// The same call once more on either node, or another operation.
    Second,
    /// A client that refreshes what is ended, on either node.
    Refresh,
    Both,
}

/// What is played.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) kinds: [Kind; 2],
    pub(crate) protocol: Protocol,
    pub(crate) with: With,
    pub(crate) two_resolvers: bool,
    /// Whether another change may take away what the conditions ask for.
    pub(crate) spoils: bool,
    pub(crate) faults: u8,
    /// Whether what a node says from memory alone has to hold as well.
    pub(crate) minds_memory: bool,
}

impl Case {
    /// The kind of a call. Not of the operations that follow from an entry that is announced again.
    pub(crate) fn kind(&self, operation: u16) -> Kind {
        self.kinds[usize::from(operation)]
    }

    pub(crate) fn is_conditional(&self, operation: u16) -> bool {
        operation < AGAIN && self.kind(operation).is_conditional()
    }

    /// The sessions that an operation ends.
    pub(crate) fn scope(&self, operation: u16) -> u16 {
        if operation < AGAIN { self.kind(operation).scope() } else { 1 << (operation - AGAIN) }
    }

    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.protocol.has(flaw)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) journal: Shard,
    pub(crate) user: Shard,
    pub(crate) processes: [Process; 5],
    /// The subjects that each node has heard of, and refuses.
    pub(crate) memory: [u16; 2],
    /// Those of them that it announced itself. Counts only with [`Flaw::OnlyTheMakerAnnouncesAgain`].
    pub(crate) made: [u16; 2],
    /// The nodes that have not examined the journal, or the user's shard, since it failed over; one bit each.
    pub(crate) journal_unexamined: u8,
    pub(crate) user_unexamined: u8,
    pub(crate) may_spoil: bool,
    /// The calls that were answered 2xx for an end, one bit each.
    pub(crate) succeeded: u16,
    /// The sessions that a client was told have ended: by an answer that asked the store, and by a node's memory alone.
    pub(crate) told: u16,
    pub(crate) told_from_memory: u16,
    /// The sessions whose end was authorised, and whose condition held once.
    pub(crate) rightful: u16,
    /// An answer left before what it says was sure to be in the log.
    pub(crate) hasty: bool,
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.journal.hash(state);
        self.user.hash(state);
        for process in &self.processes {
            state.write_u64(process.word());
        }
        let small = [
            self.memory[0],
            self.memory[1],
            self.made[0],
            self.made[1],
            u16::from(self.journal_unexamined),
            u16::from(self.user_unexamined),
            self.succeeded,
            self.told,
            self.told_from_memory,
            self.rightful,
            u16::from(self.may_spoil) << 1 | u16::from(self.hasty),
        ];
        state.write_u64(small.iter().fold(0, |word, part| word << 2 | u64::from(*part)));
    }
}

impl World {
    pub(crate) const fn new(case: &Case) -> Self {
        Self {
            journal: Shard::holding(0),
            user: Shard::holding(0),
            processes: [
                Process::idle(0),
                Process::idle(1),
                Process::idle(0),
                Process::idle(0),
                Process::idle(0),
            ],
            memory: [0; 2],
            made: [0; 2],
            journal_unexamined: 0,
            user_unexamined: 0,
            may_spoil: case.spoils,
            succeeded: 0,
            told: 0,
            told_from_memory: 0,
            rightful: 0,
            hasty: false,
        }
    }

    pub(crate) fn journal_now(&self) -> Journal {
        Journal(self.journal.now)
    }

    pub(crate) fn user_now(&self) -> User {
        User(self.user.now)
    }

    pub(crate) fn remembers(&self, node: u8) -> u16 {
        self.memory[usize::from(node)]
    }

    pub(crate) fn remember(&mut self, node: u8, subjects: u16) {
        self.memory[usize::from(node)] |= subjects;
    }

    /// Whether a node may use a shard: it has examined what was promoted.
    pub(crate) fn may_use(&self, node: u8, on: On) -> bool {
        let unexamined = match on {
            On::Journal => self.journal_unexamined,
            On::User => self.user_unexamined,
        };
        unexamined & 1 << node == 0
    }

    /// A process has failed: its client is told 503 or nothing, a resolver begins anew some time.
    pub(crate) fn fail(&mut self, which: usize, late: Option<Step>) {
        let before = self.processes[which];
        let ended = Process {
            step: if which >= RESOLVER { Step::Idle } else { Step::Done },
            ..Process::idle(if which >= REFRESH { 0 } else { before.about })
        };
        self.processes[which] = match late {
            Some(step) => Process { step: ended.step, late: Some(step), ..before },
            None => ended,
        };
    }

    /// Nothing runs, and nothing is under way.
    pub(crate) fn rests(&self) -> bool {
        self.processes.iter().all(|process| !process.runs() && process.late.is_none())
    }
}
