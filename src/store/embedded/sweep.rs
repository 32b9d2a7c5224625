//! Forgetting sessions of users who never come back.
//!
//! A sign-in makes room among the user's own sessions; nobody makes room for users who do not sign in again, and the
//! file has no expiry. So now and then the writer looks at a stretch of sessions and forgets those that died long ago.

use std::ops::Bound;
use std::time::Duration;

use redb::ReadableTable;
use relatch_domain::policy::{RotationPolicy, SessionLimits};
use relatch_domain::{SessionRef, UnixMillis, record, sign_in};

use super::sessions::forget;
use super::tables::{Failure, SessionKey, Tables, key_of, session_of};

/// How the sweep goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Housekeeping {
    /// How often a step is made.
    pub every: Duration,
    /// How long a session must have been dead to be forgotten. At least
    /// [`SessionLimits::MIN_TOMBSTONE_TTL`], whatever is asked for.
    pub forget_after: Duration,
    /// How many sessions one step looks at.
    pub look_at: usize,
    /// How many sessions one step forgets at the most.
    pub forget_at_most: usize,
    /// By whose lifetimes sessions expire.
    pub policy: RotationPolicy,
}

impl Default for Housekeeping {
    /// By the lifetimes that the records have. A small step a minute; a million sessions are gone through in some four hours. Sessions stay
    /// for thirty days after their death, so that a file restored from a backup still knows who may heal.
    fn default() -> Self {
        Self {
            every: Duration::from_mins(1),
            forget_after: Duration::from_hours(30 * 24),
            look_at: 4096,
            forget_at_most: 256,
            policy: RotationPolicy {
                idle_ttl: Duration::MAX,
                absolute_ttl: Duration::MAX,
                ..RotationPolicy::default()
            },
        }
    }
}

/// What one step of the sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// How many sessions were forgotten.
    pub forgotten: usize,
    /// The session after which the next step goes on; nothing once all have been looked at.
    pub reached: Option<SessionRef>,
}

/// Looks at the sessions after `after` and forgets the dead ones. Records that cannot be read stay: a later version
/// may know them.
pub(super) fn sweep(
    tables: &mut Tables<'_>,
    now: UnixMillis,
    after: Option<SessionRef>,
    how: &Housekeeping,
) -> Result<Swept, Failure> {
    let after = after.map(|session| key_of(session.user, session.session));
    let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    let (mut looked_at, mut reached, mut dead) = (0, None, Vec::new());
    for entry in tables.sessions.range::<&SessionKey>((start, Bound::Unbounded))? {
        if looked_at == how.look_at || dead.len() == how.forget_at_most {
            break;
        }
        let (key, packed) = entry?;
        looked_at += 1;
        reached = Some(*key.value());
        if is_long_dead(packed.value(), now, how) {
            dead.push(*key.value());
        }
    }
    for key in &dead {
        forget(tables, key)?;
    }
    let more = looked_at == how.look_at || dead.len() == how.forget_at_most;
    let reached = reached.filter(|_| more).map(|key| session_of(&key));
    Ok(Swept { forgotten: dead.len(), reached })
}

/// Asks the rule that a sign-in asks, for this one session and without its limits in number.
fn is_long_dead(packed: &[u8], now: UnixMillis, how: &Housekeeping) -> bool {
    let Ok(record) = record::decode(packed) else { return false };
    let limits = SessionLimits {
        max_live: usize::MAX,
        max_tombstones: usize::MAX,
        tombstone_ttl: how.forget_after.max(SessionLimits::MIN_TOMBSTONE_TTL),
    };
    let this = [(relatch_domain::SessionId::from_bytes([0; 16]), record.bounded_by(&how.policy))];
    !sign_in::make_room(&this, None, now, &limits).is_empty()
}
