//! Clock and randomness: the only place that asks the machine for them. Everyone else is handed one.

use std::time::{SystemTime, UNIX_EPOCH};

use relatch_domain::{SessionId, UnixMillis, UserId};
use uuid::Uuid;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> UnixMillis;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that may")]
    fn now(&self) -> UnixMillis {
        // A clock before 1970 is broken beyond what we can mend; time zero makes every deadline fail closed later.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)).min(UnixMillis::MAX)
    }
}

/// The machine's random number generator gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system's random number generator failed")]
pub struct NoEntropy;

/// Cryptographically secure randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct Random;

impl Random {
    /// `N` random bytes.
    ///
    /// # Errors
    /// If the operating system has none to give.
    pub fn bytes<const N: usize>(self) -> Result<[u8; N], NoEntropy> {
        let mut bytes = [0; N];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoEntropy)?;
        Ok(bytes)
    }

    /// An id for a new user: a version 7 UUID (RFC 9562, section 5.7), so that ids sort by age.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn user_id(self, now: UnixMillis) -> Result<UserId, NoEntropy> {
        let random = self.bytes::<10>()?;
        Ok(uuid::Builder::from_unix_timestamp_millis(now.0, &random).into_uuid().into())
    }

    /// An id for a new session: a version 4 UUID (RFC 9562, section 5.4).
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn session_id(self) -> Result<SessionId, NoEntropy> {
        Ok(uuid::Builder::from_random_bytes(self.bytes()?).into_uuid().into())
    }

    /// An id for whatever else needs one: a version 4 UUID (RFC 9562, section 5.4).
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn uuid(self) -> Result<Uuid, NoEntropy> {
        Ok(uuid::Builder::from_random_bytes(self.bytes()?).into_uuid())
    }
}
