//! The shelf of signing keys, and the marker that identifies the store.

use redb::ReadableTable;

use super::tables::{Failure, Snapshot, Tables};
use crate::store::{KeyShelf, Marker, StoredKey};

/// The shelf's version, big-endian. Absent for an empty shelf.
const KEYS_VERSION: &str = "keys_version";
/// The store's [`Marker`], JSON.
const MARKER: &str = "marker";

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
    if let Some(stored) = tables.meta.get(MARKER)? {
        return serde_json::from_slice(stored.value())
            .map_err(|_| Failure::Corrupt("the store's marker".to_owned()));
    }
    let json = serde_json::to_vec(marker).map_err(|_| Failure::Corrupt("a marker".to_owned()))?;
    tables.meta.insert(MARKER, json.as_slice())?;
    Ok(marker.clone())
}

fn version(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<u64, Failure> {
    let Some(stored) = meta.get(KEYS_VERSION)? else { return Ok(0) };
    let bytes = stored.value().try_into();
    bytes.map(u64::from_be_bytes).map_err(|_| Failure::Corrupt("version of the key shelf".to_owned()))
}
