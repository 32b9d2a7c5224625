//! How events become log lines. One line for each event, but for ordinary refreshes, readable alone; never a token, a password or a name that a
//! stranger typed.

pub mod counters;
pub mod log;
pub mod metrics;
pub mod panics;
pub mod request;

use relatch_domain::event::Event;
use relatch_domain::rotation::Verdict;
use relatch_domain::session::EndReason;
use relatch_domain::{Generation, SessionRef, UnixMillis, UserId};

use crate::app::origin::Origin;
use crate::rfc3339;
use request::Rotation;

/// Tells of an event.
pub fn record(origin: &Origin, event: &Event) {
    if !is_left_to_the_request(origin, event) {
        write(origin, event);
    }
}

fn write(origin: &Origin, event: &Event) {
    let address = origin.shown_address();
    let address = address.as_deref();
    let name = event.name();
    match event {
        Event::SignedIn { session, known_device, failures } => {
            tracing::info!(event = name, %session, known_device, failures, address, "signed in");
        }
        Event::SignInFailed { user, failure } => {
            let user = user.map(|user| user.to_string());
            tracing::info!(event = name, user, reason = failure.code(), address, "sign-in refused");
        }
        Event::Refreshed { session, presented, verdict, .. } => {
            refreshed(address, *session, *presented, *verdict);
        }
        Event::SessionEnded { session, reason } => {
            tracing::info!(event = name, %session, reason = reason.code(), address, "session ended");
        }
        Event::UserCreated { user, .. } => tracing::info!(event = name, %user, address, "user created"),
        Event::UsersImported { users } => tracing::info!(event = name, users, "users imported"),
        Event::UsersExported => {
            tracing::warn!(event = name, address, "users are read with their password hashes");
        }
        Event::PasswordChanged { user } => tracing::info!(event = name, %user, address, "password changed"),
        Event::PasswordResetIssued { user } => {
            tracing::info!(event = name, %user, address, "password reset issued");
        }
        Event::FailuresForgotten { user, of } => forgotten(name, *user, of.as_deref(), address),
        Event::UserChanged { user, edit } => {
            let roles = edit.roles.as_ref().map(|roles| roles.join(","));
            let (disabled, attributes, password) = (edit.disabled, edit.attributes, edit.password);
            tracing::info!(event = name, %user, roles, disabled, attributes, password, address, "user changed");
        }
        Event::UserDeleted { user, .. } => tracing::info!(event = name, %user, address, "user deleted"),
        Event::CutoffRaised { cutoff } => {
            let cutoff = rfc3339::exact(*cutoff);
            tracing::warn!(event = name, cutoff, address, "everyone who signed in before is signed out");
        }
        Event::CutoffSwept { cutoff, reason, users, sessions } => {
            swept(name, *cutoff, *reason, *users, *sessions);
        }
        Event::RevocationsRestored { sessions, users } => {
            tracing::warn!(event = name, sessions, users, "revocations that the store had lost hold again");
        }
        Event::StoreAdopted { store_id } => {
            tracing::warn!(event = name, store_id, "the store is taken as it is, by an operator's order");
        }
        Event::ClientRevoked { client, cutoff, .. } => {
            let cutoff = rfc3339::exact(*cutoff);
            tracing::warn!(event = name, client, cutoff, address, "all sessions of a client ended");
        }
        Event::KeyRotated { kid, revoked } => {
            tracing::info!(event = name, kid, revoked, address, "signing key rotated");
        }
        Event::AdminCall { method, route, user, status } => {
            let user = user.map(|user| user.to_string());
            tracing::info!(event = name, method, route, user, status, address, "administrative call");
        }
    }
}

/// Most lines would be of ordinary refreshes. The request's own line says it.
fn is_left_to_the_request(origin: &Origin, event: &Event) -> bool {
    let Event::Refreshed { session, presented, verdict: Verdict::Rotate, .. } = event else { return false };
    let address = origin.canonical_address();
    origin.told.leave(Rotation { session: *session, generation: *presented, address });
    true
}

fn swept(event: &str, cutoff: UnixMillis, reason: EndReason, users: usize, sessions: usize) {
    let (cutoff, reason) = (rfc3339::exact(cutoff), reason.code());
    tracing::info!(event, cutoff, reason, users, sessions, "sessions from before the cutoff have ended");
}

fn forgotten(name: &str, user: Option<UserId>, of: Option<&str>, address: Option<&str>) {
    let user = user.map(|user| user.to_string());
    tracing::info!(event = name, user, of, address, "failed sign-ins forgotten");
}

fn refreshed(address: Option<&str>, session: SessionRef, presented: Generation, verdict: Verdict) {
    let event = "refresh";
    let (generation, name) = (presented.0, verdict.name());
    match verdict {
        Verdict::Retry => {
            tracing::info!(event, %session, generation, verdict = name, address, "refreshed");
        }
        Verdict::Reuse | Verdict::Heal => {
            tracing::warn!(event, %session, generation, verdict = name, address, "refreshed");
        }
        _ => tracing::info!(event, %session, generation, verdict = name, address, "refresh refused"),
    }
}
