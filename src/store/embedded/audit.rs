//! Audit records: two trails, each in the order in which its records came.
//!
//! The records of a trail are numbered without gaps, so the first and the last one tell how many there are.

use redb::ReadableTable;
use relatch_domain::UnixMillis;

use super::tables::{AuditKey, Failure, Snapshot, Tables};
use crate::store::{EntryId, Trail, TrailEntry};

/// How many of the oldest records go at once. More than one, so that a trail shrinks to a limit that was lowered.
const TRIM_AT_ONCE: u64 = 16;

/// See [`crate::store::Store::append_audit`].
pub(super) fn append(
    tables: &mut Tables<'_>,
    now: UnixMillis,
    trail: Trail,
    record: &[u8],
    keep: usize,
) -> Result<(), Failure> {
    let (first, last) = ends(tables, trail)?;
    let id = last.map_or(EntryId { millis: now.0, seq: 0 }, |last| EntryId {
        // A clock that went back must not put a later record before an earlier one.
        millis: last.millis.max(now.0),
        seq: last.seq.saturating_add(1),
    });
    tables.audit.insert(&key_of(trail, id), record)?;
    let count = id.seq.saturating_sub(first.unwrap_or(id).seq).saturating_add(1);
    let surplus = count.saturating_sub(u64::try_from(keep).unwrap_or(u64::MAX)).min(TRIM_AT_ONCE);
    trim(tables, trail, surplus)
}

fn trim(tables: &mut Tables<'_>, trail: Trail, surplus: u64) -> Result<(), Failure> {
    for _ in 0..surplus {
        let oldest = tables.audit.range::<&AuditKey>(&start_of(trail)..&end_of(trail))?.next();
        let Some(oldest) = oldest.transpose()?.map(|(key, _)| *key.value()) else { break };
        tables.audit.remove(&oldest)?;
    }
    Ok(())
}

/// The first and the last record's place.
fn ends(tables: &Tables<'_>, trail: Trail) -> Result<(Option<EntryId>, Option<EntryId>), Failure> {
    let mut all = tables.audit.range::<&AuditKey>(&start_of(trail)..&end_of(trail))?;
    let last = all.next_back().transpose()?.map(|(key, _)| id_of(key.value()));
    let first = all.next().transpose()?.map(|(key, _)| id_of(key.value()));
    Ok((first.or(last), last))
}

/// See [`crate::store::Store::audit`].
pub(super) fn page(
    snapshot: &Snapshot,
    trail: Trail,
    before: Option<EntryId>,
    limit: usize,
) -> Result<Vec<TrailEntry>, Failure> {
    let end = before.map_or_else(|| end_of(trail), |id| key_of(trail, id));
    let entries = snapshot.audit.range::<&AuditKey>(&start_of(trail)..&end)?;
    let read = |entry: Result<_, redb::StorageError>| {
        let (key, record): (redb::AccessGuard<'_, &AuditKey>, redb::AccessGuard<'_, &[u8]>) = entry?;
        Ok(TrailEntry { id: id_of(key.value()), record: record.value().to_vec() })
    };
    entries.rev().take(limit).map(read).collect()
}

const fn byte_of(trail: Trail) -> u8 {
    match trail {
        Trail::Acts => 0,
        Trail::Refused => 1,
        Trail::Reads => 2,
    }
}

fn key_of(trail: Trail, id: EntryId) -> AuditKey {
    let mut key = [byte_of(trail); 17];
    let parts = [id.millis.to_be_bytes(), id.seq.to_be_bytes()];
    key.iter_mut().skip(1).zip(parts.as_flattened()).for_each(|(to, from)| *to = *from);
    key
}

fn id_of(key: &AuditKey) -> EntryId {
    let (mut millis, mut seq) = ([0; 8], [0; 8]);
    millis.iter_mut().chain(&mut seq).zip(key.iter().skip(1)).for_each(|(to, from)| *to = *from);
    EntryId { millis: u64::from_be_bytes(millis), seq: u64::from_be_bytes(seq) }
}

fn start_of(trail: Trail) -> AuditKey {
    key_of(trail, EntryId { millis: 0, seq: 0 })
}

/// Behind every record that there can be.
fn end_of(trail: Trail) -> AuditKey {
    key_of(trail, EntryId { millis: u64::MAX, seq: u64::MAX })
}
