//! The shelf of signing keys, the marker that identifies the store, and the cutoffs.

use redb::ReadableTable;
use relatch_domain::UnixMillis;
use relatch_domain::cutoff::{Cutoffs, Whose};

use super::tables::{Failure, Snapshot, Tables};
use crate::store::{CutoffRaised, KeyShelf, Marker, StoredKey};

/// The shelf's version, big-endian. Absent for an empty shelf.
const KEYS_VERSION: &str = "keys_version";
/// The store's [`Marker`], JSON.
const MARKER: &str = "marker";
/// Before the words that say whose a cutoff is. In milliseconds, big-endian; absent until it was first raised.
const CUTOFF: &str = "cutoff ";

/// See [`crate::store::Store::keys`].
pub(super) fn keys(snapshot: &Snapshot) -> Result<KeyShelf, Failure> {
    let keys = snapshot
        .keys
        .iter()?
        .map(|entry| {
            let (id, sealed) = entry?;
            Ok(StoredKey { id: id.value().to_owned(), sealed: sealed.value().to_vec() })
        })
        .collect::<Result<_, Failure>>()?;
    Ok(KeyShelf { version: version(&snapshot.meta)?, keys })
}

/// See [`crate::store::Store::put_key`].
pub(super) fn put_key(tables: &mut Tables<'_>, expected: u64, key: &StoredKey) -> Result<bool, Failure> {
    if version(&tables.meta)? != expected {
        return Ok(false);
    }
    tables.keys.insert(key.id.as_str(), key.sealed.as_slice())?;
    tables.meta.insert(KEYS_VERSION, expected.saturating_add(1).to_be_bytes().as_slice())?;
    Ok(true)
}

/// See [`crate::store::Store::remove_key`].
pub(super) fn remove_key(tables: &mut Tables<'_>, expected: u64, id: &str) -> Result<bool, Failure> {
    if version(&tables.meta)? != expected {
        return Ok(false);
    }
    tables.keys.remove(id)?;
    tables.meta.insert(KEYS_VERSION, expected.saturating_add(1).to_be_bytes().as_slice())?;
    Ok(true)
}

/// See [`crate::store::Store::identify`].
pub(super) fn identify(tables: &mut Tables<'_>, marker: &Marker) -> Result<Marker, Failure> {
    if let Some(found) = read_marker(&tables.meta)? {
        return Ok(found);
    }
    write_marker(tables, marker)?;
    Ok(marker.clone())
}

/// See [`crate::store::Store::relabel`].
pub(super) fn relabel(tables: &mut Tables<'_>, marker: &Marker) -> Result<(), Failure> {
    if read_marker(&tables.meta)?.is_none_or(|found| found.store_id != marker.store_id) {
        return Err(Failure::Corrupt("the marker of another store, or none".to_owned()));
    }
    write_marker(tables, marker)
}

fn write_marker(tables: &mut Tables<'_>, marker: &Marker) -> Result<(), Failure> {
    let json = serde_json::to_vec(marker).map_err(|_| Failure::Corrupt("a marker".to_owned()))?;
    tables.meta.insert(MARKER, json.as_slice())?;
    Ok(())
}

/// See [`crate::store::Store::marker`].
pub(super) fn read_marker(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Option<Marker>, Failure> {
    let Some(stored) = meta.get(MARKER)? else { return Ok(None) };
    serde_json::from_slice(stored.value()).map_err(|_| Failure::Corrupt("the store's marker".to_owned()))
}

fn version(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<u64, Failure> {
    let Some(stored) = meta.get(KEYS_VERSION)? else { return Ok(0) };
    let bytes = stored.value().try_into();
    bytes.map(u64::from_be_bytes).map_err(|_| Failure::Corrupt("version of the key shelf".to_owned()))
}

/// See [`crate::store::Store::cutoffs`].
pub(super) fn cutoffs(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<Cutoffs, Failure> {
    let mut cutoffs = Cutoffs::default();
    for entry in meta.range(CUTOFF..)? {
        let (key, stored) = entry?;
        let Some(whose) = key.value().strip_prefix(CUTOFF) else { break };
        // One of a kind that a later version has added is none of ours.
        if let Ok(whose) = whose.parse() {
            let millis = stored.value().try_into().map(u64::from_be_bytes);
            let at = millis.map_err(|_| Failure::Corrupt(format!("the cutoff of {whose}")))?;
            cutoffs.raise(whose, UnixMillis(at));
        }
    }
    Ok(cutoffs)
}

/// See [`crate::store::Store::raise_cutoff`].
pub(super) fn raise_cutoff(
    tables: &mut Tables<'_>,
    now: UnixMillis,
    whose: Whose,
    at: UnixMillis,
) -> Result<CutoffRaised, Failure> {
    if whose == Whose::Everyone && at > now {
        return Ok(CutoffRaised::InFuture);
    }
    let cutoff = cutoffs(&tables.meta)?.raise(whose, at);
    let key = format!("{CUTOFF}{whose}");
    tables.meta.insert(key.as_str(), cutoff.0.to_be_bytes().as_slice())?;
    Ok(CutoffRaised::Raised { cutoff, durable: true })
}
