//! Who asks for something, and where from.

use std::net::{IpAddr, Ipv6Addr};

use aws_lc_rs::digest;
use relatch_domain::UserId;
use relatch_domain::event::Actor;
use relatch_domain::ids::OriginTag;
use uuid::Uuid;

use crate::store::EndNote;
use crate::telemetry::request::Told;

/// Who is calling, from what address and with what agent, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// Whether others may be behind the address.
    pub is_shared: bool,
    /// Its `User-Agent`, cut to [`Origin::MAX_AGENT`] bytes.
    pub user_agent: Option<String>,
    /// Who is calling.
    pub actor: Actor,
    /// The id of the request, by which its log lines, its problem and its audit record find one another.
    pub request_id: Option<Uuid>,
    /// Whether an audit record tells of this request already.
    pub told: Told,
}

impl Origin {
    /// How much of a `User-Agent` is kept, in bytes.
    pub const MAX_AGENT: usize = 256;

    /// Someone at the command line of the server's machine.
    pub fn operator() -> Self {
        Self { actor: Actor::Operator, ..Self::default() }
    }

    /// The server itself.
    pub fn server() -> Self {
        Self { actor: Actor::Server, ..Self::default() }
    }

    /// The same, now that it is known who is calling.
    #[must_use]
    pub fn by(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    /// The address as it is shown: IPv4 as such, however it came.
    pub fn shown_address(&self) -> Option<String> {
        self.canonical_address().map(|address| address.to_string())
    }

    /// The address: IPv4 as such, however it came.
    pub fn canonical_address(&self) -> Option<IpAddr> {
        self.address.map(|address| address.to_canonical())
    }

    /// What is kept about the end of sessions that somebody here ends: of sessions of this user, if it is one user's.
    pub fn end_note(&self, user: Option<UserId>, text: Option<String>) -> EndNote {
        let by_its_user = matches!(self.actor, Actor::User(session) if Some(session.user) == user);
        EndNote {
            text,
            address: self.shown_address(),
            user_agent: self.user_agent.clone(),
            by_its_user,
            other: None,
        }
    }

    /// A short hash of address block and agent. Equal for the same device in the same network, so that a session
    /// can tell a changed origin from the usual one without keeping either.
    pub fn tag(&self) -> OriginTag {
        let mut context = digest::Context::new(&digest::SHA256);
        match self.address.map(|address| address.to_canonical()) {
            // Providers hand out IPv4 by /24 and IPv6 by /64 or wider.
            Some(IpAddr::V4(v4)) => context.update(v4.octets().get(..3).unwrap_or_default()),
            Some(IpAddr::V6(v6)) => context.update(v6.octets().get(..8).unwrap_or_default()),
            None => {}
        }
        context.update(b"\0");
        context.update(self.user_agent.as_deref().unwrap_or_default().as_bytes());
        let hash = context.finish();
        OriginTag(hash.as_ref().first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes)))
    }
}

/// What counts as one caller: an address or, of IPv6, the network (/64) that one household or machine has to itself.
pub fn one_caller(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(address: &str, agent: &str) -> OriginTag {
        let (address, user_agent) = (address.parse().ok(), Some(agent.to_owned()));
        Origin { address, user_agent, ..Origin::default() }.tag()
    }

    #[test]
    fn the_tag_is_the_same_within_one_network_and_agent() {
        assert_eq!(tag("192.0.2.1", "app/1"), tag("192.0.2.200", "app/1"));
        assert_eq!(tag("2001:db8::1", "app/1"), tag("2001:db8::ffff", "app/1"));
        assert_eq!(tag("192.0.2.1", "app/1"), tag("::ffff:192.0.2.1", "app/1"));
        assert_ne!(tag("192.0.2.1", "app/1"), tag("192.0.3.1", "app/1"));
        assert_ne!(tag("192.0.2.1", "app/1"), tag("192.0.2.1", "app/2"));
    }
}
