//! Cutoffs: every session that began before one is over, be it everyone's or a client's.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::ids::{ClientNumber, SessionId};
use crate::session::EndReason;
use crate::time::UnixMillis;

/// Whose sessions a cutoff ends. Written as `everyone`, or as `c` and the client's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Whose {
    /// Everyone's.
    Everyone,
    /// Those of one client, of all users.
    Client(ClientNumber),
}

impl Whose {
    /// Why the sessions end.
    pub const fn reason(self) -> EndReason {
        match self {
            Self::Everyone => EndReason::SignedInBefore,
            Self::Client(_) => EndReason::RevokedByAdmin,
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("everyone"),
            Self::Client(client) => write!(f, "c{}", client.0),
        }
    }
}

/// A text that is no [`Whose`], or one of a kind that a later version has added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the cutoff of anybody known")]
pub struct InvalidWhose;

impl FromStr for Whose {
    type Err = InvalidWhose;

    fn from_str(text: &str) -> Result<Self, InvalidWhose> {
        let read = match text.strip_prefix('c') {
            Some(number) => Self::Client(ClientNumber(number.parse().map_err(|_| InvalidWhose)?)),
            None => Self::Everyone,
        };
        if read.to_string() == text { Ok(read) } else { Err(InvalidWhose) }
    }
}

/// The cutoff that counts for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutoff {
    /// Sessions that began before this are over.
    pub at: UnixMillis,
    /// Why.
    pub reason: EndReason,
}

impl Cutoff {
    /// No cutoff at all.
    pub const NONE: Self = Self { at: UnixMillis(0), reason: EndReason::SignedInBefore };

    /// Everyone's cutoff.
    pub const fn everyone(at: UnixMillis) -> Self {
        Self { at, reason: EndReason::SignedInBefore }
    }

    /// Why a session is over, if it is.
    pub fn end_of(self, session: SessionId) -> Option<EndReason> {
        (session.began_at() < self.at).then_some(self.reason)
    }

    /// When a session begins that begins now: not before the cutoff, though the clock may be behind it.
    pub fn begin_at(self, now: UnixMillis) -> UnixMillis {
        if now >= self.at { now } else { UnixMillis(self.at.0.saturating_add(1)) }
    }

    /// The earliest point before which all sessions began that have begun by now, in this millisecond too.
    pub fn after_all(self, now: UnixMillis) -> UnixMillis {
        UnixMillis(self.begin_at(now).0.saturating_add(1))
    }
}

impl Default for Cutoff {
    fn default() -> Self {
        Self::NONE
    }
}

/// All cutoffs that there are. None of them ever goes back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cutoffs {
    /// Everyone's; zero if there is none.
    pub everyone: UnixMillis,
    /// Those of clients.
    pub clients: BTreeMap<ClientNumber, UnixMillis>,
}

impl Cutoffs {
    /// What counts for the sessions of a client: the later one of everyone's and the client's own.
    pub fn of(&self, client: ClientNumber) -> Cutoff {
        let own = self.at(Whose::Client(client));
        if own > self.everyone {
            Cutoff { at: own, reason: Whose::Client(client).reason() }
        } else {
            Cutoff::everyone(self.everyone)
        }
    }

    /// One of the cutoffs; zero if there is none.
    pub fn at(&self, whose: Whose) -> UnixMillis {
        match whose {
            Whose::Everyone => self.everyone,
            Whose::Client(client) => self.clients.get(&client).copied().unwrap_or_default(),
        }
    }

    /// Raises one of them, unless it is as late already. Gives where it stands.
    pub fn raise(&mut self, whose: Whose, at: UnixMillis) -> UnixMillis {
        let own = match whose {
            Whose::Everyone => &mut self.everyone,
            Whose::Client(client) => self.clients.entry(client).or_default(),
        };
        *own = (*own).max(at);
        *own
    }

    /// Those that there are.
    pub fn iter(&self) -> impl Iterator<Item = (Whose, UnixMillis)> + '_ {
        let everyone = (self.everyone > UnixMillis(0)).then_some((Whose::Everyone, self.everyone));
        everyone.into_iter().chain(self.clients.iter().map(|(client, at)| (Whose::Client(*client), *at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: ClientNumber = ClientNumber(7);

    fn began_at(millis: u64) -> SessionId {
        crate::testing::session_began_at(UnixMillis(millis))
    }

    #[test]
    fn the_later_cutoff_counts_and_tells_its_reason() {
        let mut cutoffs = Cutoffs::default();
        assert_eq!(cutoffs.of(CLIENT), Cutoff::NONE);
        assert_eq!(cutoffs.of(CLIENT).end_of(began_at(0)), None);
        cutoffs.raise(Whose::Everyone, UnixMillis(50));
        cutoffs.raise(Whose::Client(CLIENT), UnixMillis(60));
        assert_eq!(cutoffs.of(CLIENT).end_of(began_at(59)), Some(EndReason::RevokedByAdmin));
        assert_eq!(cutoffs.of(CLIENT).end_of(began_at(60)), None);
        assert_eq!(cutoffs.of(ClientNumber(8)).end_of(began_at(49)), Some(EndReason::SignedInBefore));
        assert_eq!(cutoffs.of(ClientNumber(8)).end_of(began_at(50)), None);
        assert_eq!(cutoffs.raise(Whose::Everyone, UnixMillis(40)), UnixMillis(50), "it never goes back");
        cutoffs.raise(Whose::Everyone, UnixMillis(70));
        assert_eq!(cutoffs.of(CLIENT).end_of(began_at(59)), Some(EndReason::SignedInBefore));
    }

    #[test]
    fn a_session_that_begins_is_never_over_at_once() {
        let cutoff = Cutoff::everyone(UnixMillis(1000));
        for (now, begins) in [(999, 1001), (1000, 1000), (1001, 1001), (0, 1001)] {
            assert_eq!(cutoff.begin_at(UnixMillis(now)), UnixMillis(begins));
            assert_eq!(cutoff.end_of(began_at(begins)), None);
            let next = Cutoff::everyone(cutoff.after_all(UnixMillis(now)));
            assert!(next.end_of(began_at(begins)).is_some(), "by the next one it is");
        }
    }

    #[test]
    fn whose_it_is_is_written_in_one_form_only() {
        for whose in [Whose::Everyone, Whose::Client(CLIENT), Whose::Client(ClientNumber(u16::MAX))] {
            assert_eq!(whose.to_string().parse(), Ok(whose));
        }
        for wrong in ["", "c", "c07", "c+7", "c65536", "d7", "Everyone"] {
            assert_eq!(wrong.parse::<Whose>(), Err(InvalidWhose), "{wrong}");
        }
    }
}
