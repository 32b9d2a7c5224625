//! Clock and randomness: the only place that asks the machine for them. Everyone else is handed one.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use relatch_domain::{SessionId, UnixMillis, UserId};
use uuid::Uuid;
use zeroize::Zeroize as _;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> UnixMillis;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    /// Microseconds since the Unix epoch: for the log, which is read line by line.
    #[expect(clippy::disallowed_methods, reason = "the one place that may")]
    pub fn micros() -> u64 {
        // A clock before 1970 is broken beyond what we can mend; time zero makes every deadline fail closed later.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(Self::micros() / 1000).min(UnixMillis::MAX)
    }
}

/// The machine's random number generator gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system's random number generator failed")]
pub struct NoEntropy;

/// From this length on random bytes may be a key.
const KEY_LEN: usize = 32;

thread_local! {
    static SUPPLY: RefCell<Supply> = const { RefCell::new(Supply { bytes: [0; Supply::LEN], left: 0 }) };
}

/// Random bytes in stock for one thread. Each call of the generator costs as much as a few hundred bytes, and a refresh
/// needs three times 8 or 16. Bytes are given out once and wiped.
struct Supply {
    bytes: [u8; Self::LEN],
    left: usize,
}

impl Supply {
    const LEN: usize = 512;

    fn take(&mut self, wanted: &mut [u8]) -> Result<(), NoEntropy> {
        if self.left < wanted.len() {
            self.left = 0;
            aws_lc_rs::rand::fill(&mut self.bytes).map_err(|_| NoEntropy)?;
            self.left = Self::LEN;
        }
        let rest = self.left.saturating_sub(wanted.len());
        let given = self.bytes.get_mut(rest..self.left).ok_or(NoEntropy)?;
        wanted.copy_from_slice(given);
        given.zeroize();
        self.left = rest;
        Ok(())
    }
}

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
        // Keys are made by themselves: nothing of them lies in a supply before.
        if N >= KEY_LEN {
            aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoEntropy)?;
        } else {
            SUPPLY.with_borrow_mut(|supply| supply.take(&mut bytes))?;
        }
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

    /// An id for a session that begins at this point by the store's clock: a version 7 UUID (RFC 9562, section 5.7), so that
    /// it tells when that was.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn session_id(self, at: UnixMillis) -> Result<SessionId, NoEntropy> {
        let random = self.bytes::<10>()?;
        Ok(uuid::Builder::from_unix_timestamp_millis(at.0, &random).into_uuid().into())
    }

    /// An id for whatever else needs one: a version 4 UUID (RFC 9562, section 5.4).
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn uuid(self) -> Result<Uuid, NoEntropy> {
        Ok(uuid::Builder::from_random_bytes(self.bytes()?).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_session_id_tells_when_the_session_began() {
        for at in [0, 1, 1_800_000_000_123, UnixMillis::MAX.0] {
            let id = Random.session_id(UnixMillis(at)).unwrap();
            assert_eq!(id.began_at(), UnixMillis(at));
            let uuid = Uuid::from_bytes(*id.as_bytes());
            assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, uuid::Variant::RFC4122));
            assert_ne!(id, Random.session_id(UnixMillis(at)).unwrap());
        }
    }

    #[test]
    fn nothing_is_given_out_twice_and_nothing_is_left_behind() {
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            assert!(seen.insert(Random.bytes::<8>().unwrap()));
            let sixteen = Random.bytes::<16>().unwrap();
            assert!(
                seen.insert(sixteen[..8].try_into().unwrap())
                    && seen.insert(sixteen[8..].try_into().unwrap())
            );
            SUPPLY.with_borrow(|supply| assert!(supply.bytes[supply.left..].iter().all(|byte| *byte == 0)));
        }
        assert_ne!(Random.bytes::<32>().unwrap(), Random.bytes::<32>().unwrap());
    }
}
