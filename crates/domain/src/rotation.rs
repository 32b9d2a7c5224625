//! The rule of rotation: what becomes of a genuine refresh token that is presented.
//!
//! [`guards_hold`] answers the ordinary case: the token is the current one and nothing speaks against it. A store
//! checks it and writes [`next`] in one atomic step. Whatever else comes is for [`judge`].
//!
//! Generations move by [`Verdict::Rotate`] and [`Verdict::Heal`] only. So a genuine token of the record's own
//! generation with another nonce, or one ahead of the record, can only come from a store that has lost writes.

use std::time::Duration;

use crate::attempt::AttemptHash;
use crate::ids::{ClientNumber, Generation, MacKeyId, Nonce, OriginTag, SessionRef, Thumbprint};
use crate::policy::RotationPolicy;
use crate::refresh_token::RefreshToken;
use crate::session::{Delivery, EndReason, Seen, SessionRecord, Standing};
use crate::time::{UnixMillis, UnixSeconds};

/// A genuine refresh token, and how it was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// The session that the token names.
    pub session: SessionRef,
    /// The token's generation.
    pub generation: Generation,
    /// The token's nonce.
    pub nonce: Nonce,
    /// When the token was issued.
    pub issued_at: UnixSeconds,
    /// Hash of the attempt key that came with it.
    pub attempt: Option<AttemptHash>,
    /// The client that presents it.
    pub client: ClientNumber,
    /// The way by which it came.
    pub delivery: Delivery,
    /// The key whose possession was proved by `DPoP`.
    pub thumbprint: Option<Thumbprint>,
}

impl Presented {
    /// A token presented by the first-party client, without `DPoP`.
    pub fn first_party(token: RefreshToken, attempt: Option<AttemptHash>, delivery: Delivery) -> Self {
        Self {
            session: token.session,
            generation: token.generation,
            nonce: token.nonce,
            issued_at: token.issued_at,
            attempt,
            client: ClientNumber::FIRST_PARTY,
            delivery,
            thumbprint: None,
        }
    }
}

/// What a rotation brings with it and no record holds. Made once for a refresh, whatever its retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fresh {
    /// Nonce of the token to come.
    pub nonce: Nonce,
    /// MAC key of the token to come.
    pub mac_key: MacKeyId,
    /// Where the request came from.
    pub origin: OriginTag,
}

/// In which respect a token was presented by somebody that it was not issued to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mismatch {
    /// By another client.
    Client,
    /// By another way of delivery.
    Delivery,
    /// With another `DPoP` key, with none, or with one that the session is not bound to.
    Key,
}

/// Which deadline is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deadline {
    /// The session was not used for too long.
    Idle,
    /// The session is too old.
    Absolute,
}

/// What becomes of a presented refresh token. Expected outcomes, none of them an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No such session, or a token too far ahead of it: refused, nothing created, nobody punished.
    Unknown,
    /// The user is disabled or gone: refused.
    Disabled,
    /// The session has ended: refused, with the reason.
    Revoked(EndReason),
    /// Presented by another client, way or key: refused, nothing written, nothing consumed.
    Mismatch(Mismatch),
    /// A deadline is over: refused.
    Expired(Deadline),
    /// The client uses one attempt key for everything, which would blind theft detection: refused, not consumed.
    AttemptKeyReused,
    /// The session's budget is spent: refused for so long, not consumed.
    Throttled(Duration),
    /// The current token: rotate.
    Rotate,
    /// The same refresh again: the current token once more, and a fresh access token.
    Retry,
    /// Somebody with the same storage was quicker: nothing minted, nothing revoked.
    Superseded,
    /// The store has lost writes: the record catches up with the token.
    Heal,
    /// A rotated-out token that nobody honest holds any more: the session ends.
    Reuse,
}

impl Verdict {
    named! {
        NAMES, name(self), "The verdict's name in logs and metrics.",
            Self::Unknown => "unknown",
            Self::Disabled => "disabled",
            Self::Revoked(_) => "revoked",
            Self::Mismatch(_) => "mismatch",
            Self::Expired(_) => "expired",
            Self::AttemptKeyReused => "attempt_key_reused",
            Self::Throttled(_) => "throttled",
            Self::Rotate => "rotate",
            Self::Retry => "retry",
            Self::Superseded => "superseded",
            Self::Heal => "heal",
            Self::Reuse => "reuse",
    }
}

/// Decides what becomes of `presented`, given what the store saw. The order of the checks is part of the rule.
pub fn judge(seen: &Seen, presented: &Presented, now: UnixMillis, policy: &RotationPolicy) -> Verdict {
    let Some(record) = seen.session else { return Verdict::Unknown };
    let record = &record.bounded_by(policy);
    if seen.user != Standing::Enabled {
        return Verdict::Disabled;
    }
    if let Some(reason) = end_of(record, presented, policy) {
        return Verdict::Revoked(reason);
    }
    if let Some(mismatch) = mismatch(seen, record, presented) {
        return Verdict::Mismatch(mismatch);
    }
    let place = place(record, presented);
    if let Some(deadline) = deadline_over(record, presented, place, now, policy) {
        return Verdict::Expired(deadline);
    }
    match place {
        Place::Current => judge_current(record, presented, now, policy),
        Place::Previous => judge_previous(record, presented, now, policy),
        Place::Ahead(by) => judge_ahead(record, presented, by, policy),
        Place::Behind => Verdict::Reuse,
    }
}

/// Whether the token is the current one and nothing speaks against rotating it: the same as
/// `judge(…) == Verdict::Rotate`, written as the store's script checks it.
pub fn guards_hold(seen: &Seen, presented: &Presented, now: UnixMillis, policy: &RotationPolicy) -> bool {
    let Some(record) = seen.session else { return false };
    let record = &record.bounded_by(policy);
    seen.user == Standing::Enabled
        && record.ended.is_none()
        && presented.session.session.began_at() >= policy.cutoff.at
        && mismatch(seen, record, presented).is_none()
        && !record.absolute_deadline.is_over(now)
        && !record.idle_deadline.is_over(now)
        && record.generation == presented.generation
        && record.nonce == presented.nonce
        && !(presented.attempt.is_some() && presented.attempt == record.attempt)
        && policy.budget.spend(record.debt, record.rotated_at, now).is_ok()
}

/// The record after a Rotate or a Heal: the presented token becomes the previous one, whatever the record held. The idle
/// deadline does not move back, though the clock may have: a client was promised the later one.
pub fn next(
    record: &SessionRecord,
    presented: &Presented,
    fresh: &Fresh,
    now: UnixMillis,
    policy: &RotationPolicy,
) -> SessionRecord {
    let record = record.bounded_by(policy);
    let idle_deadline = policy.idle_deadline(now, record.absolute_deadline);
    SessionRecord {
        generation: presented.generation.next(),
        nonce: fresh.nonce,
        previous_nonce: presented.nonce,
        mac_key: fresh.mac_key,
        attempt: presented.attempt,
        rotated_at: now,
        idle_ahead: hours_ahead(record.idle_deadline, idle_deadline),
        idle_deadline: idle_deadline.max(record.idle_deadline),
        debt: policy.budget.spend_anyway(record.debt, record.rotated_at, now),
        origin: fresh.origin,
        ..record
    }
}

/// By how many hours, rounded up, one deadline is after another.
fn hours_ahead(one: UnixSeconds, other: UnixSeconds) -> u8 {
    let hours = one.0.saturating_sub(other.0).div_ceil(3600).min(SessionRecord::MOST_AHEAD.into());
    u8::try_from(hours).unwrap_or(SessionRecord::MOST_AHEAD)
}

/// Where a token stands in the life of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Current,
    Previous,
    /// Of the record's own generation but not current, or of a later one, by so many generations.
    Ahead(u32),
    Behind,
}

fn place(record: &SessionRecord, presented: &Presented) -> Place {
    if presented.generation == record.generation && presented.nonce == record.nonce {
        Place::Current
    } else if presented.generation.is_just_before(record.generation)
        && presented.nonce == record.previous_nonce
    {
        Place::Previous
    } else {
        match presented.generation.0.checked_sub(record.generation.0) {
            Some(by) => Place::Ahead(by),
            None => Place::Behind,
        }
    }
}

fn end_of(record: &SessionRecord, presented: &Presented, policy: &RotationPolicy) -> Option<EndReason> {
    match record.ended {
        Some(ended) => Some(ended.reason),
        None => policy.cutoff.end_of(presented.session.session),
    }
}

fn mismatch(seen: &Seen, record: &SessionRecord, presented: &Presented) -> Option<Mismatch> {
    let same_key = match (record.dpop_bound, seen.thumbprint) {
        (true, Some(bound)) => presented.thumbprint == Some(bound),
        // The thumbprint is lost: better refuse than forget the binding.
        (true, None) => false,
        (false, _) => presented.thumbprint.is_none(),
    };
    if presented.client != record.client {
        Some(Mismatch::Client)
    } else if presented.delivery != record.delivery {
        Some(Mismatch::Delivery)
    } else if same_key {
        None
    } else {
        Some(Mismatch::Key)
    }
}

fn deadline_over(
    record: &SessionRecord,
    presented: &Presented,
    place: Place,
    now: UnixMillis,
    policy: &RotationPolicy,
) -> Option<Deadline> {
    // A record that has fallen behind has a stale idle deadline: the token itself says when it was last used.
    let idle = match place {
        Place::Ahead(_) => presented.issued_at.plus(policy.idle_ttl),
        Place::Current | Place::Previous | Place::Behind => record.idle_deadline,
    };
    if record.absolute_deadline.is_over(now) {
        Some(Deadline::Absolute)
    } else {
        idle.is_over(now).then_some(Deadline::Idle)
    }
}

fn judge_current(
    record: &SessionRecord,
    presented: &Presented,
    now: UnixMillis,
    policy: &RotationPolicy,
) -> Verdict {
    if presented.attempt.is_some() && presented.attempt == record.attempt {
        return Verdict::AttemptKeyReused;
    }
    match policy.budget.spend(record.debt, record.rotated_at, now) {
        Ok(_) => Verdict::Rotate,
        Err(wait) => Verdict::Throttled(wait),
    }
}

fn judge_previous(
    record: &SessionRecord,
    presented: &Presented,
    now: UnixMillis,
    policy: &RotationPolicy,
) -> Verdict {
    let in_grace = now.age_since(record.rotated_at) < policy.grace;
    match (record.attempt, presented.attempt) {
        (Some(rotations), Some(this)) if rotations == this => Verdict::Retry,
        // The proof is by the bound key, or it would be a mismatch.
        _ if record.dpop_bound => Verdict::Retry,
        (None, None) if in_grace => Verdict::Retry,
        _ if in_grace => Verdict::Superseded,
        _ => Verdict::Reuse,
    }
}

fn judge_ahead(record: &SessionRecord, presented: &Presented, by: u32, policy: &RotationPolicy) -> Verdict {
    if by > policy.heal.max_ahead {
        return Verdict::Unknown;
    }
    let earliest = record.rotated_at.seconds().minus(policy.heal.slack);
    if presented.issued_at >= earliest { Verdict::Heal } else { Verdict::Reuse }
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
