//! The reference for the journal of a store: lists and maps.

use std::collections::{BTreeMap, BTreeSet};

use relatch::store::{EntryId, JournalPage, JournalWrite, JournalWritten, LogEntry, OpenOperation};
use relatch_domain::{OperationId, UnixMillis};

/// A journal in memory.
#[derive(Debug, Default)]
pub(crate) struct ModelJournal {
    log: Vec<LogEntry>,
    subjects: BTreeSet<String>,
    operations: BTreeMap<OperationId, OpenOperation>,
    /// How long tokens live, and when that was last said.
    lifetimes: BTreeMap<u64, UnixMillis>,
}

impl ModelJournal {
    /// Carries a write out, and gives the audit records to keep.
    pub(crate) fn write(&mut self, write: &JournalWrite, now: UnixMillis) -> (JournalWritten, Vec<Vec<u8>>) {
        let lifetime = u64::try_from(write.lifetime.as_millis()).expect("a short lifetime");
        self.lifetimes.insert(lifetime, now);
        self.lifetimes.retain(|lifetime, said| said.0 + lifetime > now.0 || said.0 == now.0);
        let longest = self.lifetimes.keys().last().copied().unwrap_or_default();
        let until = UnixMillis(now.0 + longest);
        self.trim(now);
        let closed = write.close.is_some_and(|id| self.operations.remove(&id).is_some());
        let mut records = Vec::new();
        for entry in &write.entries {
            if self.subjects.insert(entry.revocation.subject()) {
                let id = self.next_id(now);
                let (revocation, record) = (Some(entry.revocation.clone()), entry.record.clone());
                self.log.push(LogEntry { id, until, revocation, record });
                records.extend(entry.record.clone());
            }
        }
        if write.close.is_none() || closed {
            records.extend(write.records.iter().cloned());
        }
        if let Some((id, form)) = &write.open {
            let open = OpenOperation { id: *id, opened_at: now, form: form.clone() };
            self.operations.entry(*id).or_insert(open);
        }
        (JournalWritten { now, until, closed, durable: true }, records)
    }

    fn trim(&mut self, now: UnixMillis) {
        for _ in 0..64 {
            if self.log.first().is_none_or(|first| first.until > now) {
                return;
            }
            let gone = self.log.remove(0);
            self.subjects.remove(&gone.revocation.expect("our own entries").subject());
        }
    }

    fn next_id(&self, now: UnixMillis) -> EntryId {
        let last = self.log.last().map(|last| last.id);
        last.map_or(EntryId { millis: now.0, seq: 0 }, |last| EntryId {
            millis: last.millis.max(now.0),
            seq: last.seq + 1,
        })
    }

    /// What it holds, from an entry on.
    pub(crate) fn page(&self, now: UnixMillis, after: Option<EntryId>, limit: usize) -> JournalPage {
        let later = self.log.iter().filter(|entry| after.is_none_or(|after| entry.id > after));
        JournalPage {
            now,
            entries: later.take(limit).cloned().collect(),
            operations: self.operations.values().cloned().collect(),
        }
    }
}
