//! Audit records: who did what to whom, from where and when.
//!
//! An event becomes a log line and, if it is one that matters later, a record in the store. The record is written before
//! the request is answered: that of an end in one write with its announcement ([`super::operation`]). Of a sign-in, which
//! stands whether or not it is on record yet, it is written as soon as the store takes it.

pub mod read;

use relatch_domain::event::{Actor, Event};
use relatch_domain::{SessionRef, UnixMillis};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::App;
use super::origin::Origin;
use crate::rfc3339;
use crate::store::{StoreError, Trail};
use crate::telemetry;

/// A record as it is stored. Fields that later versions add are ignored by earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When, in milliseconds since the Unix epoch, by the node's clock.
    pub at: u64,
    /// What: the event's name.
    pub event: String,
    /// Who.
    pub actor: AuditActor,
    /// Whom: the user that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The session that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What else there is to say: the reason, the verdict, what was changed.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// With what agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// What kinds of actors there are.
pub const ACTOR_KINDS: [&str; 4] = ["anonymous", "user", "operator", "server"];

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditActor {
    /// One of [`ACTOR_KINDS`].
    pub kind: String,
    /// The user's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user's session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

impl App {
    /// Writes an event into the log and counts it. What else there is to do with it an operation does.
    pub(crate) fn note(&self, origin: &Origin, event: &Event) {
        telemetry::record(origin, event);
        self.node.counters.count(event);
    }

    /// Tells of an event: to the log, and to the audit trail if it belongs there. What the store does not take now is
    /// written as soon as it does.
    pub(crate) async fn tell(&self, origin: &Origin, event: &Event) {
        self.note(origin, event);
        if event.is_audited() {
            // Boxed: most events are not, and each request's future would be larger. What failed is logged.
            let _ = Box::pin(self.keep(origin, event)).await;
        }
    }

    /// As [`App::tell`], for what must not be acknowledged before it is on record.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) async fn tell_for_certain(&self, origin: &Origin, event: &Event) -> Result<(), StoreError> {
        self.note(origin, event);
        Box::pin(self.keep(origin, event)).await
    }

    async fn keep(&self, origin: &Origin, event: &Event) -> Result<(), StoreError> {
        let trail = match event {
            // Whoever has an account can have this answer thousands of times a second.
            Event::SignInFailed { .. } | Event::AdminCall { status: 403, .. } => Trail::Refused,
            Event::AdminCall { method: "GET" | "HEAD", .. } => Trail::Reads,
            _ => Trail::Acts,
        };
        let Some(record) = AuditRecord::of(origin, event, self.clock.now()).to_json() else { return Ok(()) };
        let kept = self.keep_record(trail, record).await;
        match &kept {
            Ok(()) => origin.told.set(),
            Err(error) => tracing::warn!(%error, event = event.name(), "an audit record waits for the store"),
        }
        kept
    }
}

impl AuditRecord {
    /// The record of an event.
    pub(super) fn of(origin: &Origin, event: &Event, at: UnixMillis) -> Self {
        Self::template(origin, at).of_event(event)
    }

    /// The record of an event that this is the template of.
    pub(super) fn of_event(&self, event: &Event) -> Self {
        let (user, session) = subject(event);
        let (event, details) = (event.name().to_owned(), details(event));
        Self { event, user, session, details, ..self.clone() }
    }

    /// Who does something, from where and when.
    pub(super) fn template(origin: &Origin, at: UnixMillis) -> Self {
        Self {
            at: at.0,
            event: String::new(),
            actor: actor(origin.actor),
            user: None,
            session: None,
            details: Map::new(),
            address: origin.shown_address(),
            user_agent: origin.user_agent.clone(),
            request_id: origin.request_id.map(|id| id.to_string()),
        }
    }

    /// The record of a session that ends by what this is the template of. `reason` is a code.
    pub(super) fn of_end(&self, session: SessionRef, reason: &str) -> Self {
        Self {
            event: Event::SESSION_ENDED.to_owned(),
            user: Some(session.user.to_string()),
            session: Some(session.to_string()),
            details: Map::from_iter([("reason".to_owned(), reason.into())]),
            ..self.clone()
        }
    }

    /// As it is stored.
    pub(super) fn to_json(&self) -> Option<Vec<u8>> {
        let json = serde_json::to_vec(self);
        json.inspect_err(|error| tracing::error!(%error, "an audit record cannot be written as JSON")).ok()
    }
}

fn actor(actor: Actor) -> AuditActor {
    let kind = |kind: &str| AuditActor { kind: kind.to_owned(), user: None, session: None };
    match actor {
        Actor::Anonymous => kind("anonymous"),
        Actor::Operator => kind("operator"),
        Actor::Server => kind("server"),
        Actor::User(session) => AuditActor {
            kind: "user".to_owned(),
            user: Some(session.user.to_string()),
            session: Some(session.to_string()),
        },
    }
}

/// Whom an event is about: a user, and perhaps one of the user's sessions.
fn subject(event: &Event) -> (Option<String>, Option<String>) {
    let of = |session: &SessionRef| (Some(session.user.to_string()), Some(session.to_string()));
    match event {
        Event::SignedIn { session, .. }
        | Event::Refreshed { session, .. }
        | Event::SessionEnded { session, .. } => of(session),
        Event::UserCreated { user, .. }
        | Event::PasswordChanged { user }
        | Event::PasswordResetIssued { user }
        | Event::UserChanged { user, .. }
        | Event::UserDeleted { user, .. } => (Some(user.to_string()), None),
        Event::SignInFailed { user, .. }
        | Event::FailuresForgotten { user, .. }
        | Event::AdminCall { user, .. } => (user.map(|user| user.to_string()), None),
        Event::UsersImported { .. }
        | Event::UsersExported
        | Event::CutoffRaised { .. }
        | Event::CutoffSwept { .. }
        | Event::RevocationsRestored { .. }
        | Event::StoreAdopted { .. }
        | Event::ClientRevoked { .. }
        | Event::KeyRotated { .. } => (None, None),
    }
}

fn details(event: &Event) -> Map<String, Value> {
    let details = match event {
        Event::SignedIn { known_device, failures, .. } => {
            json!({ "known_device": known_device, "failures": (*failures > 0).then_some(failures) })
        }
        Event::PasswordChanged { .. } | Event::PasswordResetIssued { .. } | Event::UsersExported => json!({}),
        Event::UsersImported { users } => json!({ "users": users }),
        Event::UserCreated { username, .. } | Event::UserDeleted { username, .. } => {
            json!({ "username": username.as_str() })
        }
        Event::SignInFailed { failure, .. } => json!({ "reason": failure.code() }),
        Event::Refreshed { presented, verdict, other, .. } => match other {
            None => json!({ "verdict": verdict.name(), "generation": presented.0 }),
            Some(other) => json!({ "verdict": verdict.name(), "generation": presented.0, "other": other }),
        },
        Event::SessionEnded { reason, .. } => json!({ "reason": reason.code() }),
        Event::FailuresForgotten { of, .. } => json!({ "address": of }),
        Event::UserChanged { edit, .. } => json!({
            "roles": edit.roles,
            "disabled": edit.disabled,
            "attributes": edit.attributes,
            "password": edit.password,
        }),
        Event::CutoffRaised { cutoff } => json!({ "cutoff": rfc3339::exact(*cutoff) }),
        Event::CutoffSwept { cutoff, reason, users, sessions } => {
            let cutoff = rfc3339::exact(*cutoff);
            json!({ "cutoff": cutoff, "reason": reason.code(), "users": users, "sessions": sessions })
        }
        Event::RevocationsRestored { sessions, users } => json!({ "sessions": sessions, "users": users }),
        Event::StoreAdopted { store_id } => json!({ "store_id": store_id }),
        Event::ClientRevoked { client, cutoff, .. } => {
            json!({ "client_id": client, "cutoff": rfc3339::exact(*cutoff) })
        }
        Event::KeyRotated { kid, revoked } => json!({ "kid": kid, "revoked": revoked }),
        Event::AdminCall { method, route, status, .. } => {
            json!({ "method": method, "route": route, "status": status })
        }
    };
    match details {
        Value::Object(mut details) => {
            details.retain(|_, value| !value.is_null());
            details
        }
        _ => Map::new(),
    }
}
