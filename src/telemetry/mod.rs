//! How events become log lines. One line for each event, readable alone; never a token, a password or a name that a
//! stranger typed.

pub mod log;

use relatch_domain::event::Event;
use relatch_domain::rotation::Verdict;

use crate::app::origin::Origin;

/// Tells of an event.
pub fn record(origin: &Origin, event: &Event) {
    let address = origin.address.map(|address| address.to_canonical().to_string());
    let address = address.as_deref();
    let name = event.name();
    match event {
        Event::SignedIn { session } => tracing::info!(event = name, %session, address, "signed in"),
        Event::SignInFailed { user, failure } => {
            let user = user.map(|user| user.to_string());
            tracing::info!(event = name, user, reason = ?failure, address, "sign-in refused");
        }
        Event::Refreshed { session, presented, verdict } => {
            let (generation, verdict_name) = (presented.0, verdict.name());
            match verdict {
                Verdict::Rotate | Verdict::Retry => {
                    tracing::info!(event = name, %session, generation, verdict = verdict_name, address, "refreshed");
                }
                Verdict::Reuse | Verdict::Heal => {
                    tracing::warn!(event = name, %session, generation, verdict = verdict_name, address, "refreshed");
                }
                _ => {
                    tracing::info!(event = name, %session, generation, verdict = verdict_name, address, "refresh refused");
                }
            }
        }
        Event::SessionEnded { session, reason } => {
            tracing::info!(event = name, %session, reason = reason.code(), address, "session ended");
        }
        Event::UserCreated { user } => tracing::info!(event = name, %user, address, "user created"),
        Event::PasswordChanged { user } => tracing::info!(event = name, %user, address, "password changed"),
    }
}
