//! Who asks for something, and where from.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest;
use relatch_domain::event::Actor;
use relatch_domain::ids::OriginTag;
use relatch_domain::rotation::Verdict;
use relatch_domain::{Generation, SessionRef, UserId};

use crate::store::EndNote;

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
    pub request_id: Option<String>,
    /// Whether an audit record tells of this request already.
    pub told: Told,
}

/// What has been told of a request already, and what is left for the line that the log has of it in any case. Clones
/// share it, as do all who speak in the name of one request.
#[derive(Debug, Clone, Default)]
pub struct Told(Arc<Tale>);

#[derive(Debug, Default)]
struct Tale {
    recorded: AtomicBool,
    rotation: OnceLock<Rotation>,
    written: AtomicBool,
}

impl Drop for Tale {
    /// A client that goes away before it is answered leaves its request without a line.
    fn drop(&mut self) {
        if !*self.written.get_mut()
            && let Some(Rotation { session, generation: Generation(generation), address }) =
                self.rotation.get()
        {
            let (verdict, address) = (Verdict::Rotate.name(), address.as_deref());
            tracing::info!(event = "refresh", %session, generation, verdict, address, "refreshed");
        }
    }
}

/// An ordinary refresh: what its request's line says of it, instead of a line of its own.
#[derive(Debug)]
pub struct Rotation {
    /// Of which session.
    pub session: SessionRef,
    /// Which token was presented.
    pub generation: Generation,
    /// From where, as it is shown.
    pub address: Option<String>,
}

impl Told {
    /// An audit record has been kept.
    pub(super) fn set(&self) {
        self.0.recorded.store(true, Ordering::Relaxed);
    }

    /// Whether an audit record has been kept.
    pub fn is_set(&self) -> bool {
        self.0.recorded.load(Ordering::Relaxed)
    }

    /// Leaves an ordinary refresh to the request's line.
    pub fn leave(&self, rotation: Rotation) {
        // A request refreshes once.
        let _ = self.0.rotation.set(rotation);
    }

    /// What is left to the request's line, which is being written.
    pub fn rotation(&self) -> Option<&Rotation> {
        self.0.written.store(true, Ordering::Relaxed);
        self.0.rotation.get()
    }
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
        self.address.map(|address| address.to_canonical().to_string())
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
