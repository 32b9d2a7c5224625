//! The journal: the log of revocations in the order in which they came, the open operations, and with each write the audit
//! records that belong to it.

use redb::{ReadableTable, ReadableTableMetadata as _};
use relatch_domain::{OperationId, UnixMillis};

use super::audit;
use super::tables::{Failure, LogKey, Snapshot, Tables};
use crate::store::{
    EntryId, JournalPage, JournalWrite, JournalWritten, LogEntry, NewEntry, OpenOperation, Trail,
};

/// How many entries go at once that are too old: the writer must not be held up.
const TRIM_AT_ONCE: usize = 64;

/// See [`crate::store::Store::write_journal`].
pub(super) fn write(
    tables: &mut Tables<'_>,
    now: UnixMillis,
    write: &JournalWrite,
) -> Result<JournalWritten, Failure> {
    let lifetime = u64::try_from(write.lifetime.as_millis()).unwrap_or(u64::MAX);
    let until = UnixMillis(now.0.saturating_add(longest_lifetime(tables, now, lifetime)?));
    trim(tables, now)?;
    let closed = match write.close {
        Some(id) => tables.operations.remove(id.as_bytes())?.is_some(),
        None => false,
    };
    let keep = |tables: &mut Tables<'_>, record: &[u8]| {
        audit::append(tables, now, Trail::Acts, record, write.audit_keep)
    };
    for entry in &write.entries {
        if add(tables, now, until, entry)?
            && let Some(record) = &entry.record
        {
            keep(tables, record)?;
        }
    }
    if write.close.is_none() || closed {
        write.records.iter().try_for_each(|record| keep(tables, record))?;
    }
    if let Some((id, form)) = &write.open
        && tables.operations.get(id.as_bytes())?.is_none()
    {
        tables.operations.insert(id.as_bytes(), (now.0, form.as_slice()))?;
    }
    Ok(JournalWritten { now, until, closed, durable: true })
}

/// A lifetime counts until the last token that was issued with it has expired.
fn longest_lifetime(tables: &mut Tables<'_>, now: UnixMillis, own: u64) -> Result<u64, Failure> {
    tables.lifetimes.insert(own, now.0)?;
    let mut longest = own;
    if tables.lifetimes.len()? > 1 {
        let counts = |lifetime: u64, said: u64| said.saturating_add(lifetime) > now.0;
        tables.lifetimes.retain(counts)?;
        longest = tables.lifetimes.last()?.map_or(own, |(lifetime, _)| lifetime.value()).max(own);
    }
    Ok(longest)
}

fn trim(tables: &mut Tables<'_>, now: UnixMillis) -> Result<(), Failure> {
    for _ in 0..TRIM_AT_ONCE {
        let Some((_, first)) = tables.log.first()? else { return Ok(()) };
        let entry = read(EntryId { millis: 0, seq: 0 }, &first);
        drop(first);
        if entry.until > now {
            return Ok(());
        }
        tables.log.pop_first()?;
        if let Some(revocation) = entry.revocation {
            tables.subjects.remove(revocation.subject().as_str())?;
        }
    }
    Ok(())
}

/// Adds an entry, unless its subject has one.
fn add(tables: &mut Tables<'_>, now: UnixMillis, until: UnixMillis, new: &NewEntry) -> Result<bool, Failure> {
    let subject = new.revocation.subject();
    if tables.subjects.insert(subject.as_str(), ())?.is_some() {
        return Ok(false);
    }
    let last = tables.log.last()?.map(|(key, _)| id_of(key.value()));
    let id = last.map_or(EntryId { millis: now.0, seq: 1 }, |last| EntryId {
        // A clock that went back must not put a later entry before an earlier one.
        millis: last.millis.max(now.0),
        seq: last.seq.saturating_add(1),
    });
    let (line, record) = (new.revocation.to_string(), new.record.as_deref().unwrap_or_default());
    tables.log.insert(&key_of(id), (until.0, line.as_str(), record))?;
    Ok(true)
}

/// See [`crate::store::Store::journal`].
pub(super) fn journal(
    snapshot: &Snapshot,
    now: UnixMillis,
    after: Option<EntryId>,
    limit: usize,
) -> Result<JournalPage, Failure> {
    let start = after.map_or([0; 16], key_of);
    let mut entries = Vec::new();
    for entry in snapshot.log.range::<&LogKey>(&start..)? {
        if entries.len() == limit {
            break;
        }
        let (key, text) = entry?;
        let id = id_of(key.value());
        if Some(id) != after {
            entries.push(read(id, &text));
        }
    }
    let operations = snapshot.operations.iter()?.map(|entry| {
        let (id, kept) = entry?;
        let (opened_at, form) = kept.value();
        let (id, opened_at) = (OperationId::from_bytes(*id.value()), UnixMillis(opened_at));
        Ok(OpenOperation { id, opened_at, form: form.to_vec() })
    });
    let operations = operations.collect::<Result<_, Failure>>()?;
    Ok(JournalPage { now, entries, operations })
}

fn read(id: EntryId, kept: &redb::AccessGuard<'_, (u64, &'static str, &'static [u8])>) -> LogEntry {
    let (until, line, record) = kept.value();
    let record = Some(record.to_vec()).filter(|record| !record.is_empty());
    LogEntry { id, until: UnixMillis(until), revocation: line.parse().ok(), record }
}

fn key_of(id: EntryId) -> LogKey {
    let mut key = [0; 16];
    let parts = [id.millis.to_be_bytes(), id.seq.to_be_bytes()];
    key.iter_mut().zip(parts.as_flattened()).for_each(|(to, from)| *to = *from);
    key
}

fn id_of(key: &LogKey) -> EntryId {
    let (mut millis, mut seq) = ([0; 8], [0; 8]);
    millis.iter_mut().chain(&mut seq).zip(key).for_each(|(to, from)| *to = *from);
    EntryId { millis: u64::from_be_bytes(millis), seq: u64::from_be_bytes(seq) }
}
