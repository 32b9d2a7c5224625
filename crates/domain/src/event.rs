//! What happened, told once. Log lines are made from it, and so will be everything else that tells of events.

use crate::ids::{Generation, SessionRef, UserId};
use crate::rotation::Verdict;
use crate::session::EndReason;

/// Who caused an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Nobody who is signed in.
    Anonymous,
    /// A user, in a session.
    User(SessionRef),
    /// Someone at the command line of the server's machine.
    Operator,
    /// The server itself.
    Server,
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
}

/// Something that happened to a session, a user or the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A user signed in.
    SignedIn {
        /// The new session.
        session: SessionRef,
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
    },
    /// A user's password was set anew.
    PasswordChanged {
        /// The user.
        user: UserId,
    },
}

impl Event {
    /// The event's name in logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SignedIn { .. } => "signed_in",
            Self::SignInFailed { .. } => "sign_in_failed",
            Self::Refreshed { .. } => "refresh",
            Self::SessionEnded { .. } => "session_ended",
            Self::UserCreated { .. } => "user_created",
            Self::PasswordChanged { .. } => "password_changed",
        }
    }
}
