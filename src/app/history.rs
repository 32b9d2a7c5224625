//! History: what else happened to a session than its sign-in, ordinary refreshes and its end. Refreshes from elsewhere,
//! retries, lost races, heals and refused attempts are kept beside the session, the latest of them.
//!
//! They live apart from the session's record and details: only timelines read them, and a reuse that of its one session. How
//! much of them is kept is [`crate::store::histories`].
//!
//! Written after the answer, by a task of the node's own: no refresh waits for it. What repeats itself within a minute is
//! kept once and counted, so that nobody can push out what went before by repeating something.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use relatch_domain::ids::OriginTag;
use relatch_domain::rotation::Verdict;
use relatch_domain::{Generation, SessionRef, UnixMillis, UnixSeconds, UserId};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::App;
use super::origin::Origin;
use crate::store::{Party, StoredSession, is_zero};

/// Within what time the same is kept once.
const ONCE_IN: Duration = Duration::from_mins(1);
/// How many lines may wait to be written, and how many kinds of repetition are remembered.
const MOST: usize = 4096;
/// How many of them of one user: one who fills the histories of many sessions leaves room for others'.
const MOST_OF_A_USER: u32 = 64;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// It was refreshed from another network or with another agent than before.
    Moved,
    /// A refresh was repeated and got the same token again.
    Retried,
    /// Somebody with the same storage was quicker: nothing was minted.
    Superseded,
    /// The store had lost writes, and the record caught up.
    Healed,
    /// Its token was presented by another client, in another way or with another key: refused.
    Mismatched,
}

impl Happening {
    /// The name in timelines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Retried => "retried",
            Self::Superseded => "superseded",
            Self::Healed => "healed",
            Self::Mismatched => "mismatched",
        }
    }

    /// What a verdict leaves in the history, if anything. `moved` says whether it came from elsewhere than the one before.
    const fn of(verdict: Verdict, moved: bool) -> Option<Self> {
        match verdict {
            Verdict::Rotate if moved => Some(Self::Moved),
            Verdict::Retry => Some(Self::Retried),
            Verdict::Superseded => Some(Self::Superseded),
            Verdict::Heal => Some(Self::Healed),
            Verdict::Mismatch(_) => Some(Self::Mismatched),
            _ => None,
        }
    }
}

/// A line of a session's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When, in seconds since the Unix epoch, by the store's clock.
    pub at: u32,
    /// What.
    pub what: Happening,
    /// The generation of the token that was presented.
    pub generation: u32,
    /// Who.
    #[serde(flatten)]
    pub party: Party,
    /// How many times the same has happened before, since the last line that says so.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u32,
}

impl Line {
    /// When.
    pub const fn time(&self) -> UnixSeconds {
        UnixSeconds(self.at)
    }
}

/// Those lines of a session's history that this version can read.
pub fn lines(history: &[String]) -> Vec<Line> {
    history.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Who was the last to get a token of this session, if what is kept of it and its history tells.
pub(super) fn last_holder(stored: &StoredSession, history: &[String]) -> Option<Party> {
    let signed_in =
        Party { address: stored.details.address.clone(), user_agent: stored.details.user_agent.clone() };
    let seen = lines(history).into_iter().rev().map(|line| line.party).chain([signed_in]);
    let tag = |party: &Party| {
        let address = party.address.as_ref().and_then(|address| address.parse().ok());
        Origin { address, user_agent: party.user_agent.clone(), ..Origin::default() }.tag()
    };
    seen.into_iter().find(|party| tag(party) == stored.record.origin)
}

/// What a node has to write into histories.
#[derive(Debug)]
pub struct Histories {
    lines: mpsc::Sender<(SessionRef, Line)>,
    /// Until somebody writes them.
    waiting: Mutex<Option<mpsc::Receiver<(SessionRef, Line)>>>,
    repeated: Mutex<Repeated>,
    of_users: Mutex<OfUsers>,
}

/// How many lines of each user wait.
#[derive(Debug, Default)]
struct OfUsers {
    waiting: HashMap<UserId, u32>,
    /// When it was last told that some are lost.
    told: Option<UnixMillis>,
}

impl OfUsers {
    /// Takes one more, if there is room.
    fn take(&mut self, user: UserId) -> bool {
        let waiting = self.waiting.entry(user).or_default();
        let has_room = *waiting < MOST_OF_A_USER;
        *waiting += u32::from(has_room);
        has_room
    }

    /// One has been written, or is lost.
    fn release(&mut self, user: UserId) {
        if let Some(waiting) = self.waiting.get_mut(&user) {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                self.waiting.remove(&user);
            }
        }
    }

    /// Whether it is to be told now that some are lost: once in a while.
    fn is_to_be_told(&mut self, now: UnixMillis) -> bool {
        let is_due = self.told.is_none_or(|told| !now.is_within(ONCE_IN, told));
        if is_due {
            self.told = Some(now);
        }
        is_due
    }
}

type Repetition = (SessionRef, Happening, OriginTag);

/// When each was last kept, and how many times it has happened since.
#[derive(Debug, Default)]
struct Repeated(HashMap<Repetition, (UnixMillis, u32)>);

impl Repeated {
    /// How many there were since the last that was kept, if this one is to be kept.
    fn keeps(&mut self, what: Repetition, now: UnixMillis) -> Option<u32> {
        if self.0.len() >= MOST {
            self.0.retain(|_, (kept, _)| now.is_within(ONCE_IN, *kept));
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        match self.0.get_mut(&what) {
            Some((kept, since)) if now.is_within(ONCE_IN, *kept) => {
                *since = since.saturating_add(1);
                None
            }
            _ => Some(self.0.insert(what, (now, 0)).map_or(0, |(_, since)| since)),
        }
    }
}

impl Default for Histories {
    fn default() -> Self {
        let (lines, waiting) = mpsc::channel(MOST);
        let waiting = Mutex::new(Some(waiting));
        Self { lines, waiting, repeated: Mutex::default(), of_users: Mutex::default() }
    }
}

/// A refresh as the history has it.
pub(super) struct Presented {
    pub(super) session: SessionRef,
    pub(super) generation: Generation,
    pub(super) verdict: Verdict,
    /// Whether the refresh before came from elsewhere.
    pub(super) moved: bool,
    pub(super) now: UnixMillis,
}

impl App {
    /// Has a refresh written into the session's history, if it belongs there. Waits for nothing.
    pub(super) fn remember_refresh(&self, origin: &Origin, presented: &Presented) {
        let Presented { session, generation, verdict, moved, now } = *presented;
        let Some(what) = Happening::of(verdict, moved) else { return };
        let histories = &self.node.histories;
        let mut repeated = histories.repeated.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(more) = repeated.keeps((session, what, origin.tag()), now) else { return };
        drop(repeated);
        let party = Party { address: origin.shown_address(), user_agent: origin.user_agent.clone() };
        let line = Line { at: now.seconds().0, what, generation: generation.0, party, more };
        let mut of_users = histories.of_users();
        let is_taken = of_users.take(session.user);
        if is_taken && histories.lines.try_send((session, line)).is_ok() {
            return;
        }
        if is_taken {
            of_users.release(session.user);
        }
        if of_users.is_to_be_told(now) {
            drop(of_users);
            tracing::warn!(%session, "the store takes histories too slowly; some lines are in the log alone");
        }
    }
}

impl Histories {
    fn of_users(&self) -> MutexGuard<'_, OfUsers> {
        self.of_users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what is to be written into histories. Never ends.
pub async fn write_histories(app: &App) {
    let waiting = app.node.histories.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(mut waiting) = waiting else { return };
    while let Some((session, line)) = waiting.recv().await {
        let text = serde_json::to_string(&line).unwrap_or_default();
        if let Err(error) = app.store.append_history(session, &text).await {
            tracing::warn!(%error, %session, what = line.what.name(), "not kept in the session's history");
        }
        app.node.histories.of_users().release(session.user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::histories::is_line;
    use crate::store::{EndNote, SessionDetails};
    use relatch_domain::testing::live_record;
    use relatch_domain::{SessionId, UserId};

    #[test]
    fn what_repeats_itself_is_kept_once_a_minute_and_counted() {
        let session =
            SessionRef { user: UserId::from_bytes([1; 16]), session: SessionId::from_bytes([2; 16]) };
        let mut repeated = Repeated::default();
        let mut at = |what, seconds: u64| {
            repeated.keeps((session, what, OriginTag(7)), UnixMillis(1_000_000 + seconds * 1000))
        };
        assert_eq!(at(Happening::Retried, 0), Some(0));
        assert_eq!(at(Happening::Retried, 1), None);
        assert_eq!(at(Happening::Superseded, 2), Some(0));
        assert_eq!(at(Happening::Retried, 59), None);
        assert_eq!(at(Happening::Retried, 60), Some(2));
        assert_eq!(at(Happening::Retried, 200), Some(0));
    }

    #[test]
    fn the_longest_line_can_be_kept() {
        let party = Party {
            address: Some("ffff:".repeat(7) + "ffff"),
            user_agent: Some("\"".repeat(Origin::MAX_AGENT)),
        };
        let (at, generation, more) = (u32::MAX, u32::MAX, u32::MAX);
        let line = Line { at, what: Happening::Mismatched, generation, party, more };
        assert!(is_line(&serde_json::to_string(&line).unwrap()));
    }

    #[test]
    fn one_user_leaves_room_for_others() {
        let mut of_users = OfUsers::default();
        let (noisy, quiet) = (UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        assert_eq!((0..1000).filter(|_| of_users.take(noisy)).count(), 64);
        assert!(of_users.take(quiet));
        of_users.release(noisy);
        assert!(of_users.take(noisy) && !of_users.take(noisy));
        (0..64).for_each(|_| of_users.release(noisy));
        of_users.release(quiet);
        assert!(of_users.waiting.is_empty());
        let told = [0, 1, 59_000, 60_001].map(|after| of_users.is_to_be_told(UnixMillis(1_000_000 + after)));
        assert_eq!(told, [true, false, false, true]);
    }

    #[test]
    fn the_last_holder_is_whom_the_record_names() {
        let party = |address: &str| Party { address: Some(address.into()), user_agent: Some("app/1".into()) };
        let tag = |address: &str| {
            let user_agent = Some("app/1".to_owned());
            Origin { address: address.parse().ok(), user_agent, ..Origin::default() }.tag()
        };
        let line =
            Line { at: 9, what: Happening::Moved, generation: 3, party: party("198.51.100.7"), more: 0 };
        let mut stored = StoredSession {
            id: SessionId::from_bytes([7; 16]),
            record: live_record(UnixSeconds(1000)),
            details: SessionDetails {
                address: Some("192.0.2.1".into()),
                user_agent: Some("app/1".into()),
                ..SessionDetails::default()
            },
            note: EndNote::default(),
        };
        let history = ["not JSON".to_owned(), serde_json::to_string(&line).unwrap()];
        assert_eq!(lines(&history), std::slice::from_ref(&line));
        for address in ["192.0.2.1", "198.51.100.7"] {
            stored.record.origin = tag(address);
            assert_eq!(last_holder(&stored, &history), Some(party(address)));
        }
        stored.record.origin = tag("203.0.113.9");
        assert_eq!(last_holder(&stored, &history), None, "whoever it was is not in what is kept");
    }
}
