//! What operators see of users, sessions, keys and audit records. What `--json` prints is what travels through the
//! socket; the names are those of the HTTP contract.

use std::collections::BTreeMap;

use relatch_domain::attributes::AttributeValue;
use relatch_domain::user::User;
use relatch_domain::{SessionRef, UnixMillis, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::app::audit::AuditRecord;
use crate::app::keys::KeyInfo;
use crate::app::session_history::{KnownSession, SessionState};
use crate::keys::ring::KeyState;
use crate::rfc3339;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// The id.
    pub id: String,
    /// The name.
    pub username: String,
    /// The roles, in alphabetical order.
    pub roles: Vec<String>,
    /// What the application keeps with the user.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Whether sign-in and refresh are refused.
    pub disabled: bool,
    /// RFC 3339.
    pub created_at: String,
}

impl From<User> for UserRow {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            username: user.profile.username.to_string(),
            roles: user.profile.roles.iter().map(str::to_owned).collect(),
            attributes: user.profile.attributes.into(),
            disabled: user.disabled,
            created_at: rfc3339::seconds(user.created_at.seconds()),
        }
    }
}

/// A session, live or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// The session's public id.
    pub session_id: String,
    /// `live`, `expired` or `ended`.
    pub state: String,
    /// What the user calls the device.
    pub device_name: Option<String>,
    /// `User-Agent` of the sign-in.
    pub user_agent: Option<String>,
    /// Address that the sign-in came from.
    pub address: Option<String>,
    /// RFC 3339.
    pub signed_in_at: String,
    /// When tokens were last issued, RFC 3339.
    pub last_seen_at: String,
    /// When it expires or expired if it is not used, RFC 3339.
    pub expires_at: String,
    /// How it ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<EndRow>,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndRow {
    /// When, RFC 3339; unknown for a session that ended by the cutoff and was not swept yet.
    pub at: Option<String>,
    /// The code that the client is told.
    pub reason: String,
    /// What the administrator wrote about it.
    pub note: Option<String>,
    /// Address that the end was asked for from.
    pub address: Option<String>,
    /// `User-Agent` of whoever asked for it.
    pub user_agent: Option<String>,
}

impl SessionRow {
    /// A session of this user.
    pub fn of(user: UserId, known: KnownSession) -> Self {
        let KnownSession { stored, state } = known;
        let record = stored.record;
        let (state, ended) = match state {
            SessionState::Live => ("live", None),
            SessionState::Expired => ("expired", None),
            SessionState::Ended { reason, at } => {
                let note = stored.note;
                let end = EndRow {
                    at: at.map(rfc3339::seconds),
                    reason: reason.code().to_owned(),
                    note: note.text,
                    address: note.address,
                    user_agent: note.user_agent,
                };
                ("ended", Some(end))
            }
        };
        Self {
            session_id: SessionRef { user, session: stored.id }.to_string(),
            state: state.to_owned(),
            device_name: stored.details.device_name,
            user_agent: stored.details.user_agent,
            address: stored.details.address,
            signed_in_at: rfc3339::seconds(record.signed_in_at),
            last_seen_at: rfc3339::seconds(record.last_seen_at()),
            expires_at: rfc3339::seconds(record.idle_deadline.min(record.absolute_deadline)),
            ended,
        }
    }
}

/// Why a session ended, or that it has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplanationRow {
    /// The session's public id.
    pub session_id: String,
    /// `live`, `expired_idle`, `expired_absolute`, the reason code of its end, `user_deleted` or `unknown`.
    pub cause: String,
    /// In a few sentences.
    pub summary: String,
    /// What happened to it, the earliest first.
    pub story: Vec<String>,
}

/// A key that signs access tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// The key's id in tokens.
    pub kid: String,
    /// By which algorithm it signs.
    pub algorithm: String,
    /// `next`, `active`, `retired` or `revoked`.
    pub state: String,
    /// RFC 3339.
    pub created_at: String,
    /// When it stopped signing, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<String>,
    /// Whether it is the one that signs new tokens.
    pub signs: bool,
}

impl From<KeyInfo> for KeyRow {
    fn from(key: KeyInfo) -> Self {
        let state = match key.state {
            KeyState::Next => "next",
            KeyState::Active => "active",
            KeyState::Retired => "retired",
            KeyState::Revoked => "revoked",
        };
        Self {
            kid: key.kid,
            algorithm: key.algorithm.name().to_owned(),
            state: state.to_owned(),
            created_at: rfc3339::seconds(key.created_at.seconds()),
            retired_at: key.retired_at.map(|at| rfc3339::seconds(at.seconds())),
            signs: key.signs,
        }
    }
}

/// An audit record, with the names that users have now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// RFC 3339, with milliseconds.
    pub at: String,
    /// What happened.
    pub event: String,
    /// Who did it.
    pub actor: ActorRow,
    /// The user that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// That user's name, if there still is such a user or the record has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The session that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// With what agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What else there is to say.
    pub details: Map<String, Value>,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorRow {
    /// `anonymous`, `user`, `operator` or `server`.
    pub kind: String,
    /// The user's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user's name, if there still is such a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The user's session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

impl AuditRow {
    /// A record, with the names that these ids have.
    pub fn of(record: AuditRecord, names: &BTreeMap<String, String>) -> Self {
        let name_of = |id: &Option<String>| id.as_ref().and_then(|id| names.get(id)).cloned();
        let recorded = record.details.get("username").and_then(Value::as_str).map(str::to_owned);
        Self {
            at: rfc3339::millis(UnixMillis(record.at)),
            event: record.event,
            username: name_of(&record.user).or(recorded),
            actor: ActorRow {
                username: name_of(&record.actor.user),
                kind: record.actor.kind,
                user: record.actor.user,
                session: record.actor.session,
            },
            user: record.user,
            session: record.session,
            address: record.address,
            user_agent: record.user_agent,
            request_id: record.request_id,
            details: record.details,
        }
    }
}
