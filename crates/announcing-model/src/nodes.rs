//! What nodes do by themselves, and what a failover leaves them with.

use super::process::{On, Process, Step};
use super::protocol::Flaw;
use super::store::{Shard, subjects};
use super::world::{AGAIN, Case, NODES, RESOLVER, World};

impl World {
    /// The first step of a resolver.
    pub(crate) fn resolver_begins(case: &Case, operation: u16) -> Step {
        match case.is_conditional(operation) {
            true => Step::Inspect,
            false if case.has(Flaw::ResolverDoesNotWaitForTheJournal) => Step::Bury,
            false => Step::Confirm,
        }
    }

    /// Before a promoted journal is used: what this node heard, and the log lacks, is announced again.
    pub(crate) fn examine_journal(&mut self, case: &Case, node: u8) {
        let again = if case.has(Flaw::NobodyAnnouncesAgain) {
            0
        } else if case.has(Flaw::OnlyTheMakerAnnouncesAgain) {
            self.made[usize::from(node)]
        } else {
            self.remembers(node)
        };
        let mut journal = self.journal_now();
        let lacking = again & !journal.log();
        for subject in subjects().filter(|subject| lacking & 1 << subject != 0) {
            journal.add_entry(subject);
            if !case.has(Flaw::AnnouncesAgainWithoutAnOperation) {
                journal.set_open(AGAIN + subject);
            }
            if !case.has(Flaw::AnnouncesAgainWithoutAudit) {
                journal.audit_end(subject);
            }
        }
        self.journal.write(journal.0);
        self.journal_unexamined &= !(1 << node);
    }

    /// Before a promoted primary of the user's shard is used: it gets the tombstones of what this node heard. These
    /// entries must be durable first, or the tombstones may be all that is left.
    pub(crate) fn examine_user(&mut self, case: &Case, node: u8) {
        let heard = self.remembers(node);
        if heard != 0 && !case.has(Flaw::TombstonesBeforeTheirEntryIsDurable) {
            self.journal.wait();
        }
        if !case.has(Flaw::NobodyWritesTombstonesAgain) {
            let mut user = self.user_now();
            user.bury(heard);
            self.user.write(user.0);
        }
        self.user_unexamined &= !(1 << node);
    }

    /// A replica becomes the primary, and holds an earlier state.
    pub(crate) fn fail_over(&mut self, on: On, to: u16) {
        // A node that remembers nothing finds nothing when it examines.
        let unexamined = NODES.into_iter().filter(|node| self.remembers(*node) != 0);
        let unexamined = unexamined.fold(0, |set, node| set | 1 << node);
        match on {
            On::Journal => (self.journal, self.journal_unexamined) = (Shard::holding(to), unexamined),
            On::User => (self.user, self.user_unexamined) = (Shard::holding(to), unexamined),
        }
        for which in 0..self.processes.len() {
            let process = &mut self.processes[which];
            // What was under way to the old primary is lost with it.
            if process.late.is_some_and(|step| step.on() == Some(on)) {
                *process = Process { step: process.step, ..Process::idle(process.about) };
            }
            let waits = process.step.is_wait() && process.step.on() == Some(on);
            process.failed_over |= process.runs() && which < RESOLVER;
            if waits {
                self.fail(which, None);
            }
        }
    }

    /// Somebody else changes the user, so that the conditions do not hold any more.
    pub(crate) fn another_change(&mut self, case: &Case) {
        let mut user = self.user_now();
        user.spoil();
        if case.has(Flaw::KeepsTheLastIdOnly) {
            user.forget_applied();
        }
        self.user.write(user.0);
        self.may_spoil = false;
    }
}
