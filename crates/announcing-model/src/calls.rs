//! The steps of the protocol: what a call does to a shard, and what its process does next.

use super::process::{Answer, On, Process, Step, Verdict};
use super::protocol::{Flaw, Kind};
use super::store::subjects;
use super::world::{AGAIN, Case, REFRESH, RESOLVER, World};

/// What the atomic script of the journal is asked for.
#[derive(Default)]
struct Entry {
    open: Option<u16>,
    /// The subjects to announce, each with the record of its end.
    entries: u16,
    close: Option<u16>,
    /// With the record of the change, if the operation is open.
    audits_change: bool,
}

impl World {
    /// The script `record`. Returns the subjects whose entry is new.
    fn record(&mut self, case: &Case, wanted: &Entry) -> u16 {
        let mut journal = self.journal_now();
        if let Some(operation) = wanted.open {
            journal.set_open(operation);
        }
        let mut added = 0;
        for subject in subjects().filter(|subject| wanted.entries & 1 << subject != 0) {
            if journal.entries(subject) == 0 || case.has(Flaw::AddsASecondEntry) {
                journal.add_entry(subject);
                added |= 1 << subject;
                if !case.has(Flaw::AuditApart) {
                    journal.audit_end(subject);
                }
            }
        }
        if let Some(operation) = wanted.close {
            let was_open = journal.open() & 1 << operation != 0;
            if wanted.audits_change && (was_open || case.has(Flaw::AuditsWhatOthersClosed)) {
                journal.audit_change(operation);
            }
            if !case.has(Flaw::ForgetsToClose) || !wanted.audits_change {
                journal.set_closed(operation);
            }
        }
        self.journal.write(journal.0);
        added
    }

    /// The subjects to announce for an operation, of those that the user's shard said are dead.
    fn to_announce(case: &Case, operation: u16, dead: u16) -> u16 {
        dead & case.scope(operation)
    }

    /// The script of a conditional change.
    fn change(&mut self, case: &Case, process: &mut Process) {
        let operation = process.about;
        let kind = case.kind(operation);
        let mut user = self.user_now();
        let same_kind =
            (0..2).filter(|other| case.kind(*other) == kind).fold(0, |set, other| set | 1 << other);
        let is_so = user.changed() & same_kind != 0;
        let dead_before = user.dead();
        process.verdict = match kind {
            _ if user.fenced() & 1 << operation != 0 => Verdict::Fenced,
            Kind::Disable | Kind::Delete if is_so => Verdict::Already,
            Kind::SignIn if user.dead() & kind.scope() != 0 => Verdict::Already,
            _ if is_so || user.spoiled() => Verdict::Blocked,
            _ => Verdict::Applied,
        };
        if process.verdict == Verdict::Applied {
            if case.has(Flaw::KeepsTheLastIdOnly) {
                user.forget_applied();
            }
            user.bury(kind.scope());
            user.set_applied(operation);
            user.change(operation);
            self.rightful |= kind.scope();
            self.user.write(user.0);
        }
        process.dead = user.dead();
        process.applied = user.applied();
        if case.has(Flaw::CountsWhatDiedJustNow) {
            process.dead &= !dead_before;
        }
    }

    /// Runs a call against its shard. What it returned is kept in the process.
    pub(crate) fn call(&mut self, case: &Case, process: &mut Process, step: Step) {
        let before = (self.journal.now, self.user.now);
        if step.is_wait() {
            self.wait(case, process, step);
            return;
        }
        match step.on() {
            Some(On::Journal) => self.call_journal(case, process, step),
            Some(On::User) => self.call_user(case, process, step),
            None => {}
        }
        let changed = before != (self.journal.now, self.user.now);
        process.wrote |= changed || !case.has(Flaw::WaitsWithoutAWrite);
    }

    fn wait(&mut self, case: &Case, process: &mut Process, step: Step) {
        let omitted = match step {
            Step::OpenWait | Step::RecordWait => {
                case.has(Flaw::DoesNotWaitForTheJournal)
                    || step == Step::OpenWait
                        && case.has(Flaw::OpensWithoutWaiting)
                        && case.is_conditional(process.about)
            }
            Step::RevealRecordWait => {
                let remembered = process.dead & !self.remembers(process.node) == 0;
                case.has(Flaw::TrustsMemoryWhenItReveals) && remembered
            }
            Step::ApplyWait => case.has(Flaw::DoesNotWaitForTheUser),
            Step::BuryWait => case.has(Flaw::ResolverDoesNotWaitForTheTombstone),
            Step::RevealWait | Step::InspectWait => case.has(Flaw::ReaderDoesNotWaitForTheUser),
            _ => false,
        };
        if process.wrote && !omitted {
            match step.on() {
                Some(On::Journal) => self.journal.wait(),
                _ => self.user.wait(),
            }
        }
        process.wrote = false;
    }

    fn call_journal(&mut self, case: &Case, process: &mut Process, step: Step) {
        let operation = process.about;
        let scope = case.scope(operation);
        let is_conditional = case.is_conditional(operation);
        let made_here = match step {
            Step::Open => {
                let early = !is_conditional || case.has(Flaw::AnnouncesBeforeTheCondition);
                let entries = if early { scope } else { 0 };
                Entry { open: Some(operation), entries, ..Entry::default() }
            }
            Step::Record => {
                let entries = Self::to_announce(case, operation, process.dead);
                Entry { entries, close: Some(operation), audits_change: is_conditional, open: None }
            }
            Step::Confirm => {
                let open = Some(operation).filter(|_| !case.has(Flaw::ResolverAnnouncesWithoutAnOperation));
                Entry { open, entries: scope, ..Entry::default() }
            }
            Step::Close | Step::RevealClose | Step::ResolverClose => {
                Entry { close: Some(operation), ..Entry::default() }
            }
            Step::Resolve => {
                let applied = process.applied & 1 << operation != 0;
                let entries = if applied { Self::to_announce(case, operation, process.dead) } else { 0 };
                Entry { entries, close: Some(operation), audits_change: applied, open: None }
            }
            Step::RevealRecord => return self.record_what_is_revealed(case, process),
            Step::AuditApart => return self.audit_apart(process),
            _ => return,
        };
        let added = self.record(case, &made_here);
        if matches!(step, Step::Open | Step::Record) {
            process.unaudited = if case.has(Flaw::AuditApart) { added } else { 0 };
        }
    }

    /// The reveal rule: the operations that were applied are resolved, and what is dead stands in the log.
    fn record_what_is_revealed(&mut self, case: &Case, process: &mut Process) {
        for operation in (0..AGAIN).filter(|operation| process.applied & 1 << operation != 0) {
            if self.journal_now().open() & 1 << operation != 0 {
                let entries = Self::to_announce(case, operation, process.dead);
                self.record(
                    case,
                    &Entry { entries, close: Some(operation), audits_change: true, open: None },
                );
            }
        }
        let unheard = process.dead & !self.remembers(process.node);
        self.record(case, &Entry { entries: unheard, ..Entry::default() });
    }

    fn audit_apart(&mut self, process: &mut Process) {
        let mut journal = self.journal_now();
        for subject in subjects().filter(|subject| process.unaudited & 1 << subject != 0) {
            journal.audit_end(subject);
        }
        process.unaudited = 0;
        self.journal.write(journal.0);
    }

    fn call_user(&mut self, case: &Case, process: &mut Process, step: Step) {
        let mut user = self.user_now();
        match step {
            Step::Apply if case.is_conditional(process.about) => return self.change(case, process),
            Step::Apply | Step::Bury => user.bury(case.scope(process.about)),
            Step::Inspect => {
                let closes_at_once =
                    case.has(Flaw::ClosesWhenTheMakerIsGone) || case.has(Flaw::ResolverClosesTooEarly);
                if user.applied() & 1 << process.about == 0 && !closes_at_once {
                    user.fence(process.about);
                }
            }
            _ => {}
        }
        self.user.write(user.0);
        if matches!(step, Step::Read | Step::Look | Step::Inspect) {
            process.dead = user.dead();
            process.applied = user.applied();
        }
    }

    /// What a process does when its call was answered.
    pub(crate) fn go_on(&mut self, case: &Case, which: usize) {
        let process = self.processes[which];
        let next = if which >= RESOLVER {
            Some(self.resolver_goes_on(case, &process))
        } else if which == REFRESH {
            self.refresh_goes_on(case, &process)
        } else {
            self.call_goes_on(case, which)
        };
        match next {
            Some(Step::Idle) => self.processes[which] = Process::idle(0),
            Some(Step::Done) => self.answer(case, which),
            Some(step) => self.processes[which].step = step,
            None => self.fail(which, None),
        }
    }

    fn resolver_goes_on(&mut self, case: &Case, process: &Process) -> Step {
        match process.step {
            Step::Confirm => Step::ConfirmWait,
            Step::ConfirmWait => {
                self.remember(process.node, case.scope(process.about));
                Step::Bury
            }
            Step::Bury => Step::BuryWait,
            Step::BuryWait => Step::ResolverClose,
            Step::Inspect => {
                let applied = process.applied & 1 << process.about != 0;
                let maker_runs = self.processes[usize::from(process.about)].runs();
                if !applied && case.has(Flaw::ClosesWhenTheMakerIsGone) && maker_runs {
                    Step::Idle
                } else {
                    Step::InspectWait
                }
            }
            Step::InspectWait => Step::Resolve,
            _ => Step::Idle,
        }
    }

    fn refresh_goes_on(&mut self, case: &Case, process: &Process) -> Option<Step> {
        Some(match process.step {
            Step::Look if process.dead & 1 << process.about == 0 => {
                self.processes[REFRESH].answer = Answer::Plain;
                Step::Done
            }
            Step::Look => {
                self.processes[REFRESH].answer = Answer::Revealing;
                if case.has(Flaw::RevealsBeforeTheEntry) { Step::Done } else { Step::RevealWait }
            }
            Step::RevealWait => Step::RevealRecord,
            Step::RevealRecord => Step::RevealRecordWait,
            Step::RevealRecordWait => {
                self.remember(process.node, process.dead);
                Step::Ask
            }
            _ if process.failed_over && !case.has(Flaw::DoesNotAsk) => return None,
            _ => Step::Done,
        })
    }
}
