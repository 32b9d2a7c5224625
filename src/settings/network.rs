//! Settings that are names and addresses in the network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use url::{Host, Url};

use super::parse::Wrong;

/// The issuer identifier (RFC 8414, section 2): https, or http on a loopback host for development; no query, no
/// fragment, and in the one spelling that clients will compare with, byte by byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    text: String,
    origin: String,
    host: String,
    is_https: bool,
}

impl Issuer {
    /// The identifier, without a closing slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its origin (RFC 6454, section 6.2), as browsers send it.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Its host, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether clients reach the server by https.
    pub const fn is_https(&self) -> bool {
        self.is_https
    }

    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        const RIGHT: &str =
            "write an https URL such as \"https://login.example.com\"; http is for loopback hosts";
        let url = Url::parse(text).map_err(|_| Wrong::new("a URL", RIGHT))?;
        let is_https = url.scheme() == "https";
        let is_local_http = url.scheme() == "http" && is_loopback(&url);
        if !is_https && !is_local_http {
            return Err(Wrong::new("an issuer that clients can trust", RIGHT));
        }
        if url.query().is_some() || url.fragment().is_some() || has_credentials(&url) {
            return Err(Wrong::new("an issuer", "leave out user, password, query and fragment"));
        }
        let canonical = url.as_str().trim_end_matches('/');
        if canonical != text {
            return Err(Wrong::new("in the form that clients compare with", format!("write {canonical:?}")));
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        Ok(Self { text: text.to_owned(), origin: url.origin().ascii_serialization(), host, is_https })
    }
}

/// Names below `localhost` never leave the machine either (RFC 6761, section 6.3).
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// The origin of a web page, exactly as browsers send it in `Origin` (RFC 6454, section 6.2): compared as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin(String);

impl WebOrigin {
    /// The origin.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether pages of this origin travel unprotected through a network.
    pub(super) fn is_plain_http(&self) -> bool {
        self.0.starts_with("http:") && !Url::parse(&self.0).is_ok_and(|url| is_loopback(&url))
    }

    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        const RIGHT: &str = "write scheme, host and port if it is not the usual one, such as \
                             \"https://app.example.com\"; no path, no \"*\", no \"null\"";
        let wrong = || Wrong::new("the origin of a web page", RIGHT);
        let url = Url::parse(text).map_err(|_| wrong())?;
        let origin = url.origin().ascii_serialization();
        if !matches!(url.scheme(), "http" | "https") || text.contains('*') {
            return Err(wrong());
        }
        if origin == text {
            Ok(Self(origin))
        } else {
            Err(Wrong::new("an exact origin", format!("write {origin:?}")))
        }
    }
}

/// Where a listener listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// On both loopback addresses, with the same port.
    Localhost {
        /// 0 picks a free one.
        port: u16,
    },
    /// On one address.
    Address(SocketAddr),
}

impl Listen {
    /// The addresses to bind. With port 0, the port that the first one gets is for all of them.
    pub fn addresses(self) -> Vec<SocketAddr> {
        match self {
            Self::Localhost { port } => {
                vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]
            }
            Self::Address(address) => vec![address],
        }
    }

    /// Whether two listeners cannot both have what they want.
    pub(super) fn collides_with(self, other: Self) -> bool {
        let same_host = |one: IpAddr, two: IpAddr| one == two || one.is_unspecified() || two.is_unspecified();
        self.addresses().iter().any(|one| {
            other
                .addresses()
                .iter()
                .any(|two| one.port() != 0 && one.port() == two.port() && same_host(one.ip(), two.ip()))
        })
    }

    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let localhost = text
            .strip_prefix("localhost:")
            .and_then(|port| port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())?);
        match localhost {
            Some(port) => Ok(Self::Localhost { port }),
            None => text.parse().map(Self::Address).map_err(|_| {
                Wrong::new(
                    "an address with a port",
                    "write \"localhost:8080\", or an IP address and a port such as \"0.0.0.0:8080\" or \"[::]:8080\"",
                )
            }),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localhost { port } => write!(f, "localhost:{port}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// A proxy's address, or the network that proxies are in.
pub(super) fn network(text: &str) -> Result<IpNet, Wrong> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let network: IpNet = text.parse().map_err(|_| {
        Wrong::new("an address or a network", "write an IP address, or a network such as \"10.0.0.0/8\"")
    })?;
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(Wrong::new("a network: it has bits beyond its prefix", format!("write \"{}\"", network.trunc())))
    }
}

/// The name of a host, in lower case.
pub(super) fn host_name(text: &str) -> Result<String, Wrong> {
    let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if text.is_empty() || text.len() > 253 || !text.bytes().all(is_of_a_name) {
        return Err(Wrong::new(
            "the name of a host",
            "write it without scheme and port, such as \"relatch.internal\"",
        ));
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_https_or_on_loopback_and_in_one_spelling() {
        for good in [
            "https://a.example",
            "https://a.example:8443/tenant",
            "http://localhost:8080",
            "http://app.one.localhost:8080",
            "http://127.0.0.1",
            "http://[::1]:1",
        ] {
            assert_eq!(Issuer::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "a.example",
            "http://a.example",
            "ftp://localhost",
            "https://a.example/",
            "https://a.example/t/",
            "https://A.example",
            "https://a.example:443",
            "https://a.example?x",
            "https://a.example#x",
            "https://u@a.example",
            "https://:p@a.example",
            "http://localhost.evil.example",
            "http://evillocalhost",
            "https://a.example/../b",
        ] {
            assert!(Issuer::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Issuer::parse("https://a.example:8443/t").unwrap().origin(), "https://a.example:8443");
    }

    #[test]
    fn an_origin_is_exactly_what_a_browser_sends() {
        for good in ["https://app.example.com", "http://localhost:3000", "https://[::1]:8443"] {
            assert_eq!(WebOrigin::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "*",
            "null",
            "https://*",
            "https://*.example.com",
            "https://app.example.com/",
            "https://app.example.com/x",
            "https://app.example.com:443",
            "https://App.example.com",
            "app.example.com",
            "file:///",
            "https://u@a.example",
            "capacitor://localhost",
            "https://a.example https://b.example",
        ] {
            assert!(WebOrigin::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn localhost_is_both_loopback_addresses() {
        let addresses = Listen::parse("localhost:0").unwrap().addresses();
        assert_eq!(addresses, ["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()]);
        for bad in [
            "localhost",
            "localhost:",
            "localhost:+1",
            "localhost:65536",
            ":8080",
            "8080",
            "example.com:80",
            "::1:80",
        ] {
            assert!(Listen::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn listeners_collide_on_one_port_of_one_host() {
        let collide = |one, two| Listen::parse(one).unwrap().collides_with(Listen::parse(two).unwrap());
        assert!(collide("localhost:80", "127.0.0.1:80"));
        assert!(collide("0.0.0.0:80", "127.0.0.1:80"));
        assert!(!collide("127.0.0.1:0", "127.0.0.1:0"));
        assert!(!collide("127.0.0.1:80", "127.0.0.2:80"));
    }

    #[test]
    fn a_network_has_no_bits_beyond_its_prefix() {
        assert!(network("10.0.0.0/8").is_ok() && network("10.1.2.3").is_ok() && network("fd00::/8").is_ok());
        assert_eq!(network("10.1.2.3/8").unwrap_err().right, "write \"10.0.0.0/8\"");
        assert!(network("10.0.0.0/33").is_err() && network("proxy").is_err());
    }
}
