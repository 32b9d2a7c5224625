//! Sessions in Redis: how they are kept, for how long, and what is kept beside them.

use relatch::store::{BeginStep, Begun, EndNote, EndStep, Rotated, SessionDetails, StoreError};
use relatch_domain::ids::Thumbprint;
use relatch_domain::revocation::Scope;
use relatch_domain::session::{EndReason, SessionRecord};
use relatch_domain::sign_in::Change;
use relatch_domain::testing::live_record;
use relatch_domain::{SessionRef, UnixMillis, UnixSeconds};
use relatch_testkit::redis_server::RedisServer;

use super::{
    StoppedClock, ada, around, begin_step, begun, now, raw, refresh, session_id, store_at, store_by, tell,
    user_id,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn living_for(seconds: u32, from: UnixSeconds) -> SessionRecord {
    SessionRecord { absolute_deadline: UnixSeconds(from.0 + seconds), ..live_record(from) }
}

#[tokio::test]
async fn fifty_live_sessions_and_all_tombstones_stay_in_a_listpack() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    let user = ada(&store).await;
    for _ in 0..64 {
        begun(&store, user, now()).await;
    }
    let end = EndStep {
        user,
        scope: Scope::All,
        begun_before: None,
        reason: EndReason::SignedOut,
        note: EndNote::default(),
    };
    assert_eq!(store.end_sessions(&end).await.unwrap().ended.len(), 64);
    for _ in 0..50 {
        let (session, record) = begun(&store, user, now()).await;
        assert!(matches!(store.rotate(&refresh(session, &record)).await, Ok(Rotated::Applied(_))));
    }
    assert_eq!(store.sessions_of(user).await.unwrap().sessions.len(), 114);
    let encoding: String =
        tell(&mut connection, &["OBJECT", "ENCODING", &format!("test:{{{user}}}:s")]).await;
    assert_eq!(encoding, "listpack");
}

#[tokio::test]
async fn lifetimes_of_keys_outlive_every_session_by_a_day_and_only_grow() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    let user = ada(&store).await;
    let (hour, week) = (60 * 60, 7 * 24 * 60 * 60);
    let mut longest = 0;
    for seconds in [hour, week, hour] {
        let session = SessionRef { user, session: session_id() };
        let record = living_for(seconds, now());
        assert_eq!(store.begin_session(&begin_step(session, record)).await, Ok(Begun::Begun));
        assert!(matches!(store.rotate(&refresh(session, &record)).await, Ok(Rotated::Applied(_))));
        longest = longest.max(seconds);
        // Of the first session alone: the lifetime of its history grows with the others all the same.
        if longest == hour {
            store.append_history(session, "a line").await.unwrap();
        }
        for key in ["s", "m", "h"] {
            let left: i64 = tell(&mut connection, &["PTTL", &format!("test:{{{user}}}:{key}")]).await;
            let expected = i64::from(longest) * 1000 + DAY_MS;
            assert!((expected - 60_000..=expected).contains(&left), "{key}: {left} of {expected}");
        }
    }
    assert_eq!(tell::<i64>(&mut connection, &["PTTL", &format!("test:{{{user}}}:u")]).await, -1);
}

#[tokio::test]
async fn a_time_handed_in_far_from_the_server_s_takes_no_key_away() {
    let server = RedisServer::start().await;
    for start in [UnixMillis(1_000_000), UnixMillis(4_000_000_000_000)] {
        let clock = StoppedClock::at(start);
        let store = store_by(&clock, &server.url());
        let user = ada(&store).await;
        let (session, record) = begun(&store, user, start.seconds()).await;
        assert_eq!(store.observe(session).await.unwrap().seen.session, Some(record));
        assert!(
            matches!(store.rotate(&refresh(session, &record)).await, Ok(Rotated::Applied(seen)) if seen.now == start)
        );
    }
}

#[tokio::test]
async fn a_forgotten_session_leaves_nothing_behind() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    let user = ada(&store).await;
    let session = SessionRef { user, session: session_id() };
    let details = SessionDetails { device_name: Some("phone".into()), ..SessionDetails::default() };
    let record = SessionRecord { dpop_bound: true, ..live_record(now()) };
    let step = BeginStep {
        details: details.clone(),
        thumbprint: Some(Thumbprint([4; 32])),
        ..begin_step(session, record)
    };
    assert_eq!(store.begin_session(&step).await, Ok(Begun::Begun));
    let note = EndNote::saying("stolen");
    let end = EndStep {
        user,
        scope: Scope::All,
        begun_before: None,
        reason: EndReason::RevokedByAdmin,
        note: note.clone(),
    };
    store.end_sessions(&end).await.unwrap();
    store.append_history(session, "a line").await.unwrap();

    let found = store.sessions_of(user).await.unwrap().sessions;
    assert_eq!((found[0].details.clone(), found[0].note.clone()), (details, note));
    assert_eq!(store.observe(session).await.unwrap().seen.thumbprint, Some(Thumbprint([4; 32])));

    let changes = vec![(session.session, found[0].record, Change::Forget)];
    let next =
        BeginStep { changes, ..begin_step(SessionRef { user, session: session_id() }, live_record(now())) };
    assert_eq!(store.begin_session(&next).await, Ok(Begun::Begun));
    assert_eq!(tell::<u64>(&mut connection, &["HLEN", &format!("test:{{{user}}}:s")]).await, 1);
    // The details of the session that took its place.
    assert_eq!(tell::<u64>(&mut connection, &["HLEN", &format!("test:{{{user}}}:m")]).await, 1);
    // A number of bytes, of no session.
    assert_eq!(
        tell::<Vec<String>>(&mut connection, &["HKEYS", &format!("test:{{{user}}}:h")]).await,
        ["bytes"]
    );
    store.delete_user(user, None).await.unwrap();
    assert_eq!(tell::<u64>(&mut connection, &["EXISTS", &format!("test:{{{user}}}:h")]).await, 0);
}

#[tokio::test]
async fn a_sign_in_is_blocked_and_writes_nothing_if_anything_is_not_as_it_was_seen() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    let before = store.sessions_of(user).await.unwrap().sessions;
    let fresh = SessionRef { user, session: session_id() };

    let taken = begin_step(session, live_record(now()));
    let stale = SessionRecord { generation: record.generation.next(), ..record };
    let changed =
        BeginStep { changes: vec![(session.session, stale, Change::Forget)], ..begin_step(fresh, record) };
    let gone =
        BeginStep { changes: vec![(session_id(), record, Change::Forget)], ..begin_step(fresh, record) };
    let nobody = begin_step(SessionRef { user: user_id(), session: session_id() }, record);
    for step in [taken, changed, gone, nobody] {
        assert_eq!(store.begin_session(&step).await, Ok(Begun::Blocked));
    }
    tell::<()>(&mut connection, &["HSET", &format!("test:{{{user}}}:u"), "disabled", "1"]).await;
    assert_eq!(store.begin_session(&begin_step(fresh, record)).await, Ok(Begun::Blocked));
    assert_eq!(store.sessions_of(user).await.unwrap().sessions, before);
    assert!(store.user(user).await.unwrap().unwrap().disabled);
}

#[tokio::test]
async fn a_revocation_removes_what_it_cannot_read() {
    let server = RedisServer::start().await;
    let clock = StoppedClock::at(around());
    let (store, mut connection) = (store_by(&clock, &server.url()), raw(&server).await);
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, around().seconds()).await;
    store.append_history(session, "a line").await.unwrap();
    let mut hset = redis::cmd("HSET");
    hset.arg(format!("test:{{{user}}}:s")).arg(session.session.as_bytes()).arg("from the future");
    hset.exec_async(&mut connection).await.unwrap();
    assert!(matches!(store.observe(session).await, Err(StoreError::Corrupt(_))));
    let end = EndStep {
        user,
        scope: Scope::All,
        begun_before: None,
        reason: EndReason::Reuse,
        note: EndNote::saying("why"),
    };
    // What the record would have to tell counts as no.
    // Whose it is the record would have to tell; when it began, the id does.
    let before = Some(session.session.began_at());
    let of_its_client = EndStep { scope: Scope::Client(record.client), ..end.clone() };
    for nothing in [of_its_client, EndStep { begun_before: before, ..end.clone() }] {
        assert_eq!(store.end_sessions(&nothing).await.unwrap().covered, 0);
    }
    let end = EndStep { begun_before: before.map(|at| at.plus(std::time::Duration::from_millis(1))), ..end };
    let ended = store.end_sessions(&end).await.unwrap();
    assert_eq!((ended.covered, ended.ended), (1, vec![session.session]));
    let Rotated::Blocked(seen) = store.rotate(&refresh(session, &record)).await.unwrap() else {
        panic!("a revoked session rotated")
    };
    assert_eq!(seen.seen.session, None);
    assert_eq!(tell::<u64>(&mut connection, &["EXISTS", &format!("test:{{{user}}}:m")]).await, 0);
    assert_eq!(store.history(session).await.unwrap(), Vec::<String>::new());
}
