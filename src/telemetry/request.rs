//! The request under way, known to all that happens for it: each line of the log names it, at any level, and each record of the audit
//! trail.
//!
//! A span of the logging library would do the same, but is put into a registry and its fields written down for each
//! request, whether or not a line comes of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use relatch_domain::{Generation, SessionRef};
use uuid::Uuid;

tokio::task_local! {
    static UNDER_WAY: UnderWay;
}

/// A request under way. Clones share what has been told of it.
#[derive(Debug, Clone, Default)]
pub struct UnderWay {
    /// Its id, as it is answered in `X-Request-Id`.
    pub id: Uuid,
    /// What has been told of it.
    pub told: Told,
}

impl UnderWay {
    /// Has this request be the one under way while `answering` runs, and while it is dropped.
    pub fn during<T>(self, answering: impl Future<Output = T>) -> impl Future<Output = T> {
        UNDER_WAY.scope(self, answering)
    }

    /// The request under way, if there is one.
    pub fn now() -> Option<Self> {
        UNDER_WAY.try_with(Self::clone).ok()
    }

    /// Its id.
    pub fn id() -> Option<Uuid> {
        UNDER_WAY.try_with(|under_way| under_way.id).ok()
    }
}

/// What has been told of a request already, and what is left for the line that the log has of it in any case. Clones
/// share it, as do all who speak in the name of one request.
#[derive(Debug, Clone, Default)]
pub struct Told(Arc<Tale>);

#[derive(Debug, Default)]
struct Tale {
    recorded: AtomicBool,
    rotation: OnceLock<Rotation>,
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
