//! The journal in Redis.

use std::time::Duration;

use relatch::store::{EntryId, JournalWrite, LOG_KEEPS, NewEntry, Store};
use relatch_domain::revocation::Revocation;
use relatch_domain::{UnixMillis, UserId};
use relatch_testkit::redis_server::RedisServer;

use super::{raw, store_at, tell};

const LOG: &str = "test:{journal}:log";
const SUBJECTS: &str = "test:{journal}:subjects";

fn entries(revocations: &[Revocation]) -> JournalWrite {
    let entries = revocations.iter().cloned().map(NewEntry::unrecorded).collect();
    JournalWrite { entries, lifetime: LOG_KEEPS, audit_keep: 100, ..JournalWrite::default() }
}

fn user(number: u8) -> Revocation {
    Revocation::User(UserId::from_bytes([number; 16]))
}

async fn logged(store: &dyn Store, after: Option<EntryId>) -> Vec<Option<Revocation>> {
    let page = store.journal(after, 1000).await.unwrap();
    page.entries.into_iter().map(|entry| entry.revocation).collect()
}

#[tokio::test]
async fn an_entry_goes_when_its_time_is_over_and_its_subject_may_come_again() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    let write = |lifetime| JournalWrite { lifetime, ..entries(&[user(1)]) };
    let soon = Duration::from_millis(30);
    let written = store.write_journal(&write(soon)).await.unwrap();
    assert_eq!(written.until.age_since(written.now), soon);
    store.write_journal(&write(soon)).await.unwrap();
    assert_eq!(logged(&*store, None).await.len(), 1, "its subject has an entry");
    while store.journal(None, 0).await.unwrap().now <= written.until {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    store.write_journal(&JournalWrite { lifetime: soon, ..JournalWrite::default() }).await.unwrap();
    assert_eq!(logged(&*store, None).await, []);
    assert_eq!(tell::<i64>(&mut connection, &["HLEN", SUBJECTS]).await, 0);
    store.write_journal(&write(soon)).await.unwrap();
    assert_eq!(logged(&*store, None).await, [Some(user(1))]);
}

#[tokio::test]
async fn somebody_elses_words_in_the_log_are_passed_over_and_go() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    for fields in [&["x", "y"] as &[&str], &["r", "tenant 7"], &["r", "user 1", "u", "soon"]] {
        tell::<String>(&mut connection, &[&["XADD", LOG, "*"], fields].concat()).await;
    }
    assert_eq!(logged(&*store, None).await, [None, None, None]);
    store.write_journal(&entries(&[user(1)])).await.unwrap();
    assert_eq!(logged(&*store, None).await, [Some(user(1))]);
}

#[tokio::test]
async fn many_are_announced_in_order() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    let many: Vec<_> = (0..600).map(|at| Revocation::SignedInBefore(UnixMillis(at))).collect();
    store.write_journal(&entries(&many)).await.unwrap();
    let (mut read, mut after) = (Vec::new(), None);
    loop {
        let page = store.journal(after, 250).await.unwrap();
        let Some(last) = page.entries.last() else { break };
        after = Some(last.id);
        read.extend(page.entries.into_iter().filter_map(|entry| entry.revocation));
    }
    assert_eq!(read, many);
}
