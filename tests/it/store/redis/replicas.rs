//! Writes that replicas have to acknowledge.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relatch::store::redis::{RedisBackend, RedisSettings, TimeSource};
use relatch::store::{Begun, CutoffRaised, EndNote, EndStep, Rotated, Store, StoreError, UserChange};
use relatch_domain::SessionRef;
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_domain::testing::live_record;
use relatch_testkit::redis_server::RedisServer;

use super::{ada, begin_step, begun, new_password, now, raise, raw, refresh, session_id, settings, tell};

fn synced(primary: &RedisServer) -> Arc<dyn Store> {
    patient(primary, Duration::from_millis(500))
}

fn patient(primary: &RedisServer, response_timeout: Duration) -> Arc<dyn Store> {
    let settings = RedisSettings { sync_replicas: 1, response_timeout, ..settings(&primary.url()) };
    RedisBackend::open(&settings, TimeSource::Store).unwrap().handle()
}

async fn replica_of(primary: &RedisServer) -> RedisServer {
    let port = primary.address().port().to_string();
    let replica = RedisServer::builder().args(["--replicaof", "127.0.0.1", &port]).start().await;
    let (mut connection, start) = (raw(primary).await, Instant::now());
    while tell::<u64>(&mut connection, &["WAIT", "1", "50"]).await == 0 {
        assert!(start.elapsed().as_secs() < 20, "the replica does not connect");
    }
    replica
}

#[tokio::test]
async fn with_the_replica_there_every_step_is_acknowledged_and_on_it() {
    let primary = RedisServer::builder().args(["--repl-diskless-sync-delay", "0"]).start().await;
    let replica = replica_of(&primary).await;
    let store = synced(&primary);
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    let mut copy = raw(&replica).await;
    let sessions = format!("test:{{{user}}}:s");
    assert_eq!(tell::<u64>(&mut copy, &["HLEN", &sessions]).await, 1);
    assert!(matches!(store.rotate(&refresh(session, &record)).await, Ok(Rotated::Applied(_))));
    let end = EndStep {
        user,
        scope: Scope::All,
        begun_before: None,
        reason: EndReason::SignedOut,
        note: EndNote::default(),
    };
    assert_eq!(store.end_sessions(&end).await.unwrap().ended.len(), 1);
    assert!(store.change_user(&new_password(user, "other")).await.unwrap().changed().is_some());
    let password: String = tell(&mut copy, &["HGET", &format!("test:{{{user}}}:u"), "password"]).await;
    assert_eq!(password, "other");
    let cutoff = now().millis();
    assert_eq!(raise(&store, cutoff).await, Ok(CutoffRaised::Raised { cutoff, durable: true }));
    assert_eq!(
        tell::<String>(&mut copy, &["HGET", "test:{journal}:cutoffs", "everyone"]).await,
        cutoff.0.to_string()
    );
    assert!(store.delete_user(user, None).await.unwrap().unwrap().durable);
    assert_eq!(tell::<u64>(&mut copy, &["EXISTS", &sessions]).await, 0);
}

#[tokio::test]
async fn without_the_replica_sign_ins_go_on_and_revocations_say_that_they_are_in_doubt() {
    let primary = RedisServer::builder().args(["--repl-diskless-sync-delay", "0"]).start().await;
    let replica = replica_of(&primary).await;
    let store = synced(&primary);
    let user = ada(&store).await;
    let (session, _) = begun(&store, user, now()).await;
    replica.pause();

    let another = SessionRef { user, session: session_id() };
    assert_eq!(store.begin_session(&begin_step(another, live_record(now()))).await, Ok(Begun::Alone));
    let scope = Scope::One(session.session);
    let end = EndStep {
        user,
        scope,
        begun_before: None,
        reason: EndReason::RevokedByUser,
        note: EndNote::default(),
    };
    // Said of the repetition as well, though it finds the session ended.
    for _ in 0..2 {
        let ended = store.end_sessions(&end).await.unwrap();
        assert_eq!((ended.covered, ended.durable), (1, false));
    }
    assert!(store.observe(session).await.unwrap().seen.session.unwrap().ended.is_some());
    let nobody = EndStep { scope: Scope::One(session_id()), ..end.clone() };
    assert_eq!(store.end_sessions(&nobody).await.unwrap().covered, 0);

    replica.resume();
    let repeated = store.end_sessions(&end).await.unwrap();
    assert_eq!((repeated.covered, repeated.ended.len(), repeated.durable), (1, 0, true));
}

/// Its replica may be promoted, and has never heard of the sign-in: nobody may be told that they are signed in.
#[tokio::test]
async fn a_sign_in_whose_primary_dies_before_a_replica_has_it_is_in_doubt() {
    let mut primary = RedisServer::builder().args(["--repl-diskless-sync-delay", "0"]).start().await;
    let replica = replica_of(&primary).await;
    let store = patient(&primary, Duration::from_secs(20));
    let user = ada(&store).await;
    replica.pause();
    let session = SessionRef { user, session: session_id() };
    let step = begin_step(session, live_record(now()));
    let beginning = tokio::spawn(async move { store.begin_session(&step).await });
    let (mut connection, start) = (raw(&primary).await, Instant::now());
    let sessions = format!("test:{{{user}}}:s");
    while tell::<u64>(&mut connection, &["HLEN", &sessions]).await == 0 {
        assert!(start.elapsed().as_secs() < 20, "the session does not begin");
    }
    primary.kill();
    let answer = beginning.await.unwrap();
    assert!(matches!(answer, Err(StoreError::Indeterminate(_))), "{answer:?}");
}

#[tokio::test]
async fn without_the_replica_changes_and_deletions_are_in_doubt_until_one_that_is_repeated_is_not() {
    let primary = RedisServer::builder().args(["--repl-diskless-sync-delay", "0"]).start().await;
    let replica = replica_of(&primary).await;
    let store = synced(&primary);
    let user = ada(&store).await;
    begun(&store, user, now()).await;
    let end = Some((Scope::All, EndReason::UserDisabled, EndNote::default()));
    let changes = [
        UserChange { disabled: Some(true), end: end.clone(), ..UserChange::of(user) },
        UserChange { end, ..UserChange::of(user) },
    ];
    let cutoff = now().millis();
    replica.pause();
    for change in changes.iter().chain(&changes) {
        let outcome = store.change_user(change).await.unwrap().changed().unwrap();
        assert_eq!((outcome.user.disabled, outcome.ended.durable), (true, false));
    }
    let raised = |durable| Ok(CutoffRaised::Raised { cutoff, durable });
    for _ in 0..2 {
        assert_eq!(raise(&store, cutoff).await, raised(false));
    }
    assert_eq!(raise(&store, cutoff.plus(Duration::from_hours(1))).await, Ok(CutoffRaised::InFuture));
    for _ in 0..2 {
        assert!(!store.delete_user(user, None).await.unwrap().unwrap().durable);
        assert_eq!(store.user(user).await, Ok(None));
        assert_eq!(store.count_users().await, Ok(0));
    }
    replica.resume();
    assert_eq!(raise(&store, cutoff).await, raised(true));
    assert!(store.delete_user(user, None).await.unwrap().unwrap().durable);
    let mut left: Vec<String> = tell(&mut raw(&primary).await, &["KEYS", "test:*"]).await;
    left.sort();
    let mut expected = ["test:{journal}:cutoffs".to_owned(), format!("test:{{{user}}}:u")];
    expected.sort();
    assert_eq!(left, expected);
}

#[tokio::test]
async fn a_dead_primary_is_unavailable_to_synced_writes_and_found_again() {
    let mut primary = RedisServer::start().await;
    let store = synced(&primary);
    let user = ada(&store).await;
    primary.kill();
    let end = EndStep {
        user,
        scope: Scope::All,
        begun_before: None,
        reason: EndReason::SignedOut,
        note: EndNote::default(),
    };
    let answer = store.end_sessions(&end).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    primary.restart().await;
    assert_eq!(store.end_sessions(&end).await.unwrap().covered, 0);
}
