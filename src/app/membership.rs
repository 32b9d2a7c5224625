//! Which store this node belongs to, and what an operator may do if the store turns out to be another one.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::{App, Failure};

/// How a node stands to its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// It has not joined it since it started.
    #[default]
    NotJoined,
    /// It serves from it.
    Member,
    /// The store is not the one that it knew: it was wiped, or replaced by another.
    Estranged,
    /// Where its primary should be there is a replica.
    AtReplica,
}

/// What came of an operator's order to take the store as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adopted {
    /// It is the one that the server knows already.
    Known(String),
    /// It had lost its marker, and has it again.
    Marked(String),
    /// It is another store of the same issuer and master key: the server serves from it now.
    Taken(String),
}

/// An operator's order, and where its outcome goes: why not, in words for the operator.
pub type AdoptionOrder = oneshot::Sender<Result<Adopted, String>>;

/// A node's membership in its store.
#[derive(Debug)]
pub struct Membership {
    standing: Mutex<Standing>,
    orders: mpsc::Sender<AdoptionOrder>,
    /// Until somebody carries the orders out.
    waiting: Mutex<Option<mpsc::Receiver<AdoptionOrder>>>,
}

impl Default for Membership {
    fn default() -> Self {
        let (orders, waiting) = mpsc::channel(1);
        Self { standing: Mutex::default(), orders, waiting: Mutex::new(Some(waiting)) }
    }
}

impl Membership {
    /// How things stand.
    pub fn standing(&self) -> Standing {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Things stand otherwise.
    pub fn stands(&self, standing: Standing) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// The operators' orders, for whoever carries them out. Given once.
    pub fn take_orders(&self) -> Option<mpsc::Receiver<AdoptionOrder>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Why a server cannot serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unready {
    /// It has not joined its store yet.
    NotJoined,
    /// The store is not the one that it knew.
    Estranged,
    /// Where the store's primary should be there is a replica.
    AtReplica,
    /// It is about to stop.
    Leaving,
}

impl App {
    /// Whether the server can serve: it has joined its store, the store answers, and it is not about to stop.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn ready(&self) -> Result<Result<(), Unready>, Failure> {
        if self.node.leaving.load(Ordering::Relaxed) {
            return Ok(Err(Unready::Leaving));
        }
        match self.node.membership.standing() {
            Standing::NotJoined => return Ok(Err(Unready::NotJoined)),
            Standing::Estranged => return Ok(Err(Unready::Estranged)),
            Standing::AtReplica => return Ok(Err(Unready::AtReplica)),
            Standing::Member => {}
        }
        self.ring()?;
        Ok(Ok(self.store.ping().await?))
    }
}

/// Has the node take the store as it is, if it is of the same issuer and master key. Gives the reason if not; nothing if no
/// server runs in this process.
pub async fn adopt_store(app: &App) -> Option<Result<Adopted, String>> {
    let (order, outcome) = oneshot::channel();
    let membership = &app.node.membership;
    if membership.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
        return None;
    }
    membership.orders.send(order).await.ok()?;
    outcome.await.ok()
}
