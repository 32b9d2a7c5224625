//! A Cluster of six.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use relatch::store::redis::{Login, RedisBackend, RedisSettings, TimeSource};
use relatch::store::{Bearing, EndNote, EndStep, Look, Marker, Rotated, Store, StoreError, UserQuery};
use relatch_domain::SessionRef;
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_testkit::redis_group::RedisCluster;

use super::{ada, begun, now, refresh, session_id, settings};

fn backend(cluster: &RedisCluster) -> RedisBackend {
    let settings = RedisSettings { sync_replicas: 1, ..settings(&cluster.url()) };
    RedisBackend::open(&settings, TimeSource::Store).unwrap()
}

fn marker() -> Marker {
    Marker { store_id: "one".into(), issuer: "us".into(), master_key_check: "check".into() }
}

/// How often each error was answered, and each command called, on all nodes together.
fn counted(cluster: &RedisCluster, section: &str, prefix: &str) -> Vec<(String, u64)> {
    let mut counted = std::collections::BTreeMap::new();
    for node in cluster.nodes() {
        for line in node.told(&format!("INFO {section}")).lines() {
            let Some((name, rest)) = line.strip_prefix(prefix).and_then(|line| line.split_once(':')) else {
                continue;
            };
            let count = rest.split([',', '=']).nth(1).unwrap_or_default();
            *counted.entry(name.to_owned()).or_default() += count.parse::<u64>().unwrap();
        }
    }
    counted.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_goes_straight_to_the_one_slot_of_its_user() {
    let cluster = RedisCluster::builder().password("sesame").start().await;
    let store = backend(&cluster).handle();
    store.identify(&marker()).await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..30 {
        let user = ada(&store).await;
        sessions.push(begun(&store, user, now()).await);
    }
    let shards: std::collections::BTreeSet<_> = sessions
        .iter()
        .map(|(session, _)| cluster.primary_of(RedisCluster::slot_of(&format!("{{{}}}", session.user))))
        .collect();
    assert_eq!(shards.len(), 3, "users are on all shards");
    // Scripts are known by now, and so is who holds what.
    for (session, record) in &sessions {
        assert!(matches!(store.rotate(&refresh(*session, record)).await, Ok(Rotated::Applied(_))));
        assert!(store.observe(*session).await.unwrap().seen.session.is_some());
    }
    for node in cluster.nodes() {
        assert_eq!(node.say("CONFIG RESETSTAT"), "+OK");
    }
    for (session, _) in &sessions {
        let record = store.observe(*session).await.unwrap().seen.session.unwrap();
        assert!(matches!(store.rotate(&refresh(*session, &record)).await, Ok(Rotated::Applied(_))));
    }
    let calls = counted(&cluster, "commandstats", "cmdstat_");
    let of = |name: &str| calls.iter().find(|(other, _)| other == name).map_or(0, |(_, count)| *count);
    assert_eq!(of("evalsha") + of("evalsha_ro"), 60, "one each: {calls:?}");
    assert_eq!(of("eval") + of("asking"), 0, "{calls:?}");
    assert_eq!(store.list_users(&UserQuery { limit: 100, ..UserQuery::default() }).await.unwrap().len(), 30);
    // All primaries are asked for the time, which is that of this machine.
    let (before, latest) = (now().millis(), store.latest_time().await.unwrap());
    assert!(before <= latest && latest <= now().millis().plus(Duration::from_secs(2)), "{latest:?}");
    for (session, _) in &sessions {
        let user = session.user;
        assert_eq!(store.sessions_of(user).await.unwrap().sessions.len(), 1);
        let end = EndStep {
            user,
            scope: Scope::All,
            begun_before: None,
            reason: EndReason::SignedOut,
            note: EndNote::default(),
        };
        assert!(store.end_sessions(&end).await.unwrap().durable);
        store.delete_user(user, None).await.unwrap();
    }
    // Neither redirected nor refused for touching several slots.
    let errors = counted(&cluster, "errorstats", "errorstat_");
    for error in ["MOVED", "ASK", "TRYAGAIN", "CROSSSLOT", "CLUSTERDOWN", "ERR"] {
        assert!(errors.iter().all(|(name, _)| name != error), "{errors:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_tls_and_as_a_user_with_few_rights_a_store_finds_its_nodes() {
    let cluster = RedisCluster::builder().tls().start().await;
    let rights = "~test:* +@all -@dangerous +info +cluster|nodes";
    for node in cluster.nodes() {
        assert_eq!(node.say(&format!("ACL SETUSER relatch on >sesame {rights}")), "+OK");
    }
    let login = Login { username: Some("relatch".into()), password: Some("sesame".into()) };
    let settings = RedisSettings {
        sync_replicas: 1,
        login,
        ca_file: Some(cluster.ca_file()),
        ..settings(&cluster.url())
    };
    let store = RedisBackend::open(&settings, TimeSource::Store).unwrap().handle();
    store.identify(&marker()).await.unwrap();
    let shards = store.shards().await.unwrap();
    assert_eq!((shards.there.len(), shards.away.len()), (3, 0), "{shards:?}");
    for _ in 0..10 {
        let user = ada(&store).await;
        let (session, record) = begun(&store, user, now()).await;
        assert!(matches!(store.rotate(&refresh(session, &record)).await, Ok(Rotated::Applied(_))));
        let end = EndStep {
            user,
            scope: Scope::All,
            begun_before: None,
            reason: EndReason::SignedOut,
            note: EndNote::default(),
        };
        assert!(store.end_sessions(&end).await.unwrap().durable);
    }
    assert!(shards.there.iter().all(|shard| shard.at.starts_with("localhost:")), "{shards:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_may_move_while_its_sessions_refresh() {
    let cluster = RedisCluster::start().await;
    let store = backend(&cluster).handle();
    store.identify(&marker()).await.unwrap();
    let user = ada(&store).await;
    let (session, mut record) = begun(&store, user, now()).await;
    let slot = RedisCluster::slot_of(&format!("{{{user}}}"));
    let from = cluster.primary_of(slot);
    let to = cluster.primaries().into_iter().find(|node| *node != from).unwrap();
    let done = AtomicBool::new(false);
    let moving = async {
        for to in [to, from, to] {
            cluster.migrate(slot, to, Duration::from_millis(30)).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    let refreshing = async {
        let mut rotated = 0;
        while !done.load(Ordering::Relaxed) {
            let answer = store.rotate(&refresh(session, &record)).await;
            assert!(matches!(answer, Ok(Rotated::Applied(_))), "{answer:?}");
            record = store.observe(session).await.unwrap().seen.session.unwrap();
            rotated += 1;
        }
        rotated
    };
    let ((), rotated) = tokio::join!(moving, refreshing);
    assert!(rotated > 3, "{rotated}");
    assert_eq!(cluster.primary_of(slot), to);
    let shards = store.shards().await.unwrap();
    let holder = shards.there.iter().find(|shard| shard.holds(user)).unwrap();
    assert_eq!(
        store.bearing(holder, &marker(), Look::Everywhere).await,
        Ok(Bearing::Known),
        "the mark moved, too"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_was_emptied_is_shut_and_the_others_are_not() {
    let mut cluster = RedisCluster::builder().args(["--cluster-require-full-coverage", "no"]).start().await;
    let backend = backend(&cluster);
    let (plain, gated) = (backend.handle(), backend.gated_handle());
    let known = plain.identify(&marker()).await.unwrap().unwrap();
    assert_eq!(plain.identify(&Marker { store_id: "two".into(), ..marker() }).await, Ok(Some(known.clone())));
    let (mut emptied, mut whole) = (None, None);
    let lost = cluster.primary_of(0);
    while emptied.is_none() || whole.is_none() {
        let user = ada(&plain).await;
        let slot = RedisCluster::slot_of(&format!("{{{user}}}"));
        let place = if cluster.primary_of(slot) == lost { &mut emptied } else { &mut whole };
        *place = Some(begun(&plain, user, now()).await.0);
    }
    let (emptied, whole) = (emptied.unwrap(), whole.unwrap());
    for shard in plain.shards().await.unwrap().there {
        assert_eq!(plain.bearing(&shard, &known, Look::Everywhere).await, Ok(Bearing::Known));
        backend.gate().open_to(&shard.process, &known);
    }
    let missing = |session: SessionRef| SessionRef { session: session_id(), ..session };
    assert_eq!(gated.observe(missing(emptied)).await.unwrap().seen.session, None, "nobody knows this one");

    assert_eq!(cluster.node(lost).say("FLUSHALL"), "+OK");
    let answer = gated.observe(emptied).await;
    assert!(
        matches!(answer, Err(StoreError::Unavailable(_))),
        "a verdict on a store that was emptied: {answer:?}"
    );
    assert!(gated.observe(whole).await.unwrap().seen.session.is_some());
    assert_eq!(gated.observe(missing(whole)).await.unwrap().seen.session, None);
    let mut bearings = Vec::new();
    for shard in plain.shards().await.unwrap().there {
        bearings.push(plain.bearing(&shard, &known, Look::Glance).await.unwrap());
    }
    bearings.sort_by_key(|bearing| *bearing == Bearing::Known);
    assert_eq!(bearings, [Bearing::Wiped, Bearing::Known, Bearing::Known]);

    assert_eq!(plain.adopt(&known).await, Ok((known.clone(), true)));
    assert_eq!(plain.adopt(&known).await, Ok((known.clone(), false)));
    for shard in plain.shards().await.unwrap().there {
        assert_eq!(plain.bearing(&shard, &known, Look::Everywhere).await, Ok(Bearing::Known));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_marker_s_own_shard_is_missed_as_well() {
    let mut cluster = RedisCluster::start().await;
    let store = backend(&cluster).handle();
    store.identify(&marker()).await.unwrap();
    let lost = cluster.primary_of(RedisCluster::slot_of("test:marker"));
    assert_eq!(cluster.node(lost).say("FLUSHALL"), "+OK");
    let another = Marker { store_id: "two".into(), ..marker() };
    assert_eq!(
        store.identify(&another).await,
        Ok(None),
        "a server that starts does not take it for a new store"
    );
    assert_eq!(store.adopt(&another).await, Ok((marker(), true)), "the store keeps its id");
    assert_eq!(store.identify(&another).await, Ok(Some(marker())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_follows_a_shard_to_its_replica() {
    let mut cluster = RedisCluster::start().await;
    let store: Arc<dyn Store> = backend(&cluster).handle();
    store.identify(&marker()).await.unwrap();
    let user = ada(&store).await;
    let (session, record) = begun(&store, user, now()).await;
    let slot = RedisCluster::slot_of(&format!("{{{user}}}"));
    let first = cluster.primary_of(slot);
    cluster.node(first).kill();
    let answer = store.rotate(&refresh(session, &record)).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_) | StoreError::Indeterminate(_))), "{answer:?}");
    cluster.until_promoted(slot, first).await;
    let start = std::time::Instant::now();
    while !matches!(store.rotate(&refresh(session, &record)).await, Ok(Rotated::Applied(_))) {
        assert!(start.elapsed().as_secs() < 10, "the new primary is not found");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cluster.node(first).restart().await;
    cluster.until_ok().await;
    assert!(store.observe(session).await.unwrap().seen.session.is_some());
}
