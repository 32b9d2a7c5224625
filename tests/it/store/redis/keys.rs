//! Signing keys and the marker.

use relatch::store::{KeyShelf, Marker, StoredKey};
use relatch_testkit::redis_server::RedisServer;

use super::store_at;

fn key(id: &str, sealed: &[u8]) -> StoredKey {
    StoredKey { id: id.into(), sealed: sealed.to_vec() }
}

#[tokio::test]
async fn a_key_is_put_only_on_the_shelf_that_was_seen() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    assert_eq!(store.keys().await, Ok(KeyShelf::default()));
    let (version, sealed) = (key("version", b"\0\xff"), key("a", b"2"));
    assert_eq!(store.put_key(1, &version).await, Ok(false));
    assert_eq!(store.put_key(0, &version).await, Ok(true));
    assert_eq!(store.put_key(0, &sealed).await, Ok(false));
    assert_eq!(store.put_key(1, &sealed).await, Ok(true));
    let shelf = KeyShelf { version: 2, keys: vec![sealed, version.clone()] };
    assert_eq!(store.keys().await, Ok(shelf));
    assert_eq!(store.put_key(2, &key("a", b"3")).await, Ok(true));
    let shelf = KeyShelf { version: 3, keys: vec![key("a", b"3"), version] };
    assert_eq!(store.keys().await, Ok(shelf));
}

#[tokio::test]
async fn the_first_marker_stays() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    let marker = |id: &str| Marker {
        store_id: id.into(),
        issuer: "https://auth.example".into(),
        master_key_check: "check".into(),
    };
    assert_eq!(store.identify(&marker("first")).await, Ok(Some(marker("first"))));
    assert_eq!(store.identify(&marker("second")).await, Ok(Some(marker("first"))));
}
