//! How much one address may ask of a node: requests and connections, counted by the node alone.
//!
//! This keeps one caller from taking everything; whoever guesses passwords is counted by account and across all nodes
//! ([`crate::app::guesses`]). A named proxy speaks for its callers; one that nobody has named
//! has a budget for many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::forwarded::{Client, TrustedProxies};
use crate::app::guesses::CALLERS_BEHIND_A_PROXY;
use crate::app::origin::one_caller;
use crate::budgets::{Budget, Budgets};

/// Addresses are counted in so many tables, so that workers rarely wait for one another.
const TABLES: usize = 16;

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
    requests: Budgets<(IpAddr, bool)>,
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
        Self { limits, proxies, ..Self::default() }
    }

    /// Counts a connection, unless it is a named proxy's.
    pub fn connected(self: &Arc<Self>, peer: IpAddr) -> Option<Connection> {
        let limits = self.limits.filter(|_| !self.proxies.trusts(peer.to_canonical()))?;
        let address = one_caller(peer);
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
    pub fn asked(&self, client: Client, now: Instant) -> Result<(), Duration> {
        let Some(limits) = self.limits else { return Ok(()) };
        let budget = Budget { burst: limits.burst, interval: limits.interval };
        let budget = if client.is_shared { budget.times(CALLERS_BEHIND_A_PROXY) } else { budget };
        self.requests.ask((one_caller(client.address), client.is_shared), budget, now)
    }

    /// Whether it is to be told now that requests come through a proxy that nobody has named: once.
    pub fn is_to_be_told(&self) -> bool {
        self.limits.is_some() && !self.told.swap(true, Ordering::Relaxed)
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
    use super::*;

    fn crowding(burst: u32, connections: u32) -> Arc<Crowding> {
        let limits = AddressLimits { burst, interval: Duration::from_millis(100), connections };
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        Arc::new(Crowding::new(Some(limits), Arc::new(proxies)))
    }

    fn client(text: &str) -> Client {
        Client { address: ip(text), is_shared: false }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_that_many_seem_to_be_behind_has_a_budget_for_many() {
        let (crowding, now) = (crowding(3, 9), Instant::now());
        let shared = Client { is_shared: true, ..client("10.0.0.7") };
        let passed = (0..1000).filter(|_| crowding.asked(shared, now).is_ok()).count();
        assert_eq!(passed, 3 * 32);
        assert_eq!(crowding.asked(client("10.0.0.7"), now), Ok(()), "by itself it is one");
    }

    #[test]
    fn of_ipv6_a_network_is_one_address() {
        let (crowding, now) = (crowding(2, 9), Instant::now());
        assert_eq!(crowding.asked(client("2001:db8:1:2::1"), now), Ok(()));
        assert_eq!(crowding.asked(client("2001:db8:1:2:ffff::9"), now), Ok(()));
        assert!(crowding.asked(client("2001:db8:1:2::3"), now).is_err());
        assert_eq!(crowding.asked(client("2001:db8:1:3::1"), now), Ok(()));
        assert_eq!(one_caller(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
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
    fn without_limits_nothing_is_counted() {
        let crowding = Arc::new(Crowding::new(None, Arc::default()));
        assert!(crowding.connected(ip("192.0.2.1")).is_none());
        assert!((0..10_000).all(|_| crowding.asked(client("192.0.2.1"), Instant::now()).is_ok()));
        assert!(!crowding.is_to_be_told());
    }
}
