//! By which names a listener may be asked.
//!
//! A page of somebody else's may give its own name the address of a listener that only this machine reaches, and read what
//! that answers (DNS rebinding). The browser names the page's host then.

use std::net::IpAddr;

use actix_web::http::uri::Authority;

/// Names of hosts, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// These names, besides `localhost` and all addresses.
    pub fn new(names: &[String]) -> Self {
        Self(names.to_vec())
    }

    /// Whether the field `Host` has one of them, with any port.
    pub fn admit(&self, host: &[u8]) -> bool {
        let Ok(authority) = Authority::try_from(host) else { return false };
        let name = authority.host().to_ascii_lowercase();
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(&name);
        bare.parse::<IpAddr>().is_ok() || name == "localhost" || self.0.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_the_listed_names_are_admitted() {
        let hosts = Hosts::new(&["relatch".to_owned()]);
        for good in [
            "localhost:9090",
            "LOCALHOST",
            "127.0.0.1:9090",
            "10.1.2.3",
            "[::1]:9090",
            "[::1]",
            "Relatch:9090",
        ] {
            assert!(hosts.admit(good.as_bytes()), "{good}");
        }
        for bad in ["rebound.example:9090", "relatch.example", "localhost.example", "", "127.0.0.1.example"] {
            assert!(!hosts.admit(bad.as_bytes()), "{bad}");
        }
    }
}
