//! The feed of revocations in Redis.

use relatch::store::FEED_KEEPS;
use relatch_domain::revocation::Revocation;
use relatch_domain::{UnixMillis, UserId};
use relatch_testkit::redis_server::RedisServer;

use super::{raw, store_at, tell};

const FEED: &str = "test:revocations";

#[tokio::test]
async fn what_is_older_than_an_hour_goes_with_the_next_announcement() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    let hour = u64::try_from(FEED_KEEPS.as_millis()).unwrap();
    let now = super::now().millis().0;
    for age in [2 * hour, hour + 5_000, hour - 60_000] {
        let id = format!("{}-0", now - age);
        tell::<String>(&mut connection, &["XADD", FEED, &id, "r", &format!("cutoff {age}")]).await;
    }
    let user = Revocation::User(UserId::from_bytes([7; 16]));
    store.announce(&[user]).await.unwrap();
    let left: Vec<_> =
        store.announced(None, 10).await.unwrap().into_iter().map(|entry| entry.revocation).collect();
    let young = UnixMillis(hour - 60_000);
    assert_eq!(left, [Some(Revocation::SignedInBefore(young)), Some(user)]);
}

#[tokio::test]
async fn many_are_announced_in_order() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    let many: Vec<_> = (0..600).map(|at| Revocation::SignedInBefore(UnixMillis(at))).collect();
    store.announce(&many).await.unwrap();
    let (mut read, mut after) = (Vec::new(), None);
    loop {
        let page = store.announced(after, 250).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        read.extend(page.into_iter().filter_map(|entry| entry.revocation));
    }
    assert_eq!(read, many);
}
