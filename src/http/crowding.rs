//! How much one address may ask of a node: requests and connections, counted by the node alone.
//!
//! This keeps one caller from taking everything; whoever guesses passwords is counted by account and across all nodes
//! ([`crate::app::guesses`]). An address that others may be behind, a proxy's, is not held to it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::forwarded::TrustedProxies;

/// Addresses are counted in so many tables, so that workers rarely wait for one another.
const TABLES: usize = 16;
/// How many addresses a table knows. Who comes when all of them are busy is not counted: to count is no reason to refuse.
const MOST_IN_A_TABLE: usize = 8192;

/// How much one address may ask for. Of IPv6 a /64 is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressLimits {
    /// Requests at once.
    pub burst: u32,
    /// After so long there may be one more.
    pub interval: Duration,
    /// Connections at once.
    pub connections: u32,
}

/// What a node knows of the addresses that come to it. All workers share it.
#[derive(Debug, Default)]
pub struct Crowding {
    limits: Option<AddressLimits>,
    proxies: Arc<TrustedProxies>,
    /// When the requests of an address will have been worth their time (the "theoretical arrival time" of GCRA, ITU-T I.371).
    due: [Mutex<HashMap<IpAddr, Instant>>; TABLES],
    connections: [Mutex<HashMap<IpAddr, u32>>; TABLES],
    /// Whether it has been told that a proxy should be named.
    told: AtomicBool,
}

/// An open connection. It counts until it is dropped.
#[derive(Debug)]
pub struct Connection {
    crowding: Arc<Crowding>,
    address: IpAddr,
    /// Whether there were as many as there may be before it.
    pub is_one_too_many: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut connections = table(&self.crowding.connections, self.address);
        if let Some(count) = connections.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                connections.remove(&self.address);
            }
        }
    }
}

impl Crowding {
    /// Without limits nothing is counted.
    pub fn new(limits: Option<AddressLimits>, proxies: Arc<TrustedProxies>) -> Self {
        let (due, connections) = (Default::default(), Default::default());
        Self { limits, proxies, due, connections, told: AtomicBool::new(false) }
    }

    /// Counts a connection, unless it is a named proxy's.
    pub fn connected(self: &Arc<Self>, peer: IpAddr) -> Option<Connection> {
        let limits = self.limits.filter(|_| !self.proxies.trusts(peer.to_canonical()))?;
        let address = one_of(peer);
        let mut connections = table(&self.connections, address);
        let count = connections.entry(address).or_default();
        *count = count.saturating_add(1);
        let is_one_too_many = *count > limits.connections;
        drop(connections);
        Some(Connection { crowding: Arc::clone(self), address, is_one_too_many })
    }

    /// Counts a request.
    ///
    /// # Errors
    /// The time after which it may be made.
    pub fn asked(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let Some(limits) = self.limits else { return Ok(()) };
        let address = one_of(address);
        let mut all = table(&self.due, address);
        if all.len() >= MOST_IN_A_TABLE && !all.contains_key(&address) {
            all.retain(|_, due| *due > now);
            if all.len() >= MOST_IN_A_TABLE {
                return Ok(());
            }
        }
        let due = all.entry(address).or_insert(now);
        let ahead = due.saturating_duration_since(now);
        let allowed = limits.interval * limits.burst.saturating_sub(1);
        let too_early = ahead.saturating_sub(allowed);
        if !too_early.is_zero() {
            return Err(too_early);
        }
        *due = now + ahead + limits.interval;
        Ok(())
    }

    /// Whether it is to be told now that requests come through a proxy that nobody has named: once.
    pub fn is_to_be_told(&self) -> bool {
        self.limits.is_some() && !self.told.swap(true, Ordering::Relaxed)
    }
}

/// What counts as one address: of IPv6 the network that one household or machine has to itself.
fn one_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

fn table<T>(tables: &[Mutex<T>; TABLES], address: IpAddr) -> MutexGuard<'_, T> {
    let sum = match address {
        IpAddr::V4(v4) => v4.octets().iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)),
        IpAddr::V6(v6) => v6.octets().iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)),
    };
    let [first, ..] = tables;
    tables.get(usize::from(sum) % TABLES).unwrap_or(first).lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn crowding(burst: u32, connections: u32) -> Arc<Crowding> {
        let limits = AddressLimits { burst, interval: Duration::from_millis(100), connections };
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        Arc::new(Crowding::new(Some(limits), Arc::new(proxies)))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_is_free_and_then_one_in_each_interval() {
        let (crowding, now) = (crowding(3, 9), Instant::now());
        let asked = |address: &str, millis| crowding.asked(ip(address), now + Duration::from_millis(millis));
        for _ in 0..3 {
            assert_eq!(asked("192.0.2.1", 0), Ok(()));
        }
        assert_eq!(asked("192.0.2.1", 0), Err(Duration::from_millis(100)));
        assert_eq!(asked("192.0.2.1", 40), Err(Duration::from_millis(60)));
        assert_eq!(asked("192.0.2.2", 40), Ok(()), "another address");
        assert_eq!(asked("192.0.2.1", 100), Ok(()));
        assert_eq!(asked("192.0.2.1", 100), Err(Duration::from_millis(100)));
        for _ in 0..3 {
            assert_eq!(asked("192.0.2.1", 5000), Ok(()));
        }
        assert!(asked("192.0.2.1", 5000).is_err());
    }

    #[test]
    fn of_ipv6_a_network_is_one_address() {
        let (crowding, now) = (crowding(2, 9), Instant::now());
        assert_eq!(crowding.asked(ip("2001:db8:1:2::1"), now), Ok(()));
        assert_eq!(crowding.asked(ip("2001:db8:1:2:ffff::9"), now), Ok(()));
        assert!(crowding.asked(ip("2001:db8:1:2::3"), now).is_err());
        assert_eq!(crowding.asked(ip("2001:db8:1:3::1"), now), Ok(()));
        assert_eq!(one_of(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn connections_count_until_they_are_closed() {
        let crowding = crowding(1, 2);
        let connect = |address: &str| crowding.connected(ip(address));
        let (first, second) = (connect("192.0.2.1").unwrap(), connect("192.0.2.1").unwrap());
        assert!(!first.is_one_too_many && !second.is_one_too_many);
        assert!(connect("192.0.2.1").unwrap().is_one_too_many, "gone again at once");
        assert!(!connect("192.0.2.2").unwrap().is_one_too_many);
        drop(first);
        assert!(!connect("192.0.2.1").unwrap().is_one_too_many);
        assert!(connect("10.0.0.1").is_none(), "a named proxy speaks for many");
        drop(second);
        assert!(crowding.connections.iter().all(|table| table.lock().unwrap().is_empty()));
    }

    #[test]
    fn memory_is_bounded_and_who_does_not_fit_is_let_in() {
        let (crowding, now) = (crowding(1, 1), Instant::now());
        // All of these fall into one table.
        let address = |number: u32| {
            IpAddr::V4(
                (0xC600_0000
                    | (number >> 8 & 0xff) << 16
                    | (number & 0xff) << 8
                    | (number.wrapping_neg().wrapping_sub(number >> 8) & 0xff))
                    .into(),
            )
        };
        for number in 0..20_000 {
            assert_eq!(crowding.asked(address(number), now), Ok(()), "{number}");
        }
        assert!(crowding.due.iter().all(|table| table.lock().unwrap().len() <= MOST_IN_A_TABLE));
        assert_eq!(crowding.asked(ip("198.51.100.7"), now + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let crowding = Arc::new(Crowding::new(None, Arc::default()));
        assert!(crowding.connected(ip("192.0.2.1")).is_none());
        assert!((0..10_000).all(|_| crowding.asked(ip("192.0.2.1"), Instant::now()).is_ok()));
        assert!(!crowding.is_to_be_told());
    }

    proptest! {
        /// Whatever the pattern: never more than the burst and what has come since.
        #[test]
        fn no_pattern_gets_more_than_burst_and_time_allow(burst in 1_u32..10, steps in prop::collection::vec(0_u64..300, 1..100)) {
            let (crowding, begun) = (crowding(burst, 1), Instant::now());
            let (mut passed, mut at) = (0_u128, 0);
            for step in steps {
                at += step;
                let answer = crowding.asked(ip("192.0.2.1"), begun + Duration::from_millis(at));
                match answer {
                    Ok(()) => passed += 1,
                    // And the time that is told is enough.
                    Err(wait) => {
                        let then = begun + Duration::from_millis(at) + wait;
                        prop_assert!(crowding.asked(ip("192.0.2.1"), then).is_ok());
                        passed += 1;
                        at = u64::try_from((then - begun).as_millis()).unwrap() + 1;
                    }
                }
                prop_assert!(passed <= u128::from(burst) + u128::from(at) / 100);
            }
        }
    }
}
