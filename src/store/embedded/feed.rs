//! The feed of revocations: those of the last hour, in the order in which they came.

use redb::ReadableTable;
use relatch_domain::UnixMillis;
use relatch_domain::revocation::Revocation;

use super::tables::{Failure, FeedKey, Snapshot, Tables};
use crate::store::{EntryId, FEED_KEEPS, FeedEntry};

/// See [`crate::store::Store::announce`].
pub(super) fn announce(
    tables: &mut Tables<'_>,
    now: UnixMillis,
    revocations: &[Revocation],
) -> Result<(), Failure> {
    let last = tables.feed.last()?.map(|(key, _)| id_of(key.value()));
    let mut id = EntryId { millis: now.0, seq: 0 };
    if let Some(last) = last {
        id = EntryId { millis: last.millis.max(now.0), seq: last.seq };
    }
    for revocation in revocations {
        id.seq = id.seq.saturating_add(1);
        tables.feed.insert(&key_of(id), revocation.to_string().as_str())?;
    }
    let kept = u64::try_from(FEED_KEEPS.as_millis()).unwrap_or(u64::MAX);
    let earliest = key_of(EntryId { millis: now.0.saturating_sub(kept), seq: 0 });
    while tables.feed.first()?.is_some_and(|(key, _)| *key.value() < earliest) {
        tables.feed.pop_first()?;
    }
    Ok(())
}

/// See [`crate::store::Store::announced`].
pub(super) fn announced(
    snapshot: &Snapshot,
    after: Option<EntryId>,
    limit: usize,
) -> Result<Vec<FeedEntry>, Failure> {
    let start = after.map_or([0; 16], key_of);
    let entries = snapshot.feed.range::<&FeedKey>(&start..)?;
    let read = |entry: Result<_, redb::StorageError>| {
        let (key, text): (redb::AccessGuard<'_, &FeedKey>, redb::AccessGuard<'_, &str>) = entry?;
        Ok(FeedEntry { id: id_of(key.value()), revocation: text.value().parse().ok() })
    };
    let is_after =
        |entry: &Result<FeedEntry, Failure>| entry.as_ref().map_or(true, |entry| Some(entry.id) != after);
    entries.map(read).filter(is_after).take(limit).collect()
}

fn key_of(id: EntryId) -> FeedKey {
    let mut key = [0; 16];
    let parts = [id.millis.to_be_bytes(), id.seq.to_be_bytes()];
    key.iter_mut().zip(parts.as_flattened()).for_each(|(to, from)| *to = *from);
    key
}

fn id_of(key: &FeedKey) -> EntryId {
    let (mut millis, mut seq) = ([0; 8], [0; 8]);
    millis.iter_mut().chain(&mut seq).zip(key).for_each(|(to, from)| *to = *from);
    EntryId { millis: u64::from_be_bytes(millis), seq: u64::from_be_bytes(seq) }
}
