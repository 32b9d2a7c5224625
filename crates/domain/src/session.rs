//! What the server remembers of one session.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::attempt::AttemptHash;
use crate::budget::Debt;
use crate::ids::{ClientNumber, Generation, MacKeyId, Nonce, OriginTag, Thumbprint};
use crate::policy::RotationPolicy;
use crate::time::{UnixMillis, UnixSeconds};

/// How tokens reach the client; fixed at sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Both tokens in the JSON body: mobile apps, command lines.
    #[default]
    Body,
    /// Access token in the body, refresh token in a cookie: single-page apps that call APIs with Bearer.
    Hybrid,
    /// Both tokens in cookies: same-site web apps.
    Cookie,
}

/// How the user proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Authentication {
    /// A password (RFC 8176 `pwd`).
    #[default]
    Password,
}

/// Why a session ended. The code is what clients learn (`reason`); free text is for administrators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The user signed out on this device.
    SignedOut,
    /// The user ended it from another device.
    RevokedByUser,
    /// An administrator ended it.
    RevokedByAdmin,
    /// The user's password was changed.
    PasswordChanged,
    /// A rotated-out refresh token was presented: somebody else has a copy (RFC 9700, section 4.14.2).
    Reuse,
    /// A newer sign-in took its place.
    Replaced,
    /// Everyone who signed in before a point in time was signed out.
    SignedInBefore,
    /// The account was disabled.
    UserDisabled,
}

impl EndReason {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::SignedOut,
        Self::RevokedByUser,
        Self::RevokedByAdmin,
        Self::PasswordChanged,
        Self::Reuse,
        Self::Replaced,
        Self::SignedInBefore,
        Self::UserDisabled,
    ];

    named! {
        CODES, code(self), "The machine code that clients see.",
            Self::SignedOut => "signed_out",
            Self::RevokedByUser => "revoked_by_user",
            Self::RevokedByAdmin => "revoked_by_admin",
            Self::PasswordChanged => "password_changed",
            Self::Reuse => "reuse",
            Self::Replaced => "replaced",
            Self::SignedInBefore => "signed_in_before",
            Self::UserDisabled => "user_disabled",
    }
}

/// That a session ended, why and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ended {
    /// Why.
    pub reason: EndReason,
    /// When.
    pub at: UnixSeconds,
}

/// The hot record of a session: all that a refresh reads and writes. [`crate::record`] packs it into 64 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionRecord {
    /// Generation of the current refresh token.
    pub generation: Generation,
    /// Nonce of the current refresh token.
    pub nonce: Nonce,
    /// Nonce of the token before it. Means nothing at generation 0.
    pub previous_nonce: Nonce,
    /// MAC key of the current refresh token, so that the very same token can be handed out again.
    pub mac_key: MacKeyId,
    /// Hash of the attempt key that caused the last rotation.
    pub attempt: Option<AttemptHash>,
    /// When the session last rotated; at generation 0, when it was signed in. In whole seconds it is the current
    /// token's time of issue.
    pub rotated_at: UnixMillis,
    /// How many hours after `rotated_at` that rotation was from which the idle deadline counts. Not zero only if the clock
    /// has gone back since; at most [`Self::MOST_AHEAD`].
    pub idle_ahead: u8,
    /// When the user signed in: `auth_time` of its access tokens.
    pub signed_in_at: UnixSeconds,
    /// Moved by each rotation, never back. Lower lifetimes than at that time bring it forward: [`Self::bounded_by`].
    pub idle_deadline: UnixSeconds,
    /// Never moved later.
    pub absolute_deadline: UnixSeconds,
    /// Set once, never unset.
    pub ended: Option<Ended>,
    /// How tokens reach the client.
    pub delivery: Delivery,
    /// How the user signed in.
    pub authentication: Authentication,
    /// Whether the session is bound to a `DPoP` key. The key's thumbprint stands beside the record.
    pub dpop_bound: bool,
    /// The OAuth client.
    pub client: ClientNumber,
    /// What the session has spent of its budget of refreshes.
    pub debt: Debt,
    /// Where the last rotation came from.
    pub origin: OriginTag,
}

impl SessionRecord {
    /// The highest `idle_ahead`: six bits.
    pub const MOST_AHEAD: u8 = 63;

    /// The session as it is judged: of its deadlines and those of the policy the earlier ones count. The absolute lifetime
    /// counts from the sign-in, of which the record has the second, and the idle one from the last rotation.
    #[must_use]
    pub fn bounded_by(self, policy: &RotationPolicy) -> Self {
        // The sign-in may have been at the very end of its second.
        let oldest = self.signed_in_at.plus(Duration::from_secs(1)).plus(policy.absolute_ttl);
        let absolute_deadline = self.absolute_deadline.min(oldest);
        let used_at = self.rotated_at.seconds_up().plus(Duration::from_hours(self.idle_ahead.into()));
        let unused = used_at.plus(policy.idle_ttl);
        let idle_deadline = self.idle_deadline.min(unused).min(absolute_deadline);
        Self { idle_deadline, absolute_deadline, ..self }
    }

    /// Whether the session is neither ended nor past a deadline.
    pub fn is_live(&self, now: UnixMillis) -> bool {
        self.ended.is_none() && !self.idle_deadline.is_over(now) && !self.absolute_deadline.is_over(now)
    }

    /// When the session was last used: when its tokens were last issued. Never before the sign-in, though a clock may have
    /// gone back since.
    pub fn last_seen_at(&self) -> UnixSeconds {
        self.rotated_at.seconds().max(self.signed_in_at)
    }

    /// The same session, ended. A session that has ended stays as it is: the first reason is the true one.
    #[must_use]
    pub fn end(self, reason: EndReason, now: UnixMillis) -> Self {
        Self { ended: self.ended.or(Some(Ended { reason, at: now.seconds() })), ..self }
    }
}

/// How a user stands at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// May sign in and refresh.
    Enabled,
    /// An administrator has disabled the account.
    Disabled,
    /// There is no such user.
    Gone,
}

/// What a store saw when a refresh came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The session's record, if there is one.
    pub session: Option<SessionRecord>,
    /// The `DPoP` thumbprint beside the record, if it is bound.
    pub thumbprint: Option<Thumbprint>,
    /// The user's standing.
    pub user: Standing,
}
