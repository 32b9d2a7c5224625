//! The stores, held to the contract and to the model; and the suite itself, held to finding what is wrong.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use relatch::ambient::Random;
use relatch::store::embedded::{EmbeddedStore, Housekeeping};
use relatch::store::redis::{RedisBackend, RedisSettings, TimeSource};
use relatch::store::{
    BeginStep, Begun, Credentials, CutoffRaised, EndStep, Ended, EntryId, FeedEntry, KeyShelf, Marker,
    NewUser, Observation, RotateStep, Rotated, Shards, Store, StoreError, StoredKey, SwapStep, Trail,
    TrailEntry, UserAsSeen, UserChange, UserChangeOutcome, UserCreation, UserDeleted, UserQuery,
    UserSessions,
};
use relatch_domain::attributes::Attributes;
use relatch_domain::revocation::{Revocation, Scope};
use relatch_domain::testing::AROUND;
use relatch_domain::user::{Roles, User, Username};
use relatch_domain::{Generation, SessionRef, UnixSeconds, UserId};
use relatch_testkit::clock::ManualClock;
use relatch_testkit::conformance::{Coverage, examples, run_random, run_shared};
use relatch_testkit::model_store::ModelStore;
use relatch_testkit::redis_server::RedisServer;

/// All verdicts, and what must have happened to users for the comparison to show much.
pub(super) const REACHED: [&str; 22] = [
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

/// What must have happened to what all users share.
pub(super) const REACHED_SHARED: [&str; 7] = [
    "cutoff_in_future",
    "cutoff_raised",
    "cutoff_stays",
    "empty_page",
    "feed_forgets",
    "feed_goes_on",
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
    let coverage = run_shared(store.handle(), clock, 2_000).await.unwrap();
    assert_reached(&coverage, &REACHED_SHARED);
}

#[tokio::test]
async fn the_embedded_store_keeps_the_contract() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = EmbeddedStore::open(&directory.path().join("store"), Arc::new(clock.clone())).unwrap();
    examples(store.handle(), clock).await;
}

/// A Redis that goes by the clock, and the store on it.
async fn on_redis(clock: &ManualClock) -> (RedisServer, Arc<dyn Store>) {
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
    let coverage = run_shared(store, clock, 2_000).await.unwrap();
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

/// A model with a flaw in it.
struct Flawed {
    model: ModelStore,
    flaw: Flaw,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// A swap does not look whether the record is as it was seen.
    SwapsUnseen,
    /// The third rotation of each session is acknowledged and lost.
    LosesRotations,
    /// A revocation of all but one session ends that one too.
    EndsTheSpared,
    /// A deletion is acknowledged and nothing is deleted.
    KeepsTheDeleted,
    /// Attributes are acknowledged and not kept.
    LosesAttributes,
    /// A user is changed whatever was seen of them.
    ChangesUnseen,
    /// A session begins whatever password was checked.
    BeginsUnchecked,
}

#[async_trait]
impl Store for Flawed {
    async fn rotate(&self, step: &RotateStep) -> Result<Rotated, StoreError> {
        if self.flaw != Flaw::LosesRotations || step.presented.generation != Generation(2) {
            return self.model.rotate(step).await;
        }
        let before = self.model.observe(step.presented.session).await?;
        let outcome = self.model.rotate(step).await?;
        if let (Rotated::Applied(_), Some(old)) = (&outcome, before.seen.session) {
            let now = self.model.observe(step.presented.session).await?;
            let as_seen = now.seen.session.unwrap_or(old);
            self.model.swap(&SwapStep { session: step.presented.session, as_seen, new: old }).await?;
        }
        Ok(outcome)
    }

    async fn swap(&self, step: &SwapStep) -> Result<Rotated, StoreError> {
        let now = self.model.observe(step.session).await?.seen.session;
        let as_seen = now.filter(|_| self.flaw == Flaw::SwapsUnseen).unwrap_or(step.as_seen);
        self.model.swap(&SwapStep { as_seen, ..*step }).await
    }

    async fn end_sessions(&self, step: &EndStep) -> Result<Ended, StoreError> {
        let mut step = step.clone();
        if self.flaw == Flaw::EndsTheSpared && matches!(step.scope, Scope::AllBut(_)) {
            step.scope = Scope::All;
        }
        self.model.end_sessions(&step).await
    }

    async fn observe(&self, session: SessionRef) -> Result<Observation, StoreError> {
        self.model.observe(session).await
    }

    async fn sessions_of(&self, user: UserId) -> Result<UserSessions, StoreError> {
        self.model.sessions_of(user).await
    }

    async fn append_history(&self, session: SessionRef, line: &str) -> Result<(), StoreError> {
        self.model.append_history(session, line).await
    }

    async fn begin_session(&self, step: &BeginStep) -> Result<Begun, StoreError> {
        let mut step = step.clone();
        step.checked_hash = step.checked_hash.filter(|_| self.flaw != Flaw::BeginsUnchecked);
        self.model.begin_session(&step).await
    }

    async fn create_user(&self, new: &NewUser) -> Result<UserCreation, StoreError> {
        self.model.create_user(new).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.model.user(id).await
    }

    async fn credentials(&self, name: &Username) -> Result<Option<Credentials>, StoreError> {
        self.model.credentials(name).await
    }

    async fn list_users(&self, query: &UserQuery) -> Result<Vec<User>, StoreError> {
        self.model.list_users(query).await
    }

    async fn count_users(&self) -> Result<u64, StoreError> {
        self.model.count_users().await
    }

    async fn change_user(&self, change: &UserChange) -> Result<UserChangeOutcome, StoreError> {
        let mut change = change.clone();
        change.attributes = change.attributes.filter(|_| self.flaw != Flaw::LosesAttributes);
        if self.flaw == Flaw::ChangesUnseen {
            change.as_seen = UserAsSeen::default();
        }
        self.model.change_user(&change).await
    }

    async fn delete_user(&self, user: UserId) -> Result<Option<UserDeleted>, StoreError> {
        if self.flaw != Flaw::KeepsTheDeleted {
            return self.model.delete_user(user).await;
        }
        let found = self.model.user(user).await?;
        Ok(found.map(|user| UserDeleted { user, durable: true }))
    }

    async fn cutoff(&self) -> Result<UnixSeconds, StoreError> {
        self.model.cutoff().await
    }

    async fn raise_cutoff(&self, cutoff: UnixSeconds) -> Result<CutoffRaised, StoreError> {
        self.model.raise_cutoff(cutoff).await
    }

    async fn append_audit(&self, trail: Trail, record: &[u8], keep: usize) -> Result<(), StoreError> {
        self.model.append_audit(trail, record, keep).await
    }

    async fn audit(
        &self,
        trail: Trail,
        before: Option<EntryId>,
        limit: usize,
    ) -> Result<Vec<TrailEntry>, StoreError> {
        self.model.audit(trail, before, limit).await
    }

    async fn announce(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        self.model.announce(revocations).await
    }

    async fn announced(&self, after: Option<EntryId>, limit: usize) -> Result<Vec<FeedEntry>, StoreError> {
        self.model.announced(after, limit).await
    }

    async fn keys(&self) -> Result<KeyShelf, StoreError> {
        self.model.keys().await
    }

    async fn put_key(&self, expected: u64, key: &StoredKey) -> Result<bool, StoreError> {
        self.model.put_key(expected, key).await
    }

    async fn identify(&self, marker: &Marker) -> Result<Option<Marker>, StoreError> {
        self.model.identify(marker).await
    }

    async fn marker(&self) -> Result<Option<Marker>, StoreError> {
        self.model.marker().await
    }

    async fn shards(&self) -> Result<Shards, StoreError> {
        self.model.shards().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.model.ping().await
    }
}

#[tokio::test]
async fn the_suite_finds_flaws_and_makes_the_failing_case_short() {
    for (flaw, at_most) in [
        (Flaw::SwapsUnseen, 3),
        (Flaw::EndsTheSpared, 3),
        (Flaw::LosesRotations, 4),
        (Flaw::KeepsTheDeleted, 2),
        (Flaw::LosesAttributes, 2),
        (Flaw::ChangesUnseen, 1),
        (Flaw::BeginsUnchecked, 1),
    ] {
        let clock = clock();
        let model = ModelStore::new(Arc::new(clock.clone()));
        let store = Arc::new(Flawed { model, flaw });
        let found = run_random(store, clock, 2_000).await.unwrap_err();
        assert!(found.len() <= at_most, "{found}");
    }
}
