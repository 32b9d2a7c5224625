//! The stores, held to the contract and to the model.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use relatch::ambient::Random;
use relatch::store::embedded::{EmbeddedStore, Housekeeping};
use relatch::store::redis::{RedisBackend, RedisSettings, TimeSource};
use relatch::store::{NewUser, Store, UserCreation, UserQuery};
use relatch_domain::attributes::Attributes;
use relatch_domain::testing::AROUND;
use relatch_domain::user::Roles;
use relatch_domain::{UnixSeconds, UserId};
use relatch_testkit::clock::ManualClock;
use relatch_testkit::conformance::{Coverage, examples, run_guesses, run_random, run_shared};
use relatch_testkit::model_store::ModelStore;
use relatch_testkit::redis_server::RedisServer;

/// All verdicts, and what must have happened to users for the comparison to show much.
pub(super) const REACHED: [&str; 24] = [
    "attempt_key_reused",
    "change_blocked",
    "disabled",
    "ended_by_change",
    "ended_by_client",
    "ended_by_time",
    "expired",
    "heal",
    "mismatch",
    "name_given_again",
    "nobody_changed",
    "password_changed",
    "password_rehashed",
    "refresh_of_nobody",
    "retry",
    "reuse",
    "revoked",
    "rotate",
    "sign_in_overtaken",
    "superseded",
    "throttled",
    "unknown",
    "user_changed",
    "user_deleted",
];

/// What must have happened to those who guess.
const REACHED_BY_GUESSES: [&str; 6] = [
    "guess_counted",
    "guess_counted_ahead",
    "guess_has_to_wait",
    "guess_taken_back",
    "guess_waits_ahead",
    "guesses_forgotten",
];

/// What must have happened to what all users share.
pub(super) const REACHED_SHARED: [&str; 12] = [
    "client_cutoff_ahead",
    "cutoff_in_future",
    "cutoff_raised",
    "cutoff_stays",
    "empty_page",
    "log_forgets",
    "log_goes_on",
    "operation_closed",
    "operation_was_not_open",
    "subject_has_an_entry",
    "other_nodes_tokens_live_longer",
    "page",
];

fn assert_reached(coverage: &Coverage, expected: &[&str]) {
    for what in expected {
        // Once may be chance, and a step that hardly ever happens is hardly compared.
        assert!(coverage.0.get(what).is_some_and(|times| *times >= 10), "{what} in {coverage:?}");
    }
}

pub(super) fn clock() -> ManualClock {
    ManualClock::at(UnixSeconds(AROUND).millis())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_answers_as_the_model_does() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    // The model does not sweep, and the cases let months pass.
    let housekeeping = Housekeeping { every: Duration::from_hours(24), ..Housekeeping::default() };
    let path = directory.path().join("store");
    let store = EmbeddedStore::open_with(&path, Arc::new(clock.clone()), housekeeping).unwrap();
    let coverage = run_random(store.handle(), clock, 10_000).await.unwrap();
    assert_reached(&coverage, &REACHED);
}

#[tokio::test]
async fn the_embedded_store_shares_a_cutoff_and_trails_as_the_model_does() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = EmbeddedStore::open(&directory.path().join("store"), Arc::new(clock.clone())).unwrap();
    let coverage = run_shared(store.handle(), clock, 4_000).await.unwrap();
    assert_reached(&coverage, &REACHED_SHARED);
}

#[tokio::test]
async fn the_embedded_store_keeps_the_contract() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = EmbeddedStore::open(&directory.path().join("store"), Arc::new(clock.clone())).unwrap();
    examples(store.handle(), clock).await;
}

#[tokio::test]
async fn the_embedded_store_counts_guesses_as_the_model_does() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = EmbeddedStore::open(&directory.path().join("store"), Arc::new(clock.clone())).unwrap();
    assert_reached(&run_guesses(store.handle(), clock, 2_000).await.unwrap(), &REACHED_BY_GUESSES);
}

#[tokio::test]
async fn redis_counts_guesses_as_the_domain_does() {
    let clock = clock();
    let (_server, store) = on_redis(&clock).await;
    assert_reached(&run_guesses(store, clock, 4_000).await.unwrap(), &REACHED_BY_GUESSES);
}

/// A Redis that goes by the clock, and the store on it.
pub(super) async fn on_redis(clock: &ManualClock) -> (RedisServer, Arc<dyn Store>) {
    let server = RedisServer::start().await;
    let settings = RedisSettings {
        key_prefix: "conformance".into(),
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(5),
        ..RedisSettings::at(server.url())
    };
    let backend = RedisBackend::open(&settings, TimeSource::Handed(Arc::new(clock.clone()))).unwrap();
    (server, backend.handle())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_answers_as_the_model_does() {
    let clock = clock();
    let (_server, store) = on_redis(&clock).await;
    let coverage = run_random(store, clock, 10_000).await.unwrap();
    assert_reached(&coverage, &REACHED);
}

#[tokio::test]
async fn redis_shares_a_cutoff_and_trails_as_the_model_does() {
    let clock = clock();
    let (_server, store) = on_redis(&clock).await;
    let coverage = run_shared(store, clock, 4_000).await.unwrap();
    assert_reached(&coverage, &REACHED_SHARED);
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    let clock = clock();
    let (_server, store) = on_redis(&clock).await;
    examples(store, clock).await;
}

#[tokio::test]
async fn the_model_keeps_the_contract() {
    let clock = clock();
    examples(Arc::new(ModelStore::new(Arc::new(clock.clone()))), clock).await;
}

fn new_user(name: &str, roles: &Roles) -> NewUser {
    NewUser {
        id: UserId::from_bytes(Random.bytes().unwrap()),
        username: name.parse().unwrap(),
        roles: roles.clone(),
        attributes: Attributes::default(),
        disabled: false,
        password_hash: None,
        operation: None,
    }
}

const CROWD: usize = 3_000;

/// Makes a crowd of users and reads all of them page by page, with and without a prefix.
async fn everyone_is_listed_once(store: &dyn Store) {
    let roles: Roles = serde_json::from_str(r#"["user"]"#).unwrap();
    let mut expected: Vec<String> =
        (0..CROWD).map(|n| format!("{}-{n}", ["ada", "adä", "grace"][n % 3])).collect();
    for names in expected.chunks(200) {
        let users: Vec<_> = names.iter().map(|name| new_user(name, &roles)).collect();
        let creations = join_all(users.iter().map(|new| store.create_user(new))).await;
        assert!(creations.iter().all(|creation| matches!(creation, Ok(UserCreation::Created(_)))));
    }
    expected.sort();
    assert_eq!(store.count_users().await, Ok(CROWD as u64));
    for (prefix, limit) in
        [(None, 1000), (None, 77), (Some("ad"), 500), (Some("adä-"), 99), (Some("grace-1"), 1)]
    {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let query = UserQuery { prefix: prefix.map(str::to_owned), after, limit };
            let page = store.list_users(&query).await.unwrap();
            assert!(page.len() <= limit);
            after = page.last().map(|user| user.profile.username.clone());
            listed.extend(page.into_iter().map(|user| user.profile.username.to_string()));
            if after.is_none() {
                break;
            }
        }
        let begins = |name: &&String| prefix.is_none_or(|prefix| name.starts_with(prefix));
        assert!(listed.iter().eq(expected.iter().filter(begins)), "{prefix:?} by {limit}: {listed:?}");
    }
}

#[tokio::test]
async fn of_a_crowd_everyone_is_listed_once_in_the_embedded_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&directory.path().join("store"), Arc::new(clock())).unwrap();
    everyone_is_listed_once(&store).await;
}

#[tokio::test]
async fn of_a_crowd_everyone_is_listed_once_in_redis() {
    let (_server, store) = on_redis(&clock()).await;
    everyone_is_listed_once(&*store).await;
}
