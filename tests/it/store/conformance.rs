//! The stores, held to the contract and to the model; and the suite itself, held to finding what is wrong.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use relatch::store::embedded::{EmbeddedStore, Housekeeping};
use relatch::store::redis::{RedisBackend, RedisSettings, TimeSource};
use relatch::store::{
    AuditEntry, AuditId, BeginStep, Begun, Credentials, CutoffRaised, EndStep, Ended, KeyShelf, Marker,
    NewUser, Observation, RotateStep, Rotated, Store, StoreError, StoredKey, SwapStep, Trail, UserChange,
    UserChanged, UserCreation, UserDeleted, UserQuery, UserSessions,
};
use relatch_domain::revocation::Scope;
use relatch_domain::testing::AROUND;
use relatch_domain::user::{User, Username};
use relatch_domain::{Generation, SessionRef, UnixSeconds, UserId};
use relatch_testkit::clock::ManualClock;
use relatch_testkit::conformance::{examples, run_random};
use relatch_testkit::model_store::ModelStore;
use relatch_testkit::redis_server::RedisServer;

/// All verdicts but `disabled`, which takes a step that the stores do not have yet.
const REACHED: [&str; 11] = [
    "attempt_key_reused",
    "expired",
    "heal",
    "mismatch",
    "retry",
    "reuse",
    "revoked",
    "rotate",
    "superseded",
    "throttled",
    "unknown",
];

fn clock() -> ManualClock {
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
    for verdict in REACHED {
        assert!(coverage.0.contains_key(verdict), "{verdict} in {coverage:?}");
    }
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
        url: server.url().into(),
        key_prefix: "conformance".into(),
        sync_replicas: 0,
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(5),
        ca_file: None,
    };
    let backend = RedisBackend::open(&settings, TimeSource::Handed(Arc::new(clock.clone()))).unwrap();
    (server, backend.handle())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_answers_as_the_model_does() {
    let clock = clock();
    let (_server, store) = on_redis(&clock).await;
    let coverage = run_random(store, clock, 10_000).await.unwrap();
    for verdict in REACHED {
        assert!(coverage.0.contains_key(verdict), "{verdict} in {coverage:?}");
    }
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

    async fn begin_session(&self, step: &BeginStep) -> Result<Begun, StoreError> {
        self.model.begin_session(step).await
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

    async fn change_user(&self, change: &UserChange) -> Result<Option<UserChanged>, StoreError> {
        self.model.change_user(change).await
    }

    async fn delete_user(&self, user: UserId) -> Result<Option<UserDeleted>, StoreError> {
        self.model.delete_user(user).await
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
        before: Option<AuditId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.model.audit(trail, before, limit).await
    }

    async fn keys(&self) -> Result<KeyShelf, StoreError> {
        self.model.keys().await
    }

    async fn put_key(&self, expected: u64, key: &StoredKey) -> Result<bool, StoreError> {
        self.model.put_key(expected, key).await
    }

    async fn identify(&self, marker: &Marker) -> Result<Marker, StoreError> {
        self.model.identify(marker).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.model.ping().await
    }
}

#[tokio::test]
async fn the_suite_finds_flaws_and_makes_the_failing_case_short() {
    for (flaw, at_most) in [(Flaw::SwapsUnseen, 3), (Flaw::EndsTheSpared, 2), (Flaw::LosesRotations, 4)] {
        let clock = clock();
        let model = ModelStore::new(Arc::new(clock.clone()));
        let store = Arc::new(Flawed { model, flaw });
        let found = run_random(store, clock, 2_000).await.unwrap_err();
        assert!(found.len() <= at_most, "{found}");
    }
}
