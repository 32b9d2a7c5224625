//! The store in Redis, on real `redis-server` processes of its own.

mod cluster;
mod connections;
mod failures;
mod gate;
mod journal;
mod keys;
mod replicas;
mod rotation;
mod sentinel;
mod sessions;
mod users;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, FromRedisValue};
use relatch::ambient::{Clock, Random};
use relatch::store::redis::{RedisBackend, RedisSettings, TimeSource};
use relatch::store::{
    BeginStep, Begun, CutoffRaised, NewUser, RotateStep, SessionDetails, Store, StoreError, UserChange,
    UserCreation,
};
use relatch_domain::attributes::Attributes;
use relatch_domain::cutoff::Whose;
use relatch_domain::ids::{MacKeyId, Nonce, OriginTag};
use relatch_domain::policy::RotationPolicy;
use relatch_domain::rotation::{Fresh, Presented};
use relatch_domain::session::SessionRecord;
use relatch_domain::testing::{AROUND, live_record};
use relatch_domain::user::Username;
use relatch_domain::{SessionId, SessionRef, UnixMillis, UnixSeconds, UserId};
use relatch_testkit::redis_server::RedisServer;

/// The settings for this URL, with short timeouts.
fn settings(url: &str) -> RedisSettings {
    RedisSettings {
        key_prefix: "test".into(),
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(2),
        ..RedisSettings::at(url)
    }
}

/// A handle that goes by the server's time.
fn store_at(url: &str) -> Arc<dyn Store> {
    RedisBackend::open(&settings(url), TimeSource::Store).unwrap().handle()
}

/// A clock that stands still until it is set.
#[derive(Clone)]
struct StoppedClock(Arc<AtomicU64>);

impl StoppedClock {
    fn at(now: UnixMillis) -> Self {
        Self(Arc::new(AtomicU64::new(now.0)))
    }

    fn set(&self, now: UnixMillis) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}

/// A handle that goes by this clock.
fn store_by(clock: &StoppedClock, url: &str) -> Arc<dyn Store> {
    let time = TimeSource::Handed(Arc::new(clock.clone()));
    RedisBackend::open(&settings(url), time).unwrap().handle()
}

/// A connection beside the store, to look at what it wrote and to spoil it.
async fn raw(server: &RedisServer) -> MultiplexedConnection {
    Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Sends a command beside the store.
async fn tell<T: FromRedisValue>(connection: &mut MultiplexedConnection, words: &[&str]) -> T {
    let mut cmd = Cmd::new();
    cmd.arg(words);
    cmd.query_async(connection).await.unwrap()
}

fn now() -> UnixSeconds {
    relatch::ambient::SystemClock.now().seconds()
}

async fn raise(store: &Arc<dyn Store>, cutoff: UnixMillis) -> Result<CutoffRaised, StoreError> {
    store.raise_cutoff(Whose::Everyone, cutoff).await
}

/// The point in time around which the domain's strategies play.
fn around() -> UnixMillis {
    UnixSeconds(AROUND).millis()
}

fn user_id() -> UserId {
    Random.user_id(around()).unwrap()
}

fn session_id() -> SessionId {
    Random.session_id(around()).unwrap()
}

fn new_user(name: &str) -> NewUser {
    NewUser {
        id: user_id(),
        username: name.parse().unwrap(),
        roles: serde_json::from_str(r#"["user"]"#).unwrap(),
        attributes: Attributes::default(),
        disabled: false,
        password_hash: Some("$2b$04$hash".into()),
        operation: None,
    }
}

fn new_password(user: UserId, hash: &str) -> UserChange {
    UserChange { password_hash: Some(hash.to_owned()), ..UserChange::of(user) }
}

async fn ada(store: &Arc<dyn Store>) -> UserId {
    let name: Username = format!("ada-{}", session_id()).parse().unwrap();
    match store.create_user(&new_user(name.as_str())).await.unwrap() {
        UserCreation::Created(user) => user.id,
        UserCreation::NameTaken => panic!("a fresh name is taken"),
    }
}

fn begin_step(session: SessionRef, record: SessionRecord) -> BeginStep {
    BeginStep {
        session,
        record,
        details: SessionDetails::default(),
        thumbprint: None,
        changes: Vec::new(),
        max_found: usize::MAX,
        checked_hash: None,
        operation: None,
    }
}

/// Whether it has, on however many replicas.
fn has_begun(begun: &Result<Begun, StoreError>) -> bool {
    matches!(begun, Ok(Begun::Begun | Begun::Alone))
}

/// Begins a session of this user, live for an hour from `now`.
async fn begun(store: &Arc<dyn Store>, user: UserId, now: UnixSeconds) -> (SessionRef, SessionRecord) {
    let session = SessionRef { user, session: session_id() };
    let record = live_record(now);
    assert!(has_begun(&store.begin_session(&begin_step(session, record)).await));
    (session, record)
}

/// The refresh that presents the record's current token.
fn refresh(session: SessionRef, record: &SessionRecord) -> RotateStep {
    RotateStep {
        presented: Presented {
            session,
            generation: record.generation,
            nonce: record.nonce,
            issued_at: record.rotated_at.seconds(),
            attempt: None,
            client: record.client,
            delivery: record.delivery,
            thumbprint: None,
        },
        fresh: Fresh { nonce: Nonce([9; 8]), mac_key: MacKeyId(1), origin: OriginTag(3) },
        policy: RotationPolicy::default(),
    }
}
