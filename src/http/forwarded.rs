//! Who is behind a proxy: `X-Forwarded-For`, as far as it was written by those who are trusted.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// How many hops are looked at.
const MOST_HOPS: usize = 32;

/// The proxies whose word counts (`http.trusted_proxies`).
#[derive(Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The client's address, or that of the last proxy whose word does not count.
    pub address: IpAddr,
    /// Whether others may be behind the address: it is one of a private network and says that it is a proxy, and nobody has named it.
    pub is_shared: bool,
}

impl TrustedProxies {
    /// These.
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Who is at the other end. `forwarded` are the values of all `X-Forwarded-For` fields, in their order: each proxy adds
    /// the address that it was called from at the end, and what stands before the last one that is not trusted may be made up.
    pub fn client<'a>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a [u8]>) -> Client {
        let peer = peer.to_canonical();
        let mut hops =
            forwarded.rev().flat_map(|field| field.rsplit(|byte| *byte == b',')).take(MOST_HOPS).peekable();
        if !self.trusts(peer) {
            let is_shared = hops.peek().is_some() && is_private(peer);
            return Client { address: peer, is_shared };
        }
        let mut address = peer;
        for hop in hops {
            let Some(next) = address_of(hop) else { break };
            address = next;
            if !self.trusts(address) {
                break;
            }
        }
        Client { address, is_shared: false }
    }

    /// Whether it is one of these.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// An address, as proxies write it: some add a port.
fn address_of(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proxies() -> TrustedProxies {
        TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8:aa::/48".parse().unwrap()])
    }

    fn client(peer: &str, forwarded: &[&str]) -> (String, bool) {
        let fields = forwarded.iter().map(|field| field.as_bytes());
        let Client { address, is_shared } = proxies().client(peer.parse().unwrap(), fields);
        (address.to_string(), is_shared)
    }

    #[test]
    fn only_the_word_of_trusted_proxies_counts() {
        let alone = |address: &str| (address.to_owned(), false);
        assert_eq!(client("192.0.2.1", &[]), alone("192.0.2.1"));
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), alone("192.0.2.1"), "a stranger says so");
        assert_eq!(client("10.0.0.1", &[]), alone("10.0.0.1"), "the proxy itself");
        assert_eq!(client("10.0.0.1", &["198.51.100.7"]), alone("198.51.100.7"));
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"]), alone("198.51.100.7"));
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.9.9.9"]), alone("198.51.100.7"));
        assert_eq!(client("10.0.0.1", &["1.1.1.1", "198.51.100.7", "10.9.9.9"]), alone("198.51.100.7"));
        assert_eq!(client("10.0.0.1", &["10.1.1.1, 10.2.2.2"]), alone("10.1.1.1"));
        assert_eq!(client("10.0.0.1", &["198.51.100.7:4711"]), alone("198.51.100.7"));
        assert_eq!(client("2001:db8:aa::1", &["[2001:db8::7]:4711"]), alone("2001:db8::7"));
        assert_eq!(client("2001:db8:aa::1", &["[2001:db8::7]"]), alone("2001:db8::7"));
        assert_eq!(client("10.0.0.1", &["198.51.100.7, unknown"]), alone("10.0.0.1"), "it does not know");
        assert_eq!(client("10.0.0.1", &["198.51.100.7, 10.3.3.3,"]), alone("10.0.0.1"));
    }

    #[test]
    fn a_proxy_that_nobody_has_named_stands_for_many() {
        assert_eq!(client("172.17.0.1", &["198.51.100.7"]), ("172.17.0.1".to_owned(), true));
        assert_eq!(client("127.0.0.1", &["198.51.100.7"]), ("127.0.0.1".to_owned(), true));
        assert_eq!(client("::1", &["x"]), ("::1".to_owned(), true));
        assert_eq!(client("172.17.0.1", &[]), ("172.17.0.1".to_owned(), false));
    }

    proptest! {
        #[test]
        fn whatever_stands_there_the_last_untrusted_address_wins(
            before in "[ -~]{0,40}", own in 0_u8..255, spaces in " {0,3}",
        ) {
            let field = format!("{before},{spaces}192.0.2.{own}, 10.1.1.1");
            prop_assert_eq!(client("10.0.0.1", &[&field]), (format!("192.0.2.{own}"), false));
        }

        #[test]
        fn whatever_comes_makes_nobody_panic(fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..4)) {
            proxies().client("10.0.0.1".parse().unwrap(), fields.iter().map(Vec::as_slice));
        }
    }
}
