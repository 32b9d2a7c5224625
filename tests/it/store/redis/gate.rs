//! Nothing passes to a Redis that nobody has examined, by the lanes nor by the pool of synced writes.

use relatch::store::redis::{RedisBackend, RedisSettings, TimeSource};
use relatch::store::{Marker, Store, StoreError};
use relatch_domain::SessionRef;
use relatch_domain::testing::live_record;
use relatch_testkit::redis_server::RedisServer;

use super::{ada, begin_step, begun, has_begun, now, refresh, session_id, settings};

fn closed<T: std::fmt::Debug>(answer: &Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
}

async fn process_of(store: &dyn Store) -> String {
    store.shards().await.unwrap().there.remove(0).process
}

#[tokio::test]
async fn a_process_is_served_from_once_the_gate_is_open_to_it() {
    for sync_replicas in [0, 1] {
        let mut server = RedisServer::builder().append_only().start().await;
        let url = server.url();
        let settings = RedisSettings { sync_replicas, ..settings(&url) };
        let backend = RedisBackend::open(&settings, TimeSource::Store).unwrap();
        let (plain, gated) = (backend.handle(), backend.gated_handle());
        let marker = Marker { store_id: "one".into(), issuer: "us".into(), master_key_check: "check".into() };
        plain.identify(&marker).await.unwrap();
        let user = ada(&plain).await;
        let (session, record) = begun(&plain, user, now()).await;
        let begin = async || {
            let session = SessionRef { user, session: session_id() };
            gated.begin_session(&begin_step(session, live_record(now()))).await
        };
        for _ in 0..2 {
            closed(&gated.rotate(&refresh(session, &record)).await);
            closed(&begin().await);
            let process = process_of(&*plain).await;
            backend.gate().open_to(&process, &marker);
            assert!(backend.gate().is_open_to(&process));
            assert!(has_begun(&begin().await));
            assert_eq!(gated.observe(session).await.unwrap().seen.session, Some(record));
            server.restart().await;
        }
    }
}

#[tokio::test]
async fn whoever_finds_something_missing_looks_for_the_marker() {
    let mut server = RedisServer::start().await;
    let backend = RedisBackend::open(&settings(&server.url()), TimeSource::Store).unwrap();
    let (plain, gated) = (backend.handle(), backend.gated_handle());
    let marker = Marker { store_id: "one".into(), issuer: "us".into(), master_key_check: "check".into() };
    plain.identify(&marker).await.unwrap();
    let user = ada(&plain).await;
    let open = async || backend.gate().open_to(&process_of(&*plain).await, &marker);
    open().await;
    let missing = SessionRef { user, session: session_id() };
    assert_eq!(gated.observe(missing).await.unwrap().seen.session, None);
    assert_eq!(server.say("DEL test:marker"), ":1");
    closed(&gated.observe(missing).await);
    // Not even what is there.
    closed(&gated.sessions_of(user).await);
    server.restart().await;
    closed(&gated.ping().await);
}
