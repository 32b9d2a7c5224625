//! The request under way, known to all that happens for it: each line of the log names it, at any level, and each record of the audit
//! trail.
//!
//! A span of the logging library would do the same, but is put into a registry and its fields written down for each
//! request, whether or not a line comes of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use relatch_domain::{Generation, SessionRef, UserId};
use uuid::Uuid;

tokio::task_local! {
    static UNDER_WAY: UnderWay;
}

/// A request under way. Clones share what has been told of it.
#[derive(Debug, Clone, Default)]
pub struct UnderWay {
    /// Its id, as it is answered in `X-Request-Id`.
    pub id: Uuid,
    /// What has been told of it, and how it stands.
    pub told: Told,
}

impl UnderWay {
    /// Has this request be the one under way while `answering` runs, and while it is dropped.
    pub fn during<T>(self, answering: impl Future<Output = T>) -> impl Future<Output = T> {
        UNDER_WAY.scope(self, answering)
    }

    /// The same while something is told of it at once.
    pub fn tell<T>(self, telling: impl FnOnce() -> T) -> T {
        UNDER_WAY.sync_scope(self, telling)
    }

    /// The request under way, if there is one.
    pub fn now() -> Option<Self> {
        UNDER_WAY.try_with(Self::clone).ok()
    }

    /// Its id.
    pub fn id() -> Option<Uuid> {
        UNDER_WAY.try_with(|under_way| under_way.id).ok()
    }

    /// Somebody has shown who they are, by an access token.
    pub fn is_by(user: UserId) {
        let _ = UNDER_WAY.try_with(|under_way| under_way.told.by(user));
    }

    /// From now on it runs to its end, whatever becomes of its client. The store's handle says so before each step that
    /// writes; without a request under way nothing is noted.
    pub fn begins_to_write() {
        let _ = UNDER_WAY.try_with(|under_way| under_way.told.begins_to_write());
    }
}

/// What has been told of a request already, what is left for the line that the log has of it in any case, and whether it
/// has to be brought to its end. Clones share it, as do all who speak in the name of one request.
#[derive(Debug, Clone, Default)]
pub struct Told(Arc<Tale>);

#[derive(Debug, Default)]
struct Tale {
    recorded: AtomicBool,
    actor: OnceLock<UserId>,
    rotation: OnceLock<Rotation>,
    has_begun_to_write: AtomicBool,
    client_is_gone: AtomicBool,
}

/// An ordinary refresh: what its request's line says of it, instead of a line of its own.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// Of which session.
    pub session: SessionRef,
    /// Which token was presented.
    pub generation: Generation,
    /// From where.
    pub address: Option<IpAddr>,
}

impl Told {
    /// An audit record has been kept.
    pub fn set(&self) {
        self.0.recorded.store(true, Ordering::Relaxed);
    }

    /// Whether an audit record has been kept.
    pub fn is_set(&self) -> bool {
        self.0.recorded.load(Ordering::Relaxed)
    }

    /// Somebody has shown who they are.
    pub fn by(&self, user: UserId) {
        // The first one: a request has one access token.
        let _ = self.0.actor.set(user);
    }

    /// Who makes the request, if they have shown who they are.
    pub fn actor(&self) -> Option<UserId> {
        self.0.actor.get().copied()
    }

    fn begins_to_write(&self) {
        self.0.has_begun_to_write.store(true, Ordering::Relaxed);
    }

    /// Whether the store has been asked to write something in its name.
    pub fn has_begun_to_write(&self) -> bool {
        self.0.has_begun_to_write.load(Ordering::Relaxed)
    }

    /// Its client has gone before it was answered.
    pub fn lose_client(&self) {
        self.0.client_is_gone.store(true, Ordering::Relaxed);
    }

    /// Whether its client has gone before it was answered.
    pub fn client_is_gone(&self) -> bool {
        self.0.client_is_gone.load(Ordering::Relaxed)
    }

    /// Leaves an ordinary refresh to the request's line.
    pub fn leave(&self, rotation: Rotation) {
        // A request refreshes once.
        let _ = self.0.rotation.set(rotation);
    }

    /// What is left to the request's line.
    pub fn rotation(&self) -> Option<Rotation> {
        self.0.rotation.get().copied()
    }
}
