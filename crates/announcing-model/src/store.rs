//! What is stored: two shards, each with a replica that lags behind.

use std::hash::{Hash, Hasher};

/// How many earlier states of a shard a replica may hold.
const MOST: usize = 12;

/// A primary, and what its replica may hold instead.
///
/// A failover keeps some prefix of the writes that were not waited for. Which prefix it was does not matter, only what
/// state it leads to; so the earlier states are kept as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) now: u16,
    earlier: [u16; MOST],
    number: u8,
}

impl Shard {
    pub(crate) const fn holding(now: u16) -> Self {
        Self { now, earlier: [0; MOST], number: 0 }
    }

    /// What a failover may bring back.
    pub(crate) fn earlier(&self) -> &[u16] {
        &self.earlier[..usize::from(self.number)]
    }

    pub(crate) fn write(&mut self, next: u16) {
        if next == self.now {
            return;
        }
        let before = *self;
        *self = Self::holding(next);
        for state in before.earlier().iter().chain([&before.now]).filter(|state| **state != next) {
            self.add(*state);
        }
    }

    /// Keeps the set in order, so that the same set is the same state of the search.
    fn add(&mut self, state: u16) {
        let Err(at) = self.earlier().binary_search(&state) else { return };
        let number = usize::from(self.number);
        self.earlier.copy_within(at..number, at + 1);
        self.earlier[at] = state;
        self.number += 1;
    }

    /// `WAIT`: the replica holds everything.
    pub(crate) fn wait(&mut self) {
        *self = Self::holding(self.now);
    }

    /// What is there whatever happens.
    pub(crate) fn always(&self, part: impl Fn(u16) -> u16) -> u16 {
        self.earlier().iter().fold(part(self.now), |kept, state| kept & part(*state))
    }
}

impl Hash for Shard {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let words = self
            .earlier()
            .chunks(3)
            .map(|states| states.iter().fold(1, |word, state| shifted_in(word, *state)));
        state.write_u64(shifted_in(u64::from(self.number), self.now));
        words.for_each(|word| state.write_u64(word));
    }
}

fn shifted_in(word: u64, state: u16) -> u64 {
    word << 16 | u64::from(state)
}

/// The journal. Two sessions, two operations: for each session how many live entries and how many records of its end,
/// for each operation whether it is open and how many records of the change. Operations 2 and 3 end the session 0 or 1
/// whose entry was announced again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Journal(pub(crate) u16);

impl Journal {
    fn number(self, at: u16) -> u16 {
        self.0 >> at & 0b11
    }

    /// One more; three stand for many.
    fn count(&mut self, at: u16) {
        if self.number(at) < 3 {
            self.0 += 1 << at;
        }
    }

    pub(crate) fn entries(self, subject: u16) -> u16 {
        self.number(2 * subject)
    }

    pub(crate) fn add_entry(&mut self, subject: u16) {
        self.count(2 * subject);
    }

    pub(crate) fn ends_audited(self, subject: u16) -> u16 {
        self.number(4 + 2 * subject)
    }

    pub(crate) fn audit_end(&mut self, subject: u16) {
        self.count(4 + 2 * subject);
    }

    pub(crate) fn changes_audited(self, operation: u16) -> u16 {
        self.number(8 + 2 * operation)
    }

    pub(crate) fn audit_change(&mut self, operation: u16) {
        self.count(8 + 2 * operation);
    }

    /// The subjects that have a live entry.
    pub(crate) fn log(self) -> u16 {
        subjects().filter(|subject| self.entries(*subject) > 0).fold(0, |set, subject| set | 1 << subject)
    }

    /// The open operations.
    pub(crate) fn open(self) -> u16 {
        self.0 >> 12
    }

    pub(crate) fn set_open(&mut self, operation: u16) {
        self.0 |= 1 << (12 + operation);
    }

    pub(crate) fn set_closed(&mut self, operation: u16) {
        self.0 &= !(1 << (12 + operation));
    }
}

/// The user's records: which sessions are dead, which operations were applied, which may not be applied any more, and
/// whether another change has taken away what the conditions ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User(pub(crate) u16);

impl User {
    pub(crate) fn dead(self) -> u16 {
        self.0 & 0b11
    }

    pub(crate) fn bury(&mut self, subjects: u16) {
        self.0 |= subjects;
    }

    /// The operations whose ids the record holds.
    pub(crate) fn applied(self) -> u16 {
        self.0 >> 2 & 0b11
    }

    pub(crate) fn set_applied(&mut self, operation: u16) {
        self.0 |= 1 << (2 + operation);
    }

    pub(crate) fn forget_applied(&mut self) {
        self.0 &= !0b1100;
    }

    pub(crate) fn fenced(self) -> u16 {
        self.0 >> 4 & 0b11
    }

    pub(crate) fn fence(&mut self, operation: u16) {
        self.0 |= 1 << (4 + operation);
    }

    /// The operations whose change is in force, whatever ids are kept.
    pub(crate) fn changed(self) -> u16 {
        self.0 >> 6 & 0b11
    }

    pub(crate) fn change(&mut self, operation: u16) {
        self.0 |= 1 << (6 + operation);
    }

    pub(crate) fn spoiled(self) -> bool {
        self.0 & 1 << 8 != 0
    }

    pub(crate) fn spoil(&mut self) {
        self.0 |= 1 << 8;
    }
}

pub(crate) fn subjects() -> impl Iterator<Item = u16> {
    0..2
}
