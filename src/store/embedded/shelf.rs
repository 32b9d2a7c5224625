//! The shelf of signing keys, the marker that identifies the store, and the cutoff.

use redb::ReadableTable;
use relatch_domain::{UnixMillis, UnixSeconds};

use super::tables::{Failure, Snapshot, Tables};
use crate::store::{CutoffRaised, KeyShelf, Marker, StoredKey};

/// The shelf's version, big-endian. Absent for an empty shelf.
const KEYS_VERSION: &str = "keys_version";
/// The store's [`Marker`], JSON.
const MARKER: &str = "marker";
/// The cutoff in seconds, big-endian. Absent until it was first raised.
const CUTOFF: &str = "cutoff";

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

/// See [`crate::store::Store::cutoff`].
pub(super) fn cutoff(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<UnixSeconds, Failure> {
    let Some(stored) = meta.get(CUTOFF)? else { return Ok(UnixSeconds(0)) };
    let bytes = stored.value().try_into();
    let seconds = bytes.map(u32::from_be_bytes).map_err(|_| Failure::Corrupt("the cutoff".to_owned()))?;
    Ok(UnixSeconds(seconds))
}

/// See [`crate::store::Store::raise_cutoff`].
pub(super) fn raise_cutoff(
    tables: &mut Tables<'_>,
    now: UnixMillis,
    wanted: UnixSeconds,
) -> Result<CutoffRaised, Failure> {
    if wanted.millis() > now {
        return Ok(CutoffRaised::InFuture);
    }
    let cutoff = cutoff(&tables.meta)?.max(wanted);
    tables.meta.insert(CUTOFF, cutoff.0.to_be_bytes().as_slice())?;
    Ok(CutoffRaised::Raised { cutoff, durable: true })
}
