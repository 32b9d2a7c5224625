//! How many round trips the steps take, counted on the wire.

use std::collections::BTreeMap;

use relatch::store::{Rotated, SwapStep};
use relatch_domain::rotation::next;
use relatch_testkit::redis_server::RedisServer;
use relatch_testkit::wire::{Sent, Wire};

use super::{ada, begun, now, refresh, store_at};

fn one(command: &str) -> Sent {
    Sent { reads: 1, connections: 0, commands: BTreeMap::from([(command.to_owned(), 1)]) }
}

#[tokio::test]
async fn a_refresh_is_one_round_trip() {
    let server = RedisServer::start().await;
    let wire = Wire::to(server.address()).await;
    let store = store_at(&wire.url());
    let user = ada(&store).await;
    let (session, mut record) = begun(&store, user, now()).await;
    // The first run of a script on a server sends it in full.
    for expected in [None, Some(one("EVALSHA")), Some(one("EVALSHA"))] {
        wire.reset();
        let step = refresh(session, &record);
        let Rotated::Applied(seen) = store.rotate(&step).await.unwrap() else { panic!("blocked") };
        if let Some(expected) = expected {
            assert_eq!(wire.sent(), expected);
        }
        record = next(&record, &step.presented, &step.fresh, seen.now, &step.policy);
    }
    // A refusal is no dearer.
    wire.reset();
    let mut stale = refresh(session, &record);
    stale.presented.generation.0 -= 1;
    assert!(matches!(store.rotate(&stale).await, Ok(Rotated::Blocked(_))));
    assert_eq!(wire.sent(), one("EVALSHA"));
}

#[tokio::test]
async fn looking_at_one_session_or_all_of_a_user_is_one_round_trip() {
    let server = RedisServer::start().await;
    let wire = Wire::to(server.address()).await;
    let store = store_at(&wire.url());
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    let swap = SwapStep { session, as_seen: record, new: record };
    for known in [false, true] {
        let expected = one("EVALSHA_RO");
        wire.reset();
        store.observe(session).await.unwrap();
        assert!(!known || wire.sent() == expected, "{:?}", wire.sent());
        wire.reset();
        assert_eq!(store.sessions_of(user).await.unwrap().sessions.len(), 1);
        assert!(!known || wire.sent() == expected, "{:?}", wire.sent());
        wire.reset();
        assert!(matches!(store.swap(&swap).await, Ok(Rotated::Applied(_))));
        assert!(!known || wire.sent() == one("EVALSHA"), "{:?}", wire.sent());
    }
}

#[tokio::test]
async fn a_handle_keeps_to_one_connection() {
    let server = RedisServer::start().await;
    let wire = Wire::to(server.address()).await;
    let store = store_at(&wire.url());
    let asked = (0..50).map(|_| store.ping());
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(answer, Ok(()));
    }
    assert_eq!(wire.sent().connections, 1);
    assert_eq!(wire.sent().commands.get("PING"), Some(&50));
}
