//! What happened, told once. Log lines, counters and audit records are made from it.

use serde::{Deserialize, Serialize};

use crate::ids::{ClientNumber, Generation, SessionRef, UserId};
use crate::rotation::Verdict;
use crate::session::EndReason;
use crate::time::UnixMillis;
use crate::user::Username;

/// Who caused an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Actor {
    /// Nobody who is signed in.
    #[default]
    Anonymous,
    /// A user, in a session.
    User(SessionRef),
    /// Someone at the command line of the server's machine.
    Operator,
    /// The server itself.
    Server,
}

/// Where somebody is and with what.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Party {
    /// The address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The `User-Agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// Why a sign-in failed. For operators: clients get one answer for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInFailure {
    /// No user has this name.
    UnknownUser,
    /// Not the user's password.
    WrongPassword,
    /// The account is disabled.
    Disabled,
    /// There were too many failures before: the password was not looked at.
    TooMany,
    /// The password was right, but the account had signed in too often.
    TooOften,
}

impl SignInFailure {
    /// The machine code in logs and audit records.
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown_user",
            Self::WrongPassword => "wrong_password",
            Self::Disabled => "disabled",
            Self::TooMany => "too_many_attempts",
            Self::TooOften => "too_many_requests",
        }
    }
}

/// What of a user was changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserEdit {
    /// The roles as they are now, if they were set.
    pub roles: Option<Vec<String>>,
    /// Whether the user is disabled now, if that was set.
    pub disabled: Option<bool>,
    /// Whether the attributes were set. Their values are the application's own business.
    pub attributes: bool,
    /// Whether the password was set.
    pub password: bool,
}

/// Something that happened to a session, a user or the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A user signed in.
    SignedIn {
        /// The new session.
        session: SessionRef,
        /// Whether it was on a device on which the user had signed in before.
        known_device: bool,
        /// How many failed sign-ins to the account counted then: who got in at last may have guessed.
        failures: u64,
    },
    /// A sign-in was refused.
    SignInFailed {
        /// The user, if the name is one's.
        user: Option<UserId>,
        /// Why.
        failure: SignInFailure,
    },
    /// A refresh token was presented and judged.
    Refreshed {
        /// The session that the token named.
        session: SessionRef,
        /// The generation that was presented.
        presented: Generation,
        /// What became of it.
        verdict: Verdict,
        /// Of a reuse: who had refreshed last, if that is known.
        other: Option<Party>,
    },
    /// A session ended.
    SessionEnded {
        /// The session.
        session: SessionRef,
        /// Why.
        reason: EndReason,
    },
    /// A user was created.
    UserCreated {
        /// The user.
        user: UserId,
        /// The name. For audit records: the log has ids only.
        username: Username,
    },
    /// Users were brought over from another place.
    UsersImported {
        /// How many.
        users: usize,
    },
    /// All users are being read with their password hashes.
    UsersExported,
    /// A user's password was set anew.
    PasswordChanged {
        /// The user.
        user: UserId,
    },
    /// A token was issued by which a user's password can be set.
    PasswordResetIssued {
        /// The user.
        user: UserId,
    },
    /// Failed sign-ins were forgotten, so that the next one need not wait: those of a user's account, or those from an
    /// address.
    FailuresForgotten {
        /// The user, if they were an account's.
        user: Option<UserId>,
        /// The address as text, if they were an address'.
        of: Option<String>,
    },
    /// An administrator or operator changed a user.
    UserChanged {
        /// The user.
        user: UserId,
        /// What was changed.
        edit: UserEdit,
    },
    /// A user was deleted.
    UserDeleted {
        /// The user.
        user: UserId,
        /// The name that the user had, by which alone the id can be told from others. For audit records.
        username: Username,
    },
    /// Everyone who signed in before a point in time was signed out.
    CutoffRaised {
        /// The point in time.
        cutoff: UnixMillis,
    },
    /// The sessions that began before a cutoff, everyone's or a client's, have got their tombstones.
    CutoffSwept {
        /// The cutoff.
        cutoff: UnixMillis,
        /// The reason in the tombstones.
        reason: EndReason,
        /// How many users were looked at.
        users: usize,
        /// How many live sessions ended.
        sessions: usize,
    },
    /// The store had lost revocations that this node remembered, and has them again.
    RevocationsRestored {
        /// How many live sessions ended once more.
        sessions: usize,
        /// How many users were deleted once more.
        users: usize,
    },
    /// An operator has had this server take the store as it is, which was not the one that it knew.
    StoreAdopted {
        /// The store's id, from its marker.
        store_id: String,
    },
    /// The sessions of a client that began before a point in time were ended, of all users.
    ClientRevoked {
        /// The client.
        client: &'static str,
        /// The client's number.
        number: ClientNumber,
        /// The point in time.
        cutoff: UnixMillis,
    },
    /// A new signing key signs access tokens from now on.
    KeyRotated {
        /// The new key's id.
        kid: String,
        /// The id of a former key whose signatures are good no more.
        revoked: Option<String>,
    },
    /// An administrative call that changed nothing: a read, or one that was refused.
    AdminCall {
        /// HTTP method.
        method: &'static str,
        /// The route's pattern; never what the client wrote.
        route: String,
        /// The user that the path names, if it names one.
        user: Option<UserId>,
        /// HTTP status of the answer.
        status: u16,
    },
}

impl Event {
    named! {
        NAMES, name(&self), "The event's name in logs and audit records.",
            Self::SignedIn { .. } => "signed_in",
            Self::SignInFailed { .. } => "sign_in_failed",
            Self::Refreshed { .. } => "refresh",
            Self::SessionEnded { .. } => "session_ended",
            Self::UserCreated { .. } => "user_created",
            Self::UsersImported { .. } => "users_imported",
            Self::UsersExported => "users_exported",
            Self::PasswordChanged { .. } => "password_changed",
            Self::PasswordResetIssued { .. } => "password_reset_issued",
            Self::FailuresForgotten { .. } => "failures_forgotten",
            Self::UserChanged { .. } => "user_changed",
            Self::UserDeleted { .. } => "user_deleted",
            Self::CutoffRaised { .. } => "cutoff_raised",
            Self::CutoffSwept { .. } => "cutoff_swept",
            Self::RevocationsRestored { .. } => "revocations_restored",
            Self::StoreAdopted { .. } => "store_adopted",
            Self::ClientRevoked { .. } => "client_revoked",
            Self::KeyRotated { .. } => "key_rotated",
            Self::AdminCall { .. } => "admin_call",
    }

    /// The name of [`Event::SessionEnded`].
    pub const SESSION_ENDED: &str = "session_ended";
    /// The name of [`Event::UserDeleted`], and in audit records the reason why the user's sessions have ended.
    pub const USER_DELETED: &str = "user_deleted";

    /// Whether an audit record is kept: of sign-ins, of what concerns security, and of administrative acts. Ordinary
    /// refreshes are in the log and in the session's timeline.
    pub const fn is_audited(&self) -> bool {
        match self {
            Self::Refreshed { verdict, .. } => matches!(verdict, Verdict::Reuse | Verdict::Heal),
            // What it carries out was audited when it was ordered.
            Self::CutoffSwept { .. } => false,
            _ => true,
        }
    }
}
