//! The marker by which a store is known.
//!
//! One key has it. A Cluster may lose a part of it and keep the rest, so there each slot bears the store's id as well: a
//! shard that was emptied is found out, and so is a slot that was given to another node without its keys. The key itself is
//! finished last, and says so: from then on a slot without a mark has lost it.

use redis::Value;
use serde::{Deserialize, Serialize};

use super::Handle;
use super::reply::{self, corrupt};
use super::request::Request;
use crate::store::shard::{Bearing, Look, SLOTS, Shard, slot_of_key};
use crate::store::{Marker, StoreError};

/// How many slots are asked or marked at once.
const AT_ONCE: usize = 2048;

/// The marker as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    marker: Marker,
    /// Whether every slot of the Cluster was marked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    everywhere: bool,
}

impl Handle {
    pub(super) async fn identify_store(&self, marker: &Marker) -> Result<Option<Marker>, StoreError> {
        if let Some(kept) = self.kept().await? {
            return self.finished(kept).await.map(Some);
        }
        if self.any_mark().await?.is_some() {
            // Another node may just have begun.
            return match self.kept().await? {
                Some(kept) => self.finished(kept).await.map(Some),
                None => Ok(None),
            };
        }
        let kept = self.leave(marker).await?;
        self.finished(kept).await.map(Some)
    }

    pub(super) async fn take_as_it_is(&self, marker: &Marker) -> Result<(Marker, bool), StoreError> {
        let mut ours = marker.clone();
        let found = self.kept().await?;
        if found.is_none()
            && let Some(store_id) = self.any_mark().await?
        {
            ours.store_id = store_id;
        }
        let kept = self.leave(&ours).await?;
        let missing = if self.router.is_cluster() { self.mark_everywhere(&kept.marker).await? } else { 0 };
        let marker = self.finished(kept).await?;
        Ok((marker, found.is_none() || missing > 0))
    }

    pub(super) async fn label(&self, marker: &Marker) -> Result<(), StoreError> {
        let Some(kept) = self.kept().await?.filter(|kept| kept.marker.store_id == marker.store_id) else {
            return Err(corrupt("the marker of another store, or none"));
        };
        let kept = Kept { marker: marker.clone(), ..kept };
        let request = Request::write("SET", &self.keyspace.marker()).arg(json(&kept)?).arg("XX");
        self.router.ask(&request).await.map(drop)
    }

    pub(super) async fn read_marker(&self) -> Result<Option<Marker>, StoreError> {
        Ok(self.kept().await?.map(|kept| kept.marker))
    }

    pub(super) async fn bearing_of(
        &self,
        shard: &Shard,
        marker: &Marker,
        look: Look,
    ) -> Result<Bearing, StoreError> {
        let Some(slots) = &shard.slots else {
            return Ok(Bearing::of(self.read_marker().await?.as_ref(), marker));
        };
        if slots.contains(slot_of_key(&self.keyspace.marker())) {
            match Bearing::of(self.read_marker().await?.as_ref(), marker) {
                Bearing::Known => {}
                other => return Ok(other),
            }
        }
        let all = slots.iter().take(if look == Look::Glance { 1 } else { usize::from(SLOTS) });
        for mark in self.marks(&all.collect::<Vec<_>>()).await? {
            match mark {
                Some(store_id) if store_id == marker.store_id => {}
                Some(_) => return Ok(Bearing::Another),
                None => return Ok(Bearing::Wiped),
            }
        }
        Ok(Bearing::Known)
    }

    /// What the place where the slot is kept says of the store.
    pub(super) async fn bearing_of_slot(&self, slot: u16, marker: &Marker) -> Result<Bearing, StoreError> {
        if !self.router.is_cluster() {
            return Ok(Bearing::of(self.read_marker().await?.as_ref(), marker));
        }
        Ok(match self.marks(&[slot]).await?.pop().flatten() {
            Some(store_id) if store_id == marker.store_id => Bearing::Known,
            Some(_) => Bearing::Another,
            None => Bearing::Wiped,
        })
    }

    async fn kept(&self) -> Result<Option<Kept>, StoreError> {
        read(self.router.ask(&Request::read("GET", &self.keyspace.marker())).await?)
    }

    /// Leaves the marker if there is none. Gives the one that is there then.
    async fn leave(&self, marker: &Marker) -> Result<Kept, StoreError> {
        let ours = Kept { marker: marker.clone(), everywhere: false };
        let request = Request::write("SET", &self.keyspace.marker()).arg(json(&ours)?).arg("NX").arg("GET");
        Ok(read(self.router.ask(&request).await?)?.unwrap_or(ours))
    }

    /// Marks the slots, if this has not been done to its end.
    async fn finished(&self, kept: Kept) -> Result<Marker, StoreError> {
        if self.router.is_cluster() && !kept.everywhere {
            self.mark_everywhere(&kept.marker).await?;
            let done = Kept { everywhere: true, ..kept.clone() };
            let request = Request::write("SET", &self.keyspace.marker()).arg(json(&done)?).arg("XX");
            self.router.ask(&request).await?;
        }
        Ok(kept.marker)
    }

    /// Leaves the store's id in every slot that has none. Gives in how many it was missing.
    async fn mark_everywhere(&self, marker: &Marker) -> Result<usize, StoreError> {
        let mut missing = 0;
        let all: Vec<u16> = (0..SLOTS).collect();
        for slots in all.chunks(AT_ONCE) {
            let mark = |slot: &u16| {
                Request::write("SET", &self.keyspace.mark(*slot)).arg(&marker.store_id).arg("NX")
            };
            let requests: Vec<_> = slots.iter().map(mark).collect();
            let answers = self.router.ask_all(&requests).await?;
            missing += answers.iter().filter(|answer| **answer != Value::Nil).count();
        }
        Ok(missing)
    }

    /// The id that some slot still bears, of a Cluster. One of each shard is asked.
    async fn any_mark(&self) -> Result<Option<String>, StoreError> {
        if !self.router.is_cluster() {
            return Ok(None);
        }
        let shards = self.router.shards().await?;
        if let Some(away) = shards.away.into_iter().next() {
            return Err(away.error);
        }
        let firsts = shards.there.iter().filter_map(|shard| shard.slots.as_ref()?.iter().next());
        Ok(self.marks(&firsts.collect::<Vec<_>>()).await?.into_iter().flatten().next())
    }

    async fn marks(&self, slots: &[u16]) -> Result<Vec<Option<String>>, StoreError> {
        let mut marks = Vec::with_capacity(slots.len());
        for some in slots.chunks(AT_ONCE) {
            let requests: Vec<_> =
                some.iter().map(|slot| Request::read("GET", &self.keyspace.mark(*slot))).collect();
            for answer in self.router.ask_all(&requests).await? {
                let text = reply::bytes(answer)?.map(String::from_utf8).transpose();
                marks.push(text.map_err(|_| corrupt("a mark that is not text"))?);
            }
        }
        Ok(marks)
    }
}

fn json(kept: &Kept) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(kept).map_err(|error| StoreError::Unavailable(format!("marker: {error}")))
}

fn read(answer: Value) -> Result<Option<Kept>, StoreError> {
    let unreadable = |_| corrupt("a marker that cannot be read");
    reply::bytes(answer)?.map(|found| serde_json::from_slice(&found).map_err(unreadable)).transpose()
}
