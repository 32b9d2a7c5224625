//! How a call goes on from step to step, and what it tells its client in the end.

use super::process::{Answer, Step, Verdict};
use super::protocol::{Flaw, Kind};
use super::store::Journal;
use super::world::{Case, REFRESH, World};

impl World {
    /// The first step of a call.
    pub(crate) fn first_step(case: &Case, operation: u16) -> Step {
        match case.kind(operation) {
            _ if case.has(Flaw::TombstoneFirst) => Step::Apply,
            Kind::Reuse => Step::Read,
            _ => Step::Open,
        }
    }

    /// The next step of a call; none: it has failed.
    pub(crate) fn call_goes_on(&mut self, case: &Case, which: usize) -> Option<Step> {
        let process = self.processes[which];
        let kind = case.kind(process.about);
        Some(match process.step {
            Step::Read if process.dead & kind.scope() != 0 => {
                self.processes[which].answer = Answer::Revealing;
                Step::RevealWait
            }
            Step::Read => Step::Open,
            Step::Open if case.has(Flaw::AuditApart) && !kind.is_conditional() => Step::AuditApart,
            Step::AuditApart if kind.is_conditional() => Step::RecordWait,
            Step::Open | Step::AuditApart => Step::OpenWait,
            Step::OpenWait => {
                if !kind.is_conditional() {
                    self.remember_made(case, which, kind.scope());
                }
                Step::Apply
            }
            Step::Apply if kind.is_conditional() => return self.after_the_script(case, which),
            Step::Apply => Step::ApplyWait,
            Step::ApplyWait if kind.is_conditional() || case.has(Flaw::TombstoneFirst) => Step::Record,
            Step::ApplyWait => Step::Ask,
            Step::Record if case.has(Flaw::AuditApart) => Step::AuditApart,
            Step::Record => {
                self.processes[which].applied = 0;
                Step::RecordWait
            }
            Step::RecordWait => {
                self.remember_made(case, which, process.dead & kind.scope());
                Step::Ask
            }
            Step::RevealWait if process.answer == Answer::Plain => Step::RevealClose,
            Step::RevealWait => Step::RevealRecord,
            Step::RevealRecord | Step::RevealClose if process.applied != 0 => {
                self.processes[which].applied = 0;
                return self.call_goes_on(case, which);
            }
            Step::RevealRecord if kind.is_conditional() => Step::RevealClose,
            Step::RevealRecord | Step::RevealClose => Step::RevealRecordWait,
            Step::RevealRecordWait => {
                self.remember(process.node, process.dead);
                Step::Ask
            }
            Step::Ask if process.failed_over && !case.has(Flaw::DoesNotAsk) => return None,
            Step::Ask => {
                let made_it = process.answer == Answer::Success && !kind.is_conditional();
                if made_it && !case.has(Flaw::TombstoneFirst) { Step::Close } else { Step::Done }
            }
            _ => Step::Done,
        })
    }

    fn after_the_script(&mut self, case: &Case, which: usize) -> Option<Step> {
        let process = &mut self.processes[which];
        let kind = case.kind(process.about);
        process.answer = match process.verdict {
            Verdict::Applied => return Some(Step::ApplyWait),
            Verdict::Fenced => return None,
            Verdict::Already if kind == Kind::SignIn => Answer::Plain,
            Verdict::Already => Answer::Success,
            Verdict::Blocked => Answer::Revealing,
        };
        Some(Step::RevealWait)
    }

    fn remember_made(&mut self, case: &Case, which: usize, subjects: u16) {
        let node = self.processes[which].node;
        self.remember(node, subjects);
        if case.has(Flaw::OnlyTheMakerAnnouncesAgain) {
            self.made[usize::from(node)] |= subjects;
        }
    }

    /// The client is told.
    pub(crate) fn answer(&mut self, case: &Case, which: usize) {
        let process = self.processes[which];
        let told = match process.answer {
            Answer::Success => {
                self.succeeded |= 1 << process.about;
                case.scope(process.about)
            }
            Answer::Revealing => process.dead,
            Answer::Plain => 0,
        };
        self.told |= told;
        self.hasty |= told & !self.journal.always(|state| Journal(state).log()) != 0;
        self.fail(which, None);
    }

    /// A client that refreshes comes to a node.
    pub(crate) fn refresh_comes(&mut self, node: u8, subject: u16) {
        let process = &mut self.processes[REFRESH];
        process.node = node;
        process.about = subject;
        process.step = Step::Look;
        if self.remembers(node) & 1 << subject != 0 {
            self.told_from_memory |= 1 << subject;
            self.fail(REFRESH, None);
        }
    }
}
