//! The journal: what has been announced and recorded, and the operations that are not finished yet.
//!
//! It lies in one place of the store (one slot of a Redis Cluster), so that one atomic write opens or closes an
//! operation, adds entries to the log of revocations and adds the audit records that belong to them. Why it is made so
//! is decision 0025; a model searches the protocol that uses it exhaustively.

use std::time::Duration;

use relatch_domain::revocation::Revocation;
use relatch_domain::{OperationId, UnixMillis};

use super::EntryId;

/// A write to the journal: all of it or nothing. Repeated after an error it adds nothing twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalWrite {
    /// An operation to open, and what any node has to know to finish it. One that is open already stays as it is.
    pub open: Option<(OperationId, Vec<u8>)>,
    /// An operation to close.
    pub close: Option<OperationId>,
    /// Revocations for the log. One whose subject has a live entry is not added, nor is its audit record.
    pub entries: Vec<NewEntry>,
    /// Audit records. Not added with an operation to close that is not open: they have been added already.
    pub records: Vec<Vec<u8>>,
    /// How long the longest-lived access token of this node lives, and some time more.
    pub lifetime: Duration,
    /// How many audit records are kept at the least.
    pub audit_keep: usize,
}

impl JournalWrite {
    /// Whether it does nothing but close an operation. Should that be lost, somebody closes it once more.
    pub const fn only_closes(&self) -> bool {
        self.close.is_some() && self.open.is_none() && self.entries.is_empty() && self.records.is_empty()
    }
}

/// A revocation for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// What is revoked.
    pub revocation: Revocation,
    /// The audit record of it.
    pub record: Option<Vec<u8>>,
}

impl NewEntry {
    /// An entry of which no audit record is kept: there is one already.
    pub const fn unrecorded(revocation: Revocation) -> Self {
        Self { revocation, record: None }
    }
}

/// What came of a write to the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalWritten {
    /// The store's time.
    pub now: UnixMillis,
    /// Until when the entries stay in the log at the least: as long as an access token can live that was issued by any
    /// node before now.
    pub until: UnixMillis,
    /// Whether the operation to close was open until now.
    pub closed: bool,
    /// Whether as many replicas have the write as the configuration asks for.
    pub durable: bool,
}

/// What the journal holds, from some entry of the log on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalPage {
    /// The store's time.
    pub now: UnixMillis,
    /// Entries of the log, the earliest first.
    pub entries: Vec<LogEntry>,
    /// All operations that are open, in the order of their ids.
    pub operations: Vec<OpenOperation>,
}

/// An entry of the log of revocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place.
    pub id: EntryId,
    /// Until when it stays.
    pub until: UnixMillis,
    /// What it says; nothing if it is of a kind that this version does not know.
    pub revocation: Option<Revocation>,
    /// The audit record that was kept with it, so that a log that loses the entry can be given both again.
    pub record: Option<Vec<u8>>,
}

/// An operation that was opened and not closed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOperation {
    /// Its id.
    pub id: OperationId,
    /// When it was opened, by the store's clock.
    pub opened_at: UnixMillis,
    /// What any node has to know to finish it.
    pub form: Vec<u8>,
}

/// How long an entry stays in the log at the least, however short access tokens live: a store that loses its last
/// writes gets them again from nodes that remember them.
pub const LOG_KEEPS: Duration = Duration::from_hours(1);

/// What is added to the lifetime of access tokens: clocks of servers that check them may differ.
const SLACK: Duration = Duration::from_mins(2);

/// How long entries are kept for access tokens that live so long.
pub fn kept_for(longest_token: Duration) -> Duration {
    longest_token.saturating_add(SLACK).max(LOG_KEEPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_outlives_the_longest_token_and_stays_for_an_hour_at_the_least() {
        assert_eq!(kept_for(Duration::from_mins(15)), LOG_KEEPS);
        assert_eq!(kept_for(Duration::from_hours(3)), Duration::from_mins(182));
        assert_eq!(kept_for(Duration::MAX), Duration::MAX);
    }
}
