//! Whoever watches over the store: joins it, notices when its process or the store itself is another one, and sees to it
//! that nothing is served from it before it has what it may have lost.

use std::sync::Arc;
use std::time::Duration;

use relatch_domain::event::Event;
use tokio::sync::mpsc;

use super::Announce;
use super::error::{NotJoined, NotOurStore, StartError};
use super::join::{identify, join, own_marker};
use super::parts::Parts;
use crate::app::App;
use crate::app::cutoff::follow_cutoff;
use crate::app::membership::{Adopted, AdoptionOrder, Standing};
use crate::app::origin::Origin;
use crate::app::restore::{apply_again, tell_restored};
use crate::app::revocations::follow_revocations;
use crate::store::{Marker, StoreError};

/// How often the store is looked at: a revocation is in force within a second everywhere, with a slow answer in between.
const FOLLOW: Duration = Duration::from_millis(300);
/// How soon the store is tried again after it failed.
const AGAIN: Duration = Duration::from_millis(100);

/// Watches over the store, by a handle that the gate does not stop.
pub(super) struct Keeper {
    parts: Arc<Parts>,
    app: App,
    announce: Option<Announce>,
    /// The store that this node belongs to.
    known: Option<Marker>,
    orders: Option<mpsc::Receiver<AdoptionOrder>>,
    /// What was last told, so that it is told once and not ten times a second.
    told: String,
}

impl Keeper {
    pub(super) fn new(parts: Arc<Parts>, announce: Option<Announce>) -> Self {
        let app = parts.plain_app();
        let orders = app.node.membership.take_orders();
        Self { parts, app, announce, known: None, orders, told: String::new() }
    }

    /// Joins the store once, if it is there.
    ///
    /// # Errors
    /// If it can never be joined as things are.
    pub(super) async fn at_start(&mut self) -> Result<(), StartError> {
        match self.examine().await {
            Ok(()) => Ok(()),
            Err(error) if error.is_outage() => {
                tracing::warn!(%error, "the store is away; answering 503 until it is there");
                self.told = error.to_string();
                Ok(())
            }
            Err(error) => Err(StartError::Join(error)),
        }
    }

    /// Watches for ever.
    pub(super) async fn keep(mut self) {
        loop {
            let order = self.wait().await;
            let done = match order {
                Some(order) => self.adopt(order).await,
                None => self.look().await,
            };
            self.tell(done);
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

    /// Follows the store that is served from; examines it first if that is not certain.
    async fn look(&mut self) -> Result<(), NotJoined> {
        let store = &self.app.store;
        let process = store.process().await?;
        let (Some(known), true) = (&self.known, self.parts.backend.serves_from(&process)) else {
            return self.examine().await;
        };
        if store.marker().await?.as_ref() != Some(known) {
            return self.examine().await;
        }
        follow_cutoff(&self.app).await?;
        Ok(follow_revocations(&self.app).await?)
    }

    /// Opens the gate to the store if it is the one that this node knows, once it has what it may have lost.
    async fn examine(&mut self) -> Result<(), NotJoined> {
        let process = self.app.store.process().await?;
        let restored = match &self.known {
            None => {
                self.known = Some(join(&self.parts, &self.app, self.announce.as_ref()).await?);
                None
            }
            Some(known) => {
                if let Some(changed) = differs(known, self.app.store.marker().await?.as_ref()) {
                    self.app.node.membership.stands(Standing::Estranged);
                    self.parts.backend.close(changed.to_string());
                    return Err(changed.into());
                }
                follow_cutoff(&self.app).await?;
                self.parts.keys.load_or_create(&*self.app.store, &*self.parts.clock, self.app.random).await?;
                Some(apply_again(&self.app, &*self.app.store).await?)
            }
        };
        let Some(known) = &self.known else { return Ok(()) };
        if self.app.store.process().await? != process {
            let text = "the store was replaced while it was examined".to_owned();
            return Err(StoreError::Unavailable(text).into());
        }
        self.parts.backend.open_to(process, known.clone());
        self.app.node.membership.stands(Standing::Member);
        if let Some(restored) = restored {
            tracing::info!(?restored, "the store is another process, and has what it may have lost");
            tell_restored(&self.app, restored).await;
        }
        Ok(())
    }

    /// Takes the store as it is, by an operator's order.
    async fn adopt(&mut self, order: AdoptionOrder) -> Result<(), NotJoined> {
        let done = self.take_it().await;
        // Whoever asked may have gone.
        let _ = order.send(done.as_ref().map(Clone::clone).map_err(ToString::to_string));
        done.map(drop)
    }

    async fn take_it(&mut self) -> Result<Adopted, NotJoined> {
        let before = self.app.store.marker().await?;
        let ours = match &self.known {
            Some(known) => known.clone(),
            None => own_marker(&self.parts)?,
        };
        let found = identify(&self.parts, &*self.app.store, ours).await?;
        let was_known = self.known.replace(found.clone()).is_some_and(|known| known == found);
        if before.is_none() || !was_known {
            // Users and keys may be missing too.
            join(&self.parts, &self.app, self.announce.as_ref()).await?;
        }
        self.examine().await?;
        let store_id = found.store_id;
        if before.is_some() && was_known {
            return Ok(Adopted::Known(store_id));
        }
        let event = Event::StoreAdopted { store_id: store_id.clone() };
        self.app.tell(&Origin::operator(), &event).await;
        Ok(if before.is_none() { Adopted::Marked(store_id) } else { Adopted::Taken(store_id) })
    }

    fn tell(&mut self, done: Result<(), NotJoined>) {
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
}

/// Why a store is not the one that was known, if it is not.
fn differs(known: &Marker, found: Option<&Marker>) -> Option<NotOurStore> {
    match found {
        Some(found) if found == known => None,
        Some(_) => Some(NotOurStore::Another),
        None => Some(NotOurStore::Wiped),
    }
}
