//! The shelf of signing keys.

use futures_util::future::join_all;
use relatch::store::StoredKey;

use super::Stage;

impl Stage {
    pub(super) async fn keys_are_put_at_the_version_that_was_seen(&self) {
        let before = self.store.keys().await.unwrap();
        let key = |id: &str, byte: u8| StoredKey { id: id.to_owned(), sealed: vec![byte, 0, 0xff] };
        let (first, second) = (key("example-b", 1), key("example-a", 2));
        assert!(!self.store.put_key(before.version + 1, &first).await.unwrap());
        assert!(self.store.put_key(before.version, &first).await.unwrap());
        assert!(!self.store.put_key(before.version, &second).await.unwrap());
        let between = self.store.keys().await.unwrap().version;
        assert!(between > before.version);
        let rivals = [second.clone(), key("example-c", 3), key("example-d", 4)];
        let puts = join_all(rivals.iter().map(|key| self.store.put_key(between, key))).await;
        assert_eq!(puts.iter().filter(|put| *put.as_ref().unwrap()).count(), 1, "one of many puts its key");
        let version = self.store.keys().await.unwrap().version;
        let again = key("example-b", 9);
        assert!(self.store.put_key(version, &again).await.unwrap());
        let kept = self.store.keys().await.unwrap();
        assert!(kept.version > version && kept.keys.is_sorted_by_key(|key| &key.id));
        assert!(kept.keys.contains(&again) && !kept.keys.contains(&first));
    }

    pub(super) async fn keys_are_removed_at_the_version_that_was_seen(&self) {
        let before = self.store.keys().await.unwrap();
        let key = |id: &str| StoredKey { id: id.to_owned(), sealed: vec![7] };
        assert!(self.store.put_key(before.version, &key("gone")).await.unwrap());
        let between = self.store.keys().await.unwrap().version;
        assert!(self.store.put_key(between, &key("stays")).await.unwrap());
        let seen = self.store.keys().await.unwrap();
        assert!(!self.store.remove_key(between, "gone").await.unwrap());
        assert_eq!(self.store.keys().await.unwrap(), seen);
        assert!(self.store.remove_key(seen.version, "gone").await.unwrap());
        let left = self.store.keys().await.unwrap();
        assert!(left.version > seen.version);
        assert!(left.keys.contains(&key("stays")) && left.keys.iter().all(|key| key.id != "gone"));
        assert!(!self.store.put_key(seen.version, &key("gone")).await.unwrap(), "as after any other write");
        assert!(self.store.remove_key(left.version, "never-was").await.unwrap());
        let racing = self.store.keys().await.unwrap().version;
        let removals = join_all((0..3).map(|_| self.store.remove_key(racing, "stays"))).await;
        assert_eq!(removals.iter().filter(|removed| *removed.as_ref().unwrap()).count(), 1, "one of many");
        assert!(self.store.keys().await.unwrap().keys.iter().all(|key| key.id != "stays"));
    }
}
