//! What an operator may choose about refresh tokens. Handed to the rules as an argument.

use std::time::Duration;

use crate::budget::Budget;
use crate::cutoff::Cutoff;
use crate::time::{UnixMillis, UnixSeconds};

/// The bounds within which a token that is ahead of its record is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealPolicy {
    /// How much older than the record's last rotation the token may be: covers clocks that differ.
    pub slack: Duration,
    /// How many generations ahead of the record the token may be.
    pub max_ahead: u32,
}

/// How refresh tokens rotate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationPolicy {
    /// A session that does not refresh for so long expires.
    pub idle_ttl: Duration,
    /// A session that is so old expires, whatever it does.
    pub absolute_ttl: Duration,
    /// How long a client without attempt keys may present the previous token again; 0 is strict.
    pub grace: Duration,
    /// When a token ahead of the store heals it.
    pub heal: HealPolicy,
    /// How many refreshes one session may make.
    pub budget: Budget,
    /// Sessions that began before it are over: the later one of everyone's and that of the client concerned.
    pub cutoff: Cutoff,
}

impl RotationPolicy {
    /// The idle deadline of a session that rotates at `now`: never after the absolute one. Rounded up, so that the session
    /// lives as long as it was promised.
    pub fn idle_deadline(&self, now: UnixMillis, absolute: UnixSeconds) -> UnixSeconds {
        now.seconds_up().plus(self.idle_ttl).min(absolute)
    }
}

impl Default for RotationPolicy {
    /// The defaults of the configuration, with no budget and no cutoff.
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            idle_ttl: Duration::from_secs(14 * DAY),
            absolute_ttl: Duration::from_secs(90 * DAY),
            grace: Duration::from_secs(10),
            heal: HealPolicy { slack: Duration::from_mins(2), max_ahead: 1024 },
            budget: Budget::UNLIMITED,
            cutoff: Cutoff::NONE,
        }
    }
}

/// How many sessions a user may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Live sessions; the least recently used goes when one more comes.
    pub max_live: usize,
    /// Ended sessions that are remembered; the one that ended first goes.
    pub max_tombstones: usize,
    /// How long an ended session is remembered: as long as one of its access tokens can be alive, and at least a
    /// day.
    pub tombstone_ttl: Duration,
}

impl SessionLimits {
    /// Ended sessions that are remembered for each user.
    pub const MAX_TOMBSTONES: usize = 64;
    /// How long an ended session is remembered at the least.
    pub const MIN_TOMBSTONE_TTL: Duration = Duration::from_hours(24);
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { max_live: 50, max_tombstones: Self::MAX_TOMBSTONES, tombstone_ttl: Self::MIN_TOMBSTONE_TTL }
    }
}
