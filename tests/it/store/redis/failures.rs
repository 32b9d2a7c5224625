//! What the store says when Redis cannot do what it is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relatch::store::redis::{RedisBackend, RedisSettings, TimeSource};
use relatch::store::{
    CutoffRaised, EndNote, EndStep, JournalWrite, NewEntry, Rotated, Store, StoreError, Trail, UserChange,
};
use relatch_domain::revocation::{Revocation, Scope};
use relatch_domain::session::EndReason;
use relatch_domain::{SessionRef, UserId};
use relatch_testkit::redis_server::RedisServer;

use super::{
    ada, begin_step, begun, new_password, now, raise, raw, refresh, session_id, settings, store_at, tell,
};

fn impatient(url: &str) -> Arc<dyn Store> {
    let short = Duration::from_millis(200);
    let settings = RedisSettings { response_timeout: short, connect_timeout: short, ..settings(url) };
    RedisBackend::open(&settings, TimeSource::Store).unwrap().handle()
}

fn unavailable<T: std::fmt::Debug>(answer: &Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::Unavailable(_) | StoreError::Misconfigured(_))), "{answer:?}");
}

fn indeterminate<T: std::fmt::Debug>(answer: &Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::Indeterminate(_))), "{answer:?}");
}

fn end_all(user: UserId) -> EndStep {
    EndStep {
        user,
        scope: Scope::All,
        begun_before: None,
        reason: EndReason::RevokedByAdmin,
        note: EndNote::default(),
    }
}

#[tokio::test]
async fn a_killed_server_is_unavailable_at_once_and_for_everyone() {
    let mut server = RedisServer::start().await;
    let store = store_at(&server.url());
    assert_eq!(store.ping().await, Ok(()));
    server.kill();
    // The first may have found the connection broken after it had sent something.
    let _ = store.ping().await;
    let start = Instant::now();
    for answer in futures_util::future::join_all((0..1000).map(|_| store.ping())).await {
        unavailable(&answer);
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_paused_server_leaves_writes_in_doubt_and_reads_unavailable() {
    let server = RedisServer::start().await;
    let store = impatient(&server.url());
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    // The server has to know the script, or it answers that it does not when nobody listens any more.
    let other = SessionRef { user, session: session_id() };
    assert!(matches!(store.rotate(&refresh(other, &record)).await, Ok(Rotated::Blocked(_))));
    server.pause();
    let step = refresh(session, &record);
    let (write, read) = tokio::join!(store.rotate(&step), store.sessions_of(user));
    indeterminate(&write);
    unavailable(&read);
    // The connection is given up, and there is no other to be had: nothing was sent.
    unavailable(&store.rotate(&refresh(session, &record)).await);
    server.resume();

    // The refresh that was in doubt may have been applied while nobody listened; here it was.
    let start = Instant::now();
    let seen = loop {
        match store.observe(session).await {
            Ok(observation) => break observation.seen.session.unwrap(),
            Err(error) => assert!(start.elapsed().as_secs() < 5, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(seen.nonce, refresh(session, &record).fresh.nonce);
}

#[tokio::test]
async fn a_server_killed_with_a_write_on_its_way_leaves_it_in_doubt() {
    let mut server = RedisServer::start().await;
    let store = store_at(&server.url());
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    server.pause();
    let step = refresh(session, &record);
    let asked = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.rotate(&step).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.kill();
    indeterminate(&asked.await.unwrap());
}

#[tokio::test]
async fn a_demoted_primary_is_unavailable_and_its_successor_is_found() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    // A primary that does not exist: the data stays, writes are refused.
    tell::<()>(&mut connection, &["REPLICAOF", "127.0.0.1", "1"]).await;
    unavailable(&store.rotate(&refresh(session, &record)).await);
    unavailable(&store.end_sessions(&end_all(user)).await);
    tell::<()>(&mut connection, &["CONFIG", "SET", "replica-serve-stale-data", "no"]).await;
    unavailable(&store.observe(session).await);
    tell::<()>(&mut connection, &["REPLICAOF", "NO", "ONE"]).await;

    let start = Instant::now();
    loop {
        match store.rotate(&refresh(session, &record)).await {
            Ok(Rotated::Applied(_)) => break,
            other => unavailable(&other),
        }
        assert!(start.elapsed().as_secs() < 5, "writable again, the store does not notice");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_server_that_loads_is_unavailable_until_it_has() {
    // A server that loads looks up from its file after each 1,024 commands.
    let slow = ["--key-load-delay", "200"];
    let mut server = RedisServer::builder().append_only().args(slow).start().await;
    let store = store_at(&server.url());
    let mut connection = raw(&server).await;
    let mut pipeline = redis::pipe();
    for key in 0..6_000 {
        pipeline.set(format!("ballast:{key}"), "x".repeat(100)).ignore();
    }
    pipeline.exec_async(&mut connection).await.unwrap();
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;

    server.restart_unready();
    let store = store_at(&server.url());
    let (mut loading, start) = (0, Instant::now());
    loop {
        match store.rotate(&refresh(session, &record)).await {
            Ok(Rotated::Applied(_)) => break,
            Err(StoreError::Unavailable(text)) => {
                loading += usize::from(text.to_lowercase().contains("loading"));
            }
            other => panic!("{other:?}"),
        }
        assert!(start.elapsed().as_secs() < 15);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(loading > 0, "the server was never seen loading");
}

#[tokio::test]
async fn a_full_store_refuses_sign_ins_and_nothing_that_security_needs() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    tell::<()>(&mut connection, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let another = SessionRef { user, session: session_id() };
    unavailable(&store.begin_session(&begin_step(another, record)).await);
    unavailable(&store.create_user(&super::new_user("grace")).await);
    assert_eq!(store.observe(session).await.unwrap().seen.session, Some(record));
    assert!(matches!(store.rotate(&refresh(session, &record)).await, Ok(Rotated::Applied(_))));
    assert!(store.change_user(&new_password(user, "$2b$04$other")).await.unwrap().changed().is_some());
    let note = EndStep { note: EndNote::saying("stolen"), ..end_all(user) };
    assert_eq!(store.end_sessions(&note).await.unwrap().ended, [session.session]);
    let cutoff = now().millis();
    assert_eq!(raise(&store, cutoff).await, Ok(CutoffRaised::Raised { cutoff, durable: true }));
    let entries = vec![NewEntry::unrecorded(Revocation::User(user))];
    let write = JournalWrite { entries, audit_keep: 100, ..JournalWrite::default() };
    assert!(store.write_journal(&write).await.unwrap().durable);
    unavailable(&store.append_audit(Trail::Acts, b"record", 100).await);
    assert!(store.delete_user(user, None).await.unwrap().is_some());
    assert_eq!(store.count_users().await, Ok(0));
}

#[tokio::test]
async fn in_a_full_store_a_user_is_disabled_and_signed_out() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    let user = ada(&store).await;
    let (session, _) = begun(&store, user, now()).await;
    tell::<()>(&mut connection, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let end = Some((Scope::All, EndReason::UserDisabled, EndNote::saying("left the company")));
    let change = UserChange { disabled: Some(true), end, ..UserChange::of(user) };
    let changed = store.change_user(&change).await.unwrap().changed().unwrap();
    assert!(changed.user.disabled && changed.ended.durable);
    assert_eq!(changed.ended.ended, [session.session]);
}

#[tokio::test]
async fn a_deletion_that_fails_half_way_is_in_doubt_and_is_finished_by_repeating_it() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    // One may not touch the list, one not the name, one not the sessions.
    for (number, forbidden) in [["-zrem"], ["-get"], ["-del"]].into_iter().enumerate() {
        let user = ada(&store).await;
        let (session, record) = begun(&store, user, now()).await;
        let name = store.user(user).await.unwrap().unwrap().profile.username;
        let rules = ["ACL", "SETUSER", "clumsy", "reset", "on", ">sesame", "~test:*", "+@all"];
        tell::<()>(&mut connection, &[rules.as_slice(), &forbidden].concat()).await;
        let clumsy = store_at(&format!("redis://clumsy:sesame@{}", server.address()));
        indeterminate(&clumsy.delete_user(user, None).await);
        if number < 2 {
            assert_eq!(store.user(user).await, Ok(None), "{forbidden:?}");
            assert!(matches!(store.rotate(&refresh(session, &record)).await, Ok(Rotated::Blocked(_))));
        }
        assert_eq!(store.delete_user(user, None).await.unwrap().unwrap().user.profile.username, name);
        let left: Vec<String> = tell(&mut connection, &["KEYS", "test:*"]).await;
        assert_eq!(left, [format!("test:{{{user}}}:u")]);
        tell::<()>(&mut connection, &["DEL", &format!("test:{{{user}}}:u")]).await;
    }
}

#[tokio::test]
async fn a_busy_server_is_unavailable() {
    let server = RedisServer::builder().args(["--busy-reply-threshold", "50"]).start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    let mut other = raw(&server).await;
    let busy = tokio::spawn(async move {
        let mut endless = redis::cmd("EVAL");
        let _ = endless.arg("while true do end").arg(0).exec_async(&mut other).await;
    });
    let start = Instant::now();
    loop {
        // Until the endless script has arrived the step works; then everybody is told `BUSY`.
        match store.rotate(&refresh(session, &record)).await {
            Err(StoreError::Unavailable(text)) if text.contains("BUSY") => break,
            Ok(_) if start.elapsed().as_secs() < 5 => {}
            answer => panic!("{answer:?}"),
        }
    }
    tell::<()>(&mut connection, &["SCRIPT", "KILL"]).await;
    busy.await.unwrap();
    assert!(store.rotate(&refresh(session, &record)).await.is_ok());
}

#[tokio::test]
async fn a_password_that_is_missing_is_unavailable_until_there_is_none_to_give() {
    let server = RedisServer::builder().password("sesame").start().await;
    let nameless = store_at(&format!("redis://{}", server.address()));
    let knowing = store_at(&server.url());
    let user = ada(&knowing).await;
    let (session, record) = begun(&knowing, user, now()).await;
    for _ in 0..2 {
        let answer = nameless.rotate(&refresh(session, &record)).await;
        let tells = |text: &str| text.to_lowercase().contains("auth");
        assert!(
            matches!(&answer, Err(StoreError::Unavailable(text) | StoreError::Misconfigured(text)) if tells(text)),
            "{answer:?}"
        );
    }
    let url = server.url();
    let mut connection = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    tell::<()>(&mut connection, &["CONFIG", "SET", "requirepass", ""]).await;
    let start = Instant::now();
    while !matches!(nameless.rotate(&refresh(session, &record)).await, Ok(Rotated::Applied(_))) {
        assert!(start.elapsed().as_secs() < 5);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_missing_permission_is_unavailable_unless_a_script_comes_upon_it() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    let user = ada(&store).await;
    begun(&store, user, now()).await;
    for (permission, found_midway) in [("-evalsha", false), ("+evalsha", true)] {
        let rules = [
            "ACL",
            "SETUSER",
            "reader",
            "on",
            ">sesame",
            "~test:*",
            "+@read",
            "+@connection",
            "+info",
            "+eval",
        ];
        tell::<()>(&mut connection, &[rules.as_slice(), &[permission]].concat()).await;
        let reader = store_at(&format!("redis://reader:sesame@{}", server.address()));
        let answer = reader.end_sessions(&end_all(user)).await;
        if found_midway { indeterminate(&answer) } else { unavailable(&answer) }
    }
}

#[tokio::test]
async fn a_key_of_another_type_is_corrupt() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    tell::<()>(&mut connection, &["SET", &format!("test:{{{user}}}:s"), "spoiled"]).await;
    let answer = store.rotate(&refresh(session, &record)).await;
    assert!(matches!(answer, Err(StoreError::Corrupt(_))), "{answer:?}");
}
