//! The commands and their answers, as they travel through the socket.

use std::collections::BTreeMap;
use std::net::IpAddr;

use relatch_domain::attributes::AttributeValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::rows::{AuditRow, ExplanationRow, KeyRow, SessionRow, UserRow};
use super::transfer::{LineOutcome, UserLine};

/// A password or a token on its way to the server: through a socket that only the server's own user can open.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes what was typed.
    pub fn new(typed: &str) -> Self {
        Self(typed.into())
    }

    /// The same without space around it.
    #[must_use]
    pub fn trimmed(self) -> Self {
        Self::new(self.expose().trim())
    }

    /// The text.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Of replies, which travel and are compared as a whole; no secret is checked by it.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl From<Secret> for SecretString {
    fn from(secret: Secret) -> Self {
        secret.0
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

/// A command. `user` is a name or an id, as typed.
#[derive(Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Creates a user.
    UserAdd {
        /// The name as typed.
        username: String,
        /// Roles; none stands for the role `user`.
        roles: Vec<String>,
        /// What the application keeps with the user.
        attributes: BTreeMap<String, AttributeValue>,
        /// The password as typed.
        password: Secret,
    },
    /// Lists users in the byte order of their names.
    UserList {
        /// Only those whose name begins with this.
        prefix: Option<String>,
        /// Only those after this name.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// Shows a user.
    UserShow {
        /// Whom.
        user: String,
    },
    /// Sets a user's password and signs the user out everywhere.
    UserPasswd {
        /// Whose.
        user: String,
        /// The password as typed.
        password: Secret,
    },
    /// Issues a token by which the user can set a new password.
    UserReset {
        /// Whose.
        user: String,
    },
    /// Forgets failed sign-ins, so that the next one need not wait.
    UserUnblock {
        /// Those of this user's account.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// Those from this address and its block.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
    },
    /// Gives a user roles and takes others away.
    UserRoles {
        /// Whom.
        user: String,
        /// The roles to be given.
        #[serde(default)]
        add: Vec<String>,
        /// The roles to be taken away.
        #[serde(default)]
        remove: Vec<String>,
        /// Even from the last administrator.
        #[serde(default)]
        force: bool,
    },
    /// Refuses a user sign-in and refresh, and signs the user out everywhere.
    UserDisable {
        /// Whom.
        user: String,
        /// Even the last administrator.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
    },
    /// Lets a user sign in again.
    UserEnable {
        /// Whom.
        user: String,
    },
    /// Deletes a user with all sessions.
    UserDelete {
        /// Whom.
        user: String,
        /// Even the last administrator.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
    },
    /// Brings users over from another place.
    UserImport {
        /// The users.
        users: Vec<UserLine>,
        /// Whether nothing is to be written.
        dry_run: bool,
    },
    /// Reads users with their password hashes, in the byte order of their names.
    UserExport {
        /// Only those after this name.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// Lists a user's sessions, the latest sign-in first.
    SessionList {
        /// Whose.
        user: String,
        /// Those that are over too.
        all: bool,
        /// Only those after this place, as an earlier answer gave it.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// Says why a session ended.
    SessionExplain {
        /// Which.
        session: String,
    },
    /// Ends sessions.
    SessionRevoke {
        /// Which.
        target: RevokeTarget,
        /// What is kept about it, for operators.
        reason: Option<String>,
    },
    /// Lists the signing keys, the newest first.
    KeyList,
    /// Makes a new signing key, which signs from now on.
    KeyRotate {
        /// A former key that has leaked: what it signed is good no more.
        #[serde(default)]
        revoke: Option<String>,
    },
    /// Has the server take its store as it is.
    StoreAdopt,
    /// Shows the server's log level, after it was changed if that is asked for.
    LogLevel {
        /// The level to be.
        level: Option<String>,
    },
    /// Reads the audit trail, the latest record first.
    AuditPage {
        /// Only such records.
        filter: AuditFilter,
        /// Only those before this place, as an earlier answer gave it.
        before: Option<String>,
        /// At most so many.
        limit: usize,
    },
}

/// Which audit records. What is given must hold; texts are as typed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditFilter {
    /// The event.
    pub event: Option<String>,
    /// The user that it was about, by name or id.
    pub user: Option<String>,
    /// The user who did it, by name or id, or `anonymous`, `operator` or `server`.
    pub actor: Option<String>,
}

/// Which sessions end.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokeTarget {
    /// This one.
    Session(String),
    /// All of a user.
    User(String),
    /// That of a refresh token or an access token.
    Token(Secret),
    /// All of an OAuth client, of all users.
    Client(String),
    /// All that began before this point, of all users: milliseconds since the Unix epoch.
    SignedInBefore(u64),
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// A user was added or deleted: as it is or was.
    User {
        /// The user.
        user: UserRow,
    },
    /// A user, and how many live sessions there are.
    UserShown {
        /// The user.
        user: UserRow,
        /// Live sessions.
        live_sessions: usize,
    },
    /// A user was changed.
    UserChanged {
        /// The user as it is now.
        user: UserRow,
        /// How many live sessions have ended with the change.
        revoked_sessions: usize,
    },
    /// Failed sign-ins are forgotten.
    Unblocked {
        /// The user whose they were, if they were a user's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserRow>,
        /// The address that they came from, if they were an address'.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
    },
    /// A token by which the user can set a new password.
    ResetIssued {
        /// The user.
        user: UserRow,
        /// The token.
        reset_token: Secret,
        /// When it expires, RFC 3339.
        expires_at: String,
    },
    /// A page of users.
    Users {
        /// The users.
        users: Vec<UserRow>,
    },
    /// What came of users who were to be imported, in their order.
    UsersImported {
        /// One outcome for each.
        outcomes: Vec<LineOutcome>,
    },
    /// A page of users with their password hashes.
    UsersExported {
        /// The users.
        users: Vec<UserLine>,
        /// The name after which the next page begins, if there may be one.
        next: Option<String>,
    },
    /// A page of sessions.
    Sessions {
        /// The sessions.
        sessions: Vec<SessionRow>,
        /// Where the next page begins, if there is one.
        next: Option<String>,
    },
    /// Why a session ended.
    Explained {
        /// Why.
        explanation: ExplanationRow,
    },
    /// Sessions have ended.
    Revoked {
        /// How many live ones.
        revoked_sessions: usize,
    },
    /// All sessions that began before a point in time are over.
    CutoffRaised {
        /// The client whose sessions they are; everyone's if it is not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<String>,
        /// The point, RFC 3339: as asked for, or a later one that was set before.
        cutoff: String,
    },
    /// The signing keys.
    Keys {
        /// The newest first.
        keys: Vec<KeyRow>,
    },
    /// A signing key was made.
    Key {
        /// The key.
        key: KeyRow,
    },
    /// The server serves from the store as it is.
    StoreAdopted {
        /// The store's id, from its marker.
        store_id: String,
        /// `known`: it was the one that the server knew; `marked`: it has its marker again; `taken`: it is another one.
        how: String,
    },
    /// The server's log level.
    LogLevel {
        /// `error`, `warn`, `info`, `debug` or `trace`.
        level: String,
    },
    /// A page of audit records.
    Audit {
        /// The latest first. May be fewer than asked for although there are more.
        records: Vec<AuditRow>,
        /// Where the next page begins, if there may be one.
        next: Option<String>,
    },
    /// The command was not carried out.
    Refused {
        /// Why, in words for the operator.
        message: String,
    },
}

impl Reply {
    /// A refusal in these words.
    pub fn refused(message: impl std::fmt::Display) -> Self {
        Self::Refused { message: message.to_string() }
    }
}
