//! The invariants hold for the protocol as it is; each planted flaw breaks one.
//!
//! `RELATCH_ANNOUNCING_FAULTS=4 cargo test --release -p relatch-announcing-model -- --nocapture` looks further;
//! `RELATCH_ANNOUNCING_RESOLVERS=2` lets both nodes resolve at once.

use std::time::Instant;

use super::protocol::{Flaw, Kind, Protocol};
use super::search::{Counterexample, search};
use super::world::{Case, With};

/// One operation by itself, without faults.
const ALONE: Case = Case {
    kinds: [Kind::SignOut; 2],
    protocol: Protocol::TRUE,
    with: With::Second,
    two_resolvers: false,
    spoils: false,
    faults: 0,
    minds_memory: false,
};

fn of(kind: Kind) -> Case {
    Case { kinds: [kind; 2], ..ALONE }
}

/// The operation, and the same once more on either node.
fn repeated(kind: Kind) -> Case {
    Case { with: With::Second, ..of(kind) }
}

/// The operation, a client that refreshes on either node, and another change that may take the condition away.
fn refreshed(kind: Kind) -> Case {
    Case { with: With::Refresh, spoils: kind.is_conditional(), ..of(kind) }
}

/// Two operations side by side.
fn beside(kind: Kind, other: Kind) -> Case {
    Case { kinds: [kind, other], ..repeated(kind) }
}

fn chosen(name: &str, otherwise: u8) -> u8 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Nothing is broken with that many faults, or as many as `RELATCH_ANNOUNCING_FAULTS` says.
fn holds(case: &Case, faults: u8) {
    let faults = chosen("RELATCH_ANNOUNCING_FAULTS", faults);
    let two_resolvers = chosen("RELATCH_ANNOUNCING_RESOLVERS", 1) == 2;
    let case = Case { two_resolvers, faults, ..*case };
    let began = Instant::now();
    let found = search(&case);
    let with = match case.kinds {
        [kind, other] if kind != other => other.name(),
        _ => match case.with {
            With::Second => "repeated",
            With::Refresh => "refreshed",
            With::Both => "repeated and refreshed",
        },
    };
    println!(
        "{} | {with} | {faults} | {} {:?} | {} at rest | {:.1?}",
        case.kinds[0].name(),
        found.all_states(),
        found.states,
        found.rests,
        began.elapsed()
    );
    if let Some(counterexample) = found.broken {
        panic!("{counterexample}");
    }
    assert!(found.rests >= 10, "hardly ever at rest: the search looked at nothing");
}

/// Finds a flaw with so many faults and not with fewer, by a story that can be read.
fn finds(flaw: Flaw, case: Case, faults: u8, broken: &str) {
    let found = broken_by(flaw, &Case { faults, ..case }).expect("the flaw was not found");
    println!("{flaw:?}, {}: {found}", case.kinds[0].name());
    assert!(found.broken.starts_with(broken), "{found}");
    assert_eq!(found.faults(), usize::from(faults), "{found}");
    assert!(found.moves.len() <= 15, "not short:\n{found}");
}

fn broken_by(flaw: Flaw, case: &Case) -> Option<Counterexample> {
    search(&Case { protocol: case.protocol.with(flaw), ..*case }).broken
}

#[test]
fn a_sign_out_and_a_revoked_session_hold() {
    for kind in [Kind::SignOut, Kind::RevokeSession] {
        holds(&repeated(kind), 2);
        holds(&refreshed(kind), 3);
    }
}

#[test]
fn the_end_of_a_users_sessions_holds() {
    holds(&repeated(Kind::RevokeUser), 2);
    holds(&refreshed(Kind::RevokeUser), 2);
}

#[test]
fn a_reuse_holds() {
    holds(&repeated(Kind::Reuse), 2);
    holds(&refreshed(Kind::Reuse), 3);
}

#[test]
fn a_password_change_holds() {
    holds(&repeated(Kind::PasswordChange), 2);
    holds(&refreshed(Kind::PasswordChange), 2);
}

#[test]
fn a_disabled_user_holds() {
    holds(&repeated(Kind::Disable), 1);
    holds(&refreshed(Kind::Disable), 1);
}

#[test]
fn a_deleted_user_holds() {
    holds(&repeated(Kind::Delete), 1);
    holds(&refreshed(Kind::Delete), 2);
}

#[test]
fn a_sign_in_that_replaces_holds() {
    holds(&repeated(Kind::SignIn), 1);
    holds(&refreshed(Kind::SignIn), 2);
}

#[test]
fn a_repetition_and_a_refresh_together_hold() {
    for kind in [Kind::SignOut, Kind::PasswordChange, Kind::Delete] {
        holds(&Case { with: With::Both, ..repeated(kind) }, 0);
    }
}

/// Not a delete: its subject is the user as a whole.
#[test]
fn two_operations_side_by_side_hold() {
    let kinds = || Kind::ALL.into_iter().filter(|kind| *kind != Kind::Delete);
    for kind in kinds() {
        for other in kinds().filter(|other| *other != kind) {
            holds(&beside(kind, other), 0);
        }
    }
}

#[test]
fn two_operations_side_by_side_hold_with_a_fault() {
    holds(&beside(Kind::SignOut, Kind::Reuse), 1);
    holds(&beside(Kind::PasswordChange, Kind::SignOut), 1);
    holds(&beside(Kind::SignIn, Kind::PasswordChange), 1);
}

/// What a node refuses from memory alone may be lost with it: a crash, and a journal that fails over. Reading the log
/// with a write of one's own and a `WAIT` would mend it, and make what is heard depend on a replica.
#[test]
fn what_is_refused_from_memory_may_be_lost_with_two_faults() {
    let case = Case { minds_memory: true, ..refreshed(Kind::SignOut) };
    finds(Flaw::HearsWhatMayBeLost, Case { protocol: Protocol::STRICT, ..case }, 2, "M");
    holds(&Case { protocol: Protocol::STRICT, ..case }, 2);
}

#[test]
fn finds_that_what_is_announced_again_needs_its_audit_record_and_its_operation() {
    finds(Flaw::AnnouncesAgainWithoutAudit, repeated(Kind::SignOut), 1, "D7");
    finds(Flaw::AnnouncesAgainWithoutAudit, repeated(Kind::PasswordChange), 1, "D7");
    finds(Flaw::AnnouncesAgainWithoutAnOperation, repeated(Kind::SignOut), 1, "D4");
    finds(Flaw::ResolverAnnouncesWithoutAnOperation, repeated(Kind::SignOut), 2, "D4");
}

#[test]
fn finds_that_every_node_announces_again() {
    finds(Flaw::OnlyTheMakerAnnouncesAgain, repeated(Kind::SignOut), 1, "D4");
    finds(Flaw::NobodyAnnouncesAgain, repeated(Kind::SignOut), 1, "D4");
}

#[test]
fn finds_what_takes_for_durable_what_is_not() {
    finds(Flaw::ResolverDoesNotWaitForTheJournal, repeated(Kind::SignOut), 1, "D4");
    finds(Flaw::ResolverDoesNotWaitForTheTombstone, repeated(Kind::SignOut), 2, "D4");
    finds(Flaw::ReaderDoesNotWaitForTheUser, repeated(Kind::Disable), 1, "D");
    finds(Flaw::TombstonesBeforeTheirEntryIsDurable, refreshed(Kind::SignOut), 3, "D4");
    finds(Flaw::WaitsWithoutAWrite, refreshed(Kind::SignOut), 0, "R");
    finds(Flaw::WaitsWithoutAWrite, repeated(Kind::PasswordChange), 0, "R");
    finds(Flaw::WaitsWithoutAWrite, repeated(Kind::SignOut), 2, "D4");
}

#[test]
fn finds_an_omitted_wait() {
    finds(Flaw::DoesNotWaitForTheJournal, repeated(Kind::SignOut), 0, "R");
    finds(Flaw::DoesNotWaitForTheJournal, repeated(Kind::Delete), 0, "R");
    finds(Flaw::DoesNotWaitForTheUser, repeated(Kind::SignOut), 2, "D1");
    finds(Flaw::DoesNotWaitForTheUser, repeated(Kind::PasswordChange), 1, "D5");
    finds(Flaw::OpensWithoutWaiting, repeated(Kind::PasswordChange), 1, "D4");
}

#[test]
fn finds_an_announcement_before_its_condition() {
    for kind in [Kind::PasswordChange, Kind::Disable, Kind::Delete, Kind::SignIn] {
        finds(Flaw::AnnouncesBeforeTheCondition, repeated(kind), 0, "D3");
    }
}

#[test]
fn finds_an_answer_before_its_entry() {
    finds(Flaw::RevealsBeforeTheEntry, refreshed(Kind::PasswordChange), 0, "R");
    finds(Flaw::RevealsBeforeTheEntry, refreshed(Kind::Delete), 0, "R");
    finds(Flaw::TrustsMemoryWhenItReveals, repeated(Kind::Delete), 0, "R");
    finds(Flaw::CountsWhatDiedJustNow, repeated(Kind::Delete), 0, "R");
    finds(Flaw::CountsWhatDiedJustNow, repeated(Kind::PasswordChange), 1, "D4");
}

#[test]
fn finds_the_order_of_old() {
    finds(Flaw::TombstoneFirst, repeated(Kind::SignOut), 0, "R");
    finds(Flaw::TombstoneFirst, repeated(Kind::Delete), 0, "D1");
}

#[test]
fn finds_an_operation_that_is_closed_too_early_or_never() {
    finds(Flaw::ResolverClosesTooEarly, repeated(Kind::PasswordChange), 0, "D1");
    finds(Flaw::ClosesWhenTheMakerIsGone, repeated(Kind::PasswordChange), 1, "D4");
    finds(Flaw::ForgetsToClose, repeated(Kind::PasswordChange), 0, "D1");
    finds(Flaw::NobodyResolves, repeated(Kind::SignOut), 1, "D4");
    finds(Flaw::NobodyResolves, repeated(Kind::Disable), 1, "D8");
    finds(Flaw::KeepsTheLastIdOnly, refreshed(Kind::Delete), 0, "D1");
}

#[test]
fn finds_an_audit_that_is_short_or_twice() {
    finds(Flaw::AuditApart, repeated(Kind::SignOut), 1, "D7");
    finds(Flaw::AuditApart, repeated(Kind::Delete), 0, "D1");
    finds(Flaw::AuditsWhatOthersClosed, repeated(Kind::PasswordChange), 0, "D1");
    finds(Flaw::AddsASecondEntry, repeated(Kind::SignOut), 0, "D6");
    finds(Flaw::AddsASecondEntry, repeated(Kind::Disable), 0, "D6");
}

#[test]
fn finds_that_the_question_is_asked_for_a_reason() {
    finds(Flaw::DoesNotAsk, repeated(Kind::PasswordChange), 1, "R");
    finds(Flaw::DoesNotAsk, repeated(Kind::Delete), 1, "R");
}
