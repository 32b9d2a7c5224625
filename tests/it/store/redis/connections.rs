//! Every way to Redis, and the way back to it.

use relatch::store::redis::{RedisBackend, RedisSettings, TimeSource};
use relatch::store::{Rotated, StoreError, UserQuery};
use relatch_testkit::redis_server::RedisServer;
use relatch_testkit::wire::Wire;

use super::{ada, begun, now, raw, refresh, settings, store_at, tell};

#[tokio::test]
async fn a_unix_socket_with_a_password_works() {
    let server = RedisServer::builder().unix_socket().password("sesame").start().await;
    let store = store_at(&server.unix_url());
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    assert!(matches!(store.rotate(&refresh(session, &record)).await, Ok(Rotated::Applied(_))));
}

#[tokio::test]
async fn tls_works_with_the_authority_s_certificate_and_not_without() {
    let server = RedisServer::builder().tls().password("sesame").start().await;
    let trusting = RedisSettings { ca_file: Some(server.ca_file()), ..settings(&server.tls_url()) };
    let store = RedisBackend::open(&trusting, TimeSource::Store).unwrap().handle();
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    assert!(matches!(store.rotate(&refresh(session, &record)).await, Ok(Rotated::Applied(_))));

    let answer = store_at(&server.tls_url()).ping().await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_) | StoreError::Misconfigured(_))), "{answer:?}");
}

#[tokio::test]
async fn a_user_of_redis_and_a_database_number_are_heeded() {
    let server = RedisServer::start().await;
    let mut connection = raw(&server).await;
    let rules = ["ACL", "SETUSER", "relatch", "on", ">p@ss", "~test:*", "+@all", "-@dangerous", "+info"];
    tell::<()>(&mut connection, &rules).await;
    let url = format!("redis://relatch:p%40ss@{}/3", server.address());
    let store = store_at(&url);
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    assert!(matches!(store.rotate(&refresh(session, &record)).await, Ok(Rotated::Applied(_))));
    assert_eq!(store.list_users(&UserQuery { limit: 10, ..UserQuery::default() }).await.unwrap().len(), 1);

    assert_eq!(tell::<u64>(&mut connection, &["DBSIZE"]).await, 0);
    tell::<()>(&mut connection, &["SELECT", "3"]).await;
    assert!(tell::<u64>(&mut connection, &["DBSIZE"]).await > 0);

    let wrong = store_at(&format!("redis://relatch:wrong@{}/3", server.address()));
    let error = wrong.ping().await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(_) | StoreError::Misconfigured(_)), "{error:?}");
}

#[tokio::test]
async fn a_store_opens_without_redis_and_finds_it_later() {
    let mut server = RedisServer::start().await;
    server.kill();
    let store = store_at(&server.url());
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_) | StoreError::Misconfigured(_))));
    server.restart().await;
    until_it_answers(&store).await;
}

#[tokio::test]
async fn after_a_restart_the_next_step_works_at_once_and_finds_what_was_written() {
    let mut server = RedisServer::builder().append_only().start().await;
    let store = store_at(&server.url());
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    server.restart().await;
    // The connection broke while it was idle: nothing was sent over it, so nothing is in doubt.
    let answer = store.rotate(&refresh(session, &record)).await;
    assert!(matches!(answer, Ok(Rotated::Applied(_))), "{answer:?}");
}

#[tokio::test]
async fn a_connection_cut_while_idle_is_replaced_unnoticed() {
    let server = RedisServer::start().await;
    let wire = Wire::to(server.address()).await;
    let store = store_at(&wire.url());
    for opened in 1..4 {
        assert_eq!(store.ping().await, Ok(()));
        assert_eq!(wire.sent().connections, opened);
        wire.cut();
        // The cut has to arrive before it can be heeded.
        while tell::<String>(&mut raw(&server).await, &["CLIENT", "LIST"]).await.lines().count() > 1 {
            tokio::task::yield_now().await;
        }
        // Nobody outside sees when the client has read the end of its stream.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn scripts_that_the_server_has_forgotten_are_sent_again() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    tell::<()>(&mut connection, &["SCRIPT", "FLUSH"]).await;
    assert!(matches!(store.rotate(&refresh(session, &record)).await, Ok(Rotated::Applied(_))));
    tell::<()>(&mut connection, &["SCRIPT", "FLUSH"]).await;
    assert_eq!(store.sessions_of(user).await.unwrap().sessions.len(), 1);
}

async fn until_it_answers(store: &std::sync::Arc<dyn relatch::store::Store>) {
    let start = std::time::Instant::now();
    while store.ping().await.is_err() {
        assert!(start.elapsed().as_secs() < 5, "Redis is back, the store does not notice");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
