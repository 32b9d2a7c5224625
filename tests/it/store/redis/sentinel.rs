//! A primary and its replicas behind Sentinels.

use relatch::store::redis::{Login, RedisBackend, RedisSettings, TimeSource};
use relatch::store::{
    EndNote, EndStep, JournalWrite, LOG_KEEPS, Marker, NewEntry, Rotated, Store, StoreError,
};
use relatch_domain::UserId;
use relatch_domain::revocation::{Revocation, Scope};
use relatch_domain::session::EndReason;
use relatch_testkit::redis_group::SentinelSet;

use super::{ada, begun, now, refresh, settings};

/// Waits until the store is served again.
async fn back(store: &dyn Store) {
    let begun = std::time::Instant::now();
    while store.ping().await.is_err() {
        assert!(begun.elapsed().as_secs() < 10, "the new primary is not found");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_follows_its_primary_and_what_replicas_acknowledged_is_there() {
    let mut set = SentinelSet::builder().password("sesame").start().await;
    let settings = RedisSettings {
        sync_replicas: 2,
        sentinel_login: Login { username: None, password: Some("sesame".into()) },
        ..settings(&set.url())
    };
    let store = RedisBackend::open(&settings, TimeSource::Store).unwrap().handle();
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    let (ended, _) = begun(&store, user, now()).await;
    let scope = Scope::One(ended.session);
    let end =
        EndStep { user, scope, begun_before: None, reason: EndReason::SignedOut, note: EndNote::default() };
    assert!(store.end_sessions(&end).await.unwrap().durable);

    let first = set.primary();
    let before = store.shards().await.unwrap().there.remove(0);
    set.node(first).kill();
    let answer = store.rotate(&refresh(session, &record)).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_) | StoreError::Indeterminate(_))), "{answer:?}");
    set.until_promoted(first).await;
    back(&*store).await;
    let after = store.shards().await.unwrap().there.remove(0);
    assert_ne!((&after.at, &after.process), (&before.at, &before.process));
    assert!(store.observe(ended).await.unwrap().seen.session.unwrap().ended.is_some());
    assert!(matches!(store.rotate(&refresh(session, &record)).await, Ok(Rotated::Applied(_))));
    // One replica is left, two were asked for.
    assert!(!store.end_sessions(&end).await.unwrap().durable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_another_was_promoted_meanwhile_is_for_most_sentinels_to_say() {
    let set = SentinelSet::start().await;
    let settings = RedisSettings { sync_replicas: 1, ..settings(&set.url()) };
    let backend = RedisBackend::open(&settings, TimeSource::Store).unwrap();
    let store = backend.handle();
    store.ping().await.unwrap();
    let before = store.arrangement();
    let still = async || store.is_still(before).await;
    assert!(still().await);
    set.pause_sentinel(0, true);
    assert!(still().await, "two of three");
    set.pause_sentinel(1, true);
    assert!(!still().await, "one of three");
    assert!(backend.restoring_handle().is_still(before).await, "who waits for no replica asks nobody");
    for sentinel in [0, 1] {
        set.pause_sentinel(sentinel, false);
    }
    set.until_healed().await;
    assert!(still().await);

    let shard = store.shards().await.unwrap().there.remove(0);
    let ended = Revocation::User(UserId::from_bytes([7; 16]));
    let entries = vec![NewEntry::unrecorded(ended.clone())];
    let write = JournalWrite { entries, lifetime: LOG_KEEPS, ..JournalWrite::default() };
    store.write_journal(&write).await.unwrap();
    set.fail_over().await;
    back(&*store).await;
    assert!(!still().await);
    assert!(store.is_still(store.arrangement()).await);
    // Primary or not.
    let words = store.last_words(&shard, None, 10).await.unwrap();
    assert_eq!(words.iter().map(|entry| entry.revocation.clone()).collect::<Vec<_>>(), [Some(ended)]);
    assert_eq!(store.last_words(&shard, Some(words[0].id), 10).await, Ok(Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_tls_a_store_finds_its_primary_and_follows_it() {
    let set = SentinelSet::builder().tls().start().await;
    let settings = RedisSettings { ca_file: Some(set.ca_file()), ..settings(&set.url()) };
    let store = RedisBackend::open(&settings, TimeSource::Store).unwrap().handle();
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    set.fail_over().await;
    back(&*store).await;
    assert!(matches!(store.rotate(&refresh(session, &record)).await, Ok(Rotated::Applied(_))));
    let trusting_nobody = RedisSettings { ca_file: None, ..settings };
    let answer = RedisBackend::open(&trusting_nobody, TimeSource::Store).unwrap().handle().ping().await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_) | StoreError::Misconfigured(_))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_is_another_one_each_time_that_it_is_promoted() {
    let set = SentinelSet::builder().never_promoting(2).start().await;
    let backend = RedisBackend::open(&settings(&set.url()), TimeSource::Store).unwrap();
    let (plain, gated) = (backend.handle(), backend.gated_handle());
    let marker = Marker { store_id: "one".into(), issuer: "us".into(), master_key_check: "check".into() };
    plain.identify(&marker).await.unwrap();
    let process = async || plain.shards().await.unwrap().there.remove(0).process;
    let (first, first_process) = (set.primary(), process().await);
    backend.gate().open_to(&first_process, &marker);
    assert_eq!(gated.ping().await, Ok(()));

    // To another and back again: the same process, which may lack what the other had.
    for promoted in [1 - first, first] {
        assert_eq!(set.fail_over().await, promoted);
        set.until_healed().await;
        back(&*plain).await;
        backend.gate().keep(|_| true);
        assert_ne!(process().await, first_process);
        assert!(
            matches!(gated.ping().await, Err(StoreError::Unavailable(_) | StoreError::Misconfigured(_))),
            "nobody has examined it"
        );
    }
    let run_id = |process: &str| process.split_once('/').unwrap().0.to_owned();
    assert_eq!(run_id(&process().await), run_id(&first_process));
    backend.gate().open_to(&process().await, &marker);
    assert_eq!(gated.ping().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_has_heard_of_no_failover_is_not_believed() {
    let set = SentinelSet::start().await;
    let first = set.primary();
    // It sleeps through everything.
    set.pause_sentinel(2, true);
    set.fail_over().await;
    let store = RedisBackend::open(&settings(&set.url()), TimeSource::Store).unwrap().handle();
    back(&*store).await;
    let named = store.shards().await.unwrap().there.remove(0).at;
    set.pause_sentinel(2, false);
    for _ in 0..20 {
        let shards = store.shards().await.unwrap();
        assert!(shards.there.iter().all(|shard| shard.at == named), "{shards:?}");
    }
    assert_ne!(set.primary(), first);
}
