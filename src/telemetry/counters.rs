//! What a node has seen since it started, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use relatch_domain::event::Event;
use relatch_domain::rotation::Verdict;
use relatch_domain::session::EndReason;

/// Counters that all workers of a node share. Each grows only, from zero at the node's start.
#[derive(Debug, Default)]
pub struct Counters {
    sign_ins: AtomicU64,
    refused_sign_ins: AtomicU64,
    refreshes: [AtomicU64; Verdict::NAMES.len()],
    sessions_ended: [AtomicU64; EndReason::CODES.len()],
}

impl Counters {
    /// Counts an event.
    pub fn count(&self, event: &Event) {
        match event {
            Event::SignedIn { .. } => add(&self.sign_ins, 1),
            Event::SignInFailed { .. } => add(&self.refused_sign_ins, 1),
            Event::Refreshed { verdict, .. } => {
                add_named(&Verdict::NAMES, &self.refreshes, verdict.name(), 1);
            }
            Event::SessionEnded { reason, .. } => self.ended(*reason, 1),
            Event::CutoffSwept { reason, sessions, .. } => self.ended(*reason, *sessions),
            Event::UserCreated { .. }
            | Event::UsersImported { .. }
            | Event::UsersExported
            | Event::PasswordChanged { .. }
            | Event::PasswordResetIssued { .. }
            | Event::FailuresForgotten { .. }
            | Event::UserChanged { .. }
            | Event::UserDeleted { .. }
            | Event::CutoffRaised { .. }
            | Event::ClientRevoked { .. }
            | Event::RevocationsRestored { .. }
            | Event::StoreAdopted { .. }
            | Event::KeyRotated { .. }
            | Event::AdminCall { .. } => {}
        }
    }

    /// Sign-ins.
    pub fn sign_ins(&self) -> u64 {
        self.sign_ins.load(Ordering::Relaxed)
    }

    /// Sign-ins that were refused.
    pub fn refused_sign_ins(&self) -> u64 {
        self.refused_sign_ins.load(Ordering::Relaxed)
    }

    /// Judged refreshes, by the verdict's name.
    pub fn refreshes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Verdict::NAMES.into_iter().zip(self.refreshes.iter().map(|counter| counter.load(Ordering::Relaxed)))
    }

    /// Sessions that this node has ended, by the reason's code.
    pub fn sessions_ended(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.sessions_ended.iter().map(|counter| counter.load(Ordering::Relaxed));
        EndReason::CODES.into_iter().zip(counts)
    }

    fn ended(&self, reason: EndReason, sessions: usize) {
        let by = u64::try_from(sessions).unwrap_or(u64::MAX);
        add_named(&EndReason::CODES, &self.sessions_ended, reason.code(), by);
    }
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

fn add_named(names: &[&str], counters: &[AtomicU64], name: &str, by: u64) {
    let found = names.iter().zip(counters).find(|(other, _)| **other == name);
    if let Some((_, counter)) = found {
        add(counter, by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use relatch_domain::{Generation, SessionId, SessionRef, UnixMillis, UserId};

    #[test]
    fn each_event_is_counted_under_its_name() {
        let session =
            SessionRef { user: UserId::from_bytes([1; 16]), session: SessionId::from_bytes([2; 16]) };
        let refreshed =
            |verdict| Event::Refreshed { session, presented: Generation(0), verdict, other: None };
        let counters = Counters::default();
        for event in [
            Event::SignedIn { session, known_device: false, failures: 0 },
            refreshed(Verdict::Rotate),
            refreshed(Verdict::Rotate),
            refreshed(Verdict::Revoked(EndReason::SignedOut)),
            // Two presented old tokens at the same time, and the session ended once.
            refreshed(Verdict::Reuse),
            refreshed(Verdict::Reuse),
            Event::SessionEnded { session, reason: EndReason::Reuse },
            Event::SessionEnded { session, reason: EndReason::SignedOut },
            Event::CutoffSwept {
                cutoff: UnixMillis(7),
                reason: EndReason::RevokedByAdmin,
                users: 2,
                sessions: 3,
            },
        ] {
            counters.count(&event);
        }
        let nonzero = |counts: Vec<(&'static str, u64)>| -> Vec<_> {
            counts.into_iter().filter(|(_, count)| *count > 0).collect()
        };
        assert_eq!(nonzero(counters.refreshes().collect()), [("revoked", 1), ("rotate", 2), ("reuse", 2)]);
        let ended = nonzero(counters.sessions_ended().collect());
        assert_eq!(ended, [("signed_out", 1), ("revoked_by_admin", 3), ("reuse", 1)]);
        assert_eq!((counters.sign_ins(), counters.refused_sign_ins()), (1, 0));
    }
}
