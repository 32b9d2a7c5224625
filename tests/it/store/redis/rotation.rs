//! `rotate.lua` against the domain's `guards_hold` and `next`, and `ending.lua` against its `end`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use redis::Pipeline;
use redis::aio::MultiplexedConnection;
use relatch::ambient::Random;
use relatch::store::{
    EndNote, EndStep, Ended, Observation, RotateStep, Rotated, Store, StoreError, SwapStep, UserChange,
};
use relatch_domain::budget::Budget;
use relatch_domain::cutoff::Cutoff;
use relatch_domain::ids::{ClientNumber, Generation, MacKeyId, OriginTag};
use relatch_domain::policy::RotationPolicy;
use relatch_domain::revocation::{self, Scope};
use relatch_domain::rotation::{Fresh, Presented, guards_hold, next};
use relatch_domain::session::{Seen, SessionRecord, Standing};
use relatch_domain::testing as any_of;
use relatch_domain::{SessionId, SessionRef, UnixMillis, UserId, record};
use relatch_testkit::redis_server::RedisServer;

use super::{StoppedClock, raw, session_id, store_by, user_id};

const CASES: usize = 12_000;
const TASKS: usize = 8;
const ATTRIBUTES: &str = r#"{"of":["a","b"],"tenant":"acme"}"#;

#[derive(Debug, Clone)]
struct Case {
    seen: Seen,
    presented: Presented,
    fresh: Fresh,
    policy: RotationPolicy,
    now: UnixMillis,
    noise: [u8; 7],
}

/// Fills the bytes that mean nothing in a record that has not ended: reason, time of the end, spare.
fn noisy(record: &SessionRecord, noise: [u8; 7]) -> [u8; record::LEN] {
    let mut packed = record::encode(record);
    if record.ended.is_none() {
        let meaningless = [2, 50, 51, 52, 53, 62, 63];
        meaningless.into_iter().zip(noise).for_each(|(at, byte)| packed[at] = byte);
    }
    packed
}

fn budget() -> impl Strategy<Value = Budget> {
    prop_oneof![
        Just(Budget::UNLIMITED),
        (1_u64..50, 1_u16..6)
            .prop_map(|(tenths, burst)| { Budget::new(Duration::from_millis(tenths * 100), burst).unwrap() }),
    ]
}

prop_compose! {
    fn policy()(
        idle_ttl in prop_oneof![0_u64..1_000_000, Just(u64::MAX)],
        budget in budget(),
        absolute_ttl in prop_oneof![0_u64..1_000_000, Just(u64::MAX)],
        cutoff in proptest::option::weighted(0.2, any_of::sessions_at()),
    ) -> RotationPolicy {
        let (idle_ttl, absolute_ttl) = (Duration::from_secs(idle_ttl), Duration::from_secs(absolute_ttl));
        let cutoff = Cutoff::everyone(cutoff.unwrap_or_default());
        RotationPolicy { idle_ttl, absolute_ttl, budget, cutoff, ..RotationPolicy::default() }
    }
}

prop_compose! {
    fn presented()(
        (generation, nonce, issued_at) in (0_u32..6, any_of::nonce(), any_of::seconds()),
        attempt in any_of::attempt(),
        client in 0_u16..2,
        delivery in any_of::delivery(),
        (thumbprint, began_at) in (any_of::thumbprint(), any_of::sessions_at()),
    ) -> Presented {
        let session = Random.session_id(began_at).unwrap();
        let session = SessionRef { user: user_id(), session };
        let (generation, client) = (Generation(generation), ClientNumber(client));
        Presented { session, generation, nonce, issued_at, attempt, client, delivery, thumbprint }
    }
}

prop_compose! {
    /// Anything at all, or something near to a token that rotates: each of its parts is wrong only now and then.
    fn case()(
        mut seen in any_of::seen(),
        mut presented in presented(),
        (fresh_nonce, mac_key, origin) in (any_of::nonce(), 0_u8..3, any::<u32>()),
        mut policy in policy(),
        (some_time, on_the_second, to_the_deadline) in (any_of::sessions_at(), prop::bool::weighted(0.1), 0_u8..16),
        recent in prop::bool::weighted(0.7),
        noise in prop_oneof![Just([0; 7]), any::<[u8; 7]>()],
        tame in prop::array::uniform7(prop::bool::weighted(0.9)),
        last_generation in prop::bool::weighted(0.02),
    ) -> Case {
        let now = if on_the_second { some_time.seconds().millis() } else { some_time };
        if last_generation && let Some(record) = &mut seen.session {
            record.generation = Generation(u32::MAX);
        }
        if let Some(record) = &mut seen.session {
            let [token, client, delivery, key, live, idle, absolute] = tame;
            if token { (presented.generation, presented.nonce) = (record.generation, record.nonce); }
            if client { presented.client = record.client; }
            if delivery { presented.delivery = record.delivery; }
            if key { presented.thumbprint = seen.thumbprint.filter(|_| record.dpop_bound); }
            if live { record.ended = None; }
            if idle { record.idle_deadline = now.plus(Duration::from_mins(1)).seconds(); }
            if absolute { record.absolute_deadline = now.plus(Duration::from_secs(90)).seconds(); }
            // To the very millisecond of the cutoff.
            if to_the_deadline == 2 { policy.cutoff.at = presented.session.session.began_at(); }
            if to_the_deadline == 3 { policy.cutoff.at = presented.session.session.began_at().plus(Duration::from_millis(1)); }
            if recent { record.signed_in_at = now.seconds(); }
            // A deadline is over in its very first millisecond.
            match to_the_deadline {
                0 if on_the_second => record.idle_deadline = now.seconds(),
                1 if on_the_second => record.absolute_deadline = now.seconds(),
                _ => {}
            }
        }
        let fresh = Fresh { nonce: fresh_nonce, mac_key: MacKeyId(mac_key), origin: OriginTag(origin) };
        Case { seen, presented, fresh, policy, now, noise }
    }
}

/// Puts a user and a session there by hand.
fn seed(pipeline: &mut Pipeline, session: SessionRef, seen: &Seen, noise: [u8; 7]) {
    let tag = format!("test:{{{}}}", session.user);
    if seen.user != Standing::Gone {
        let disabled = u8::from(seen.user == Standing::Disabled);
        pipeline.cmd("HSET").arg(format!("{tag}:u")).arg("name").arg("ada").arg("roles").arg("[]");
        pipeline.arg("disabled").arg(disabled).arg("created").arg(1).ignore();
        // None stored is the same as none.
        if noise[0] % 2 == 1 {
            pipeline.hset(format!("{tag}:u"), "attributes", ATTRIBUTES).ignore();
        }
    }
    if let Some(session_record) = &seen.session {
        pipeline.hset(format!("{tag}:s"), session.session.as_bytes(), &noisy(session_record, noise)).ignore();
    }
    if let Some(thumbprint) = seen.thumbprint {
        let field = [b"t".as_slice(), session.session.as_bytes()].concat();
        pipeline.hset(format!("{tag}:m"), field, &thumbprint.0).ignore();
    }
}

async fn stored(connection: &mut MultiplexedConnection, session: SessionRef) -> Option<Vec<u8>> {
    let key = format!("test:{{{}}}:s", session.user);
    redis::cmd("HGET").arg(key).arg(session.session.as_bytes()).query_async(connection).await.unwrap()
}

/// Runs one case, says whether it was applied.
async fn agrees(
    store: &Arc<dyn Store>,
    clock: &StoppedClock,
    connection: &mut MultiplexedConnection,
    case: &Case,
) -> bool {
    let Case { seen, presented, fresh, policy, now, noise } = case;
    let mut pipeline = redis::pipe();
    seed(&mut pipeline, presented.session, seen, *noise);
    if !pipeline.is_empty() {
        pipeline.exec_async(connection).await.unwrap();
    }
    clock.set(*now);

    let step = RotateStep { presented: *presented, fresh: *fresh, policy: *policy };
    let answer = store.rotate(&step).await.unwrap();
    let expected = guards_hold(seen, presented, *now, policy);
    let (applied, Observation { now: used, seen: reported, profile }) = match answer {
        Rotated::Applied(observation) => (true, observation),
        Rotated::Blocked(observation) => (false, observation),
    };
    assert_eq!(applied, expected, "{case:?}");
    assert_eq!(used, *now);
    assert_eq!(reported.session, seen.session, "{case:?}");
    assert_eq!(reported.user, seen.user, "{case:?}");
    let bound = seen.session.is_some_and(|record| record.dpop_bound);
    assert_eq!(reported.thumbprint, seen.thumbprint.filter(|_| bound), "{case:?}");
    assert_eq!(profile.is_some(), seen.user != Standing::Gone);
    if let Some(profile) = profile {
        let expected = if noise[0] % 2 == 1 { ATTRIBUTES } else { "{}" };
        assert_eq!(serde_json::to_string(&profile.attributes).unwrap(), expected);
    }

    let expected = seen.session.map(|record| {
        let packed = if applied {
            record::encode(&next(&record, presented, fresh, *now, policy))
        } else {
            noisy(&record, *noise)
        };
        packed.to_vec()
    });
    assert_eq!(stored(connection, presented.session).await, expected, "{case:?}");
    applied
}

fn cases<T: std::fmt::Debug>(strategy: &impl Strategy<Value = T>, count: usize) -> Vec<T> {
    // A fixed seed: a failure is the same at the next run, and says which case it was.
    let config = Config { rng_seed: RngSeed::Fixed(0x072e_1a7c), ..Config::default() };
    let mut runner = TestRunner::new(config);
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_rotates_when_the_domain_does_and_writes_the_same_bytes() {
    let server = RedisServer::start().await;
    let mut tasks = Vec::new();
    for cases in cases(&case(), CASES).chunks(CASES / TASKS) {
        let clock = StoppedClock::at(UnixMillis(0));
        let (store, mut connection) = (store_by(&clock, &server.url()), raw(&server).await);
        let cases = cases.to_vec();
        tasks.push(tokio::spawn(async move {
            let mut applied = 0;
            for case in &cases {
                applied += usize::from(agrees(&store, &clock, &mut connection, case).await);
            }
            applied
        }));
    }
    let mut applied = 0;
    for task in join_all(tasks).await {
        applied += task.unwrap();
    }
    // Both sides of the guards must have been seen often, or the comparison shows little.
    assert!((CASES / 10..CASES * 9 / 10).contains(&applied), "{applied} of {CASES} applied");
}

#[tokio::test]
async fn what_another_version_wrote_is_left_alone_and_reported_as_corrupt() {
    let server = RedisServer::start().await;
    let clock = StoppedClock::at(super::around());
    let (store, mut connection) = (store_by(&clock, &server.url()), raw(&server).await);
    let good = any_of::live_record(super::around().seconds());
    let packed = record::encode(&good);
    let spoiled = |at: usize, byte: u8| {
        let mut bytes = packed.to_vec();
        bytes[at] = byte;
        bytes
    };
    let unreadable = [
        spoiled(0, 0),
        spoiled(0, 2),
        spoiled(1, 0b110),
        spoiled(1, 0b1_0000),
        packed[..63].to_vec(),
        [packed.as_slice(), &[0]].concat(),
        Vec::new(),
        b"1".to_vec(),
    ];
    for bytes in unreadable {
        let session = SessionRef { user: user_id(), session: session_id() };
        let seen = Seen { session: Some(good), thumbprint: None, user: Standing::Enabled };
        let mut pipeline = redis::pipe();
        seed(&mut pipeline, session, &seen, [0; 7]);
        let key = format!("test:{{{}}}:s", session.user);
        pipeline.hset(key, session.session.as_bytes(), &bytes).ignore();
        pipeline.exec_async(&mut connection).await.unwrap();

        let answer = store.rotate(&super::refresh(session, &good)).await;
        assert!(matches!(answer, Err(StoreError::Corrupt(_))), "{bytes:?}: {answer:?}");
        assert!(matches!(store.observe(session).await, Err(StoreError::Corrupt(_))));
        let swap = SwapStep { session, as_seen: good, new: good };
        assert!(matches!(store.swap(&swap).await, Err(StoreError::Corrupt(_))));
        assert_eq!(stored(&mut connection, session).await, Some(bytes));
        let sessions = store.sessions_of(session.user).await.unwrap();
        assert_eq!((sessions.sessions.len(), sessions.corrupt.len()), (0, 1));
    }
}

fn sessions() -> impl Strategy<Value = BTreeMap<SessionId, SessionRecord>> {
    let id = any_of::sessions_at().prop_map(|at| Random.session_id(at).unwrap());
    proptest::collection::btree_map(id, any_of::record(), 1..6)
}

fn scope(which: u8, (first, record): (&SessionId, &SessionRecord)) -> Scope {
    match which {
        0 => Scope::One(*first),
        1 => Scope::One(session_id()),
        2 => Scope::AllBut(*first),
        3 => Scope::Client(record.client),
        4 => Scope::Client(ClientNumber(record.client.0 ^ 0x0100)),
        _ => Scope::All,
    }
}

/// Before which sessions end, if it matters.
fn before(which: u8, first: &SessionId, some_time: UnixMillis) -> Option<UnixMillis> {
    match which {
        0 => Some(first.began_at()),
        1 => Some(first.began_at().plus(Duration::from_millis(1))),
        2 => Some(some_time),
        _ => None,
    }
}

async fn has_note(connection: &mut MultiplexedConnection, session: SessionRef) -> bool {
    let field = [b"n".as_slice(), session.session.as_bytes()].concat();
    let key = format!("test:{{{}}}:m", session.user);
    redis::cmd("HEXISTS").arg(key).arg(field).query_async(connection).await.unwrap()
}

#[tokio::test]
async fn sessions_end_in_redis_as_they_do_in_the_domain() {
    let server = RedisServer::start().await;
    let clock = StoppedClock::at(UnixMillis(0));
    let (store, mut connection) = (store_by(&clock, &server.url()), raw(&server).await);
    let strategy = (
        (sessions(), any_of::sessions_at(), any_of::reason()),
        (0_u8..7, 0_u8..4, any_of::sessions_at(), any::<bool>(), any::<bool>()),
        (0_u8..8, any::<[u8; 7]>()),
    );
    let mut by_beginning = 0;
    for ((before, now, reason), (which, begun, some_time, by_change, noted), (to_the_deadline, noise)) in
        cases(&strategy, 3_000)
    {
        let user: UserId = user_id();
        let deadlines = before.values().next().map(|record| (record.idle_deadline, record.absolute_deadline));
        let now = match (to_the_deadline, deadlines) {
            (0, Some((idle, _))) => idle.millis(),
            (1, Some((_, absolute))) => absolute.millis(),
            _ => now,
        };
        clock.set(now);
        let mut pipeline = redis::pipe();
        for (session, record) in &before {
            let seen = Seen { session: Some(*record), thumbprint: None, user: Standing::Enabled };
            seed(&mut pipeline, SessionRef { user, session: *session }, &seen, noise);
        }
        pipeline.exec_async(&mut connection).await.unwrap();
        let first = before.first_key_value().unwrap();
        let scope = scope(which, first);
        let begun_before = self::before(begun, first.0, some_time).filter(|_| !by_change);
        let note = if noted { EndNote::saying("why") } else { EndNote::default() };

        let step = EndStep { user, scope, begun_before, reason, note: note.clone() };

        let answer = if by_change {
            let change = UserChange { end: Some((scope, reason, note.clone())), ..UserChange::of(user) };
            store.change_user(&change).await.unwrap().changed().unwrap().ended
        } else {
            store.end_sessions(&step).await.unwrap()
        };

        let mut expected = Ended { now, covered: 0, ended: Vec::new(), dead: Vec::new(), durable: true };
        for (session, record) in before {
            let (mut after, mut ends) = (noisy(&record, noise), false);
            if step.covers(session, Some(&record)) {
                expected.covered += 1;
                by_beginning += usize::from(begun_before.is_some());
                if let Some((tombstone, counts)) = revocation::end(&record, reason, now) {
                    after = record::encode(&tombstone);
                    ends = true;
                    expected.ended.extend(counts.then_some(session));
                }
                expected.dead.push((session, record::decode(&after).unwrap()));
            }
            let bytes = stored(&mut connection, SessionRef { user, session }).await;
            assert_eq!(bytes, Some(after.to_vec()), "{scope:?} {record:?}");
            let has_note = has_note(&mut connection, SessionRef { user, session }).await;
            assert_eq!(has_note, noted && ends, "{scope:?} {record:?}");
        }
        assert_eq!(answer, expected);
    }
    assert!(by_beginning > 300, "{by_beginning} sessions covered for when they began");
}
