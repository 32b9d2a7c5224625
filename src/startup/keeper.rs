//! Whoever watches over the store: joins it, notices when its process or the store itself is another one, and sees to it
//! that nothing is served from it before it has what it may have lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relatch_domain::event::Event;
use tokio::sync::mpsc;

use super::Announce;
use super::error::{NotJoined, StartError};
use super::join::{ours, own_marker};
use super::owed::Owed;
use super::parts::Parts;
use crate::app::App;
use crate::app::membership::{Adopted, AdoptionOrder};
use crate::app::origin::Origin;
use crate::store::{Marker, Shard};

/// How often the store is looked at: a revocation is in force within a second everywhere, with a slow answer in between.
const FOLLOW: Duration = Duration::from_millis(300);
/// How soon the store is tried again after it failed.
const AGAIN: Duration = Duration::from_millis(100);
/// For how long there may be a replica where the primary should be: longer than while the two swap their roles.
const SWAP: Duration = Duration::from_secs(5);

/// Watches over the store, by a handle that the gate does not stop.
pub(super) struct Keeper {
    pub(super) parts: Arc<Parts>,
    pub(super) app: App,
    /// The same, for what is written again.
    pub(super) restorer: App,
    pub(super) announce: Option<Announce>,
    /// The store that this node belongs to.
    pub(super) known: Option<Marker>,
    /// The processes that are served from.
    pub(super) served: Vec<Shard>,
    /// The sign-ins that it has yet to give back.
    pub(super) owed: Owed,
    orders: Option<mpsc::Receiver<AdoptionOrder>>,
    /// What was last told, so that it is told once and not ten times a second.
    told: String,
    /// Since when there is a replica where the primary should be, and whether the operator was told that it stays so.
    at_replica: Option<(Instant, bool)>,
}

impl Keeper {
    pub(super) fn new(parts: Arc<Parts>, announce: Option<Announce>) -> Self {
        let (app, restorer) = (parts.plain_app(), parts.restoring_app());
        let orders = app.node.membership.take_orders();
        Self {
            parts,
            app,
            restorer,
            announce,
            known: None,
            served: Vec::new(),
            owed: Owed::default(),
            orders,
            told: String::new(),
            at_replica: None,
        }
    }

    /// Joins the store once, if it is there.
    ///
    /// # Errors
    /// If it can never be joined as things are.
    pub(super) async fn at_start(&mut self) -> Result<(), StartError> {
        match self.look().await {
            Ok(()) => Ok(()),
            Err(error) if error.may_pass() => {
                if error.is_outage() {
                    tracing::warn!(%error, "the store is away; answering 503 until it is there");
                } else {
                    tracing::error!(%error, "nothing is served from the store");
                }
                self.told = error.to_string();
                Ok(())
            }
            Err(error) => Err(StartError::Join(error)),
        }
    }

    /// Watches for ever.
    pub(super) async fn keep(mut self) {
        loop {
            let done = match self.wait().await {
                Some(order) => self.adopt(order).await,
                None => self.look_until_done().await,
            };
            self.tell(done);
        }
    }

    /// Looks, and begins anew if the store is rearranged meanwhile: of a process that has been replaced no answer need be waited
    /// for. Every step of a look may be repeated.
    async fn look_until_done(&mut self) -> Result<(), NotJoined> {
        loop {
            let store = self.app.store.clone();
            tokio::select! {
                done = self.look() => return done,
                () = store.rearranged() => {}
            }
        }
    }

    /// Until it is time to look again, somebody has found the gate shut, or an operator orders something.
    async fn wait(&mut self) -> Option<AdoptionOrder> {
        let pause = tokio::time::sleep(if self.told.is_empty() { FOLLOW } else { AGAIN });
        let gate = self.parts.backend.gate().cloned();
        // What knocks while the store is away knocks all the time.
        let knocks = self.told.is_empty();
        let knocked = async {
            match &gate {
                Some(gate) if knocks => gate.knocked().await,
                _ => std::future::pending().await,
            }
        };
        let ordered = async {
            match &mut self.orders {
                Some(orders) => orders.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = pause => None,
            () = knocked => None,
            order = ordered => order,
        }
    }

    /// Takes the store as it is, by an operator's order.
    async fn adopt(&mut self, order: AdoptionOrder) -> Result<(), NotJoined> {
        let done = self.take_it().await;
        // Whoever asked may have gone.
        let _ = order.send(done.as_ref().map(Clone::clone).map_err(ToString::to_string));
        done.map(drop)
    }

    async fn take_it(&mut self) -> Result<Adopted, NotJoined> {
        let marker = match &self.known {
            Some(known) => known.clone(),
            None => own_marker(&self.parts)?,
        };
        let (found, was_missing) = self.app.store.adopt(&marker).await?;
        let found = ours(&self.parts, found)?;
        let was_known = self.known.as_ref() == Some(&found);
        if was_missing || !was_known {
            // Users and keys may be missing too.
            let shards = self.app.store.shards().await?;
            self.join(&shards).await?;
        }
        self.look().await?;
        let store_id = found.store_id;
        if !was_missing && was_known {
            return Ok(Adopted::Known(store_id));
        }
        let event = Event::StoreAdopted { store_id: store_id.clone() };
        self.app.tell(&Origin::operator(), &event).await;
        Ok(if was_missing { Adopted::Marked(store_id) } else { Adopted::Taken(store_id) })
    }

    fn tell(&mut self, done: Result<(), NotJoined>) {
        self.tell_of_a_replica(&done);
        let told = match &done {
            Ok(()) if self.told.is_empty() => return,
            Ok(()) => {
                tracing::info!("the store is there and served from");
                String::new()
            }
            Err(error) => error.to_string(),
        };
        if let Err(error) = done
            && told != self.told
        {
            if error.is_outage() {
                tracing::warn!(%error, "the store is not followed; trying again");
            } else {
                tracing::error!(%error, "nothing is served from the store");
            }
        }
        self.told = told;
    }

    /// Where the roles swap this passes. Where it does not, the address is wrong, or nothing was promoted.
    fn tell_of_a_replica(&mut self, done: &Result<(), NotJoined>) {
        let Err(NotJoined::AtReplica { at }) = done else {
            self.at_replica = None;
            return;
        };
        let (since, told) = self.at_replica.get_or_insert_with(|| (Instant::now(), false));
        if !*told && since.elapsed() > SWAP {
            *told = true;
            tracing::error!(
                at,
                "the store's address goes on leading to a replica: store.url has to lead to the primary"
            );
        }
    }
}
