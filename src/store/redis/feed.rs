//! The feed of revocations: a stream of an hour, which every node follows.

use redis::Value;
use relatch_domain::revocation::Revocation;

use super::Handle;
use super::audit::{entry, number};
use super::failure::Effect;
use super::reply::Row;
use super::request::{Request, Script, script};
use crate::store::{EntryId, FeedEntry, Shard, StoreError};

static ANNOUNCE: Script = script!("announce", Effect::Writes);

/// How many entries one run of the script adds.
const AT_ONCE: usize = 256;

impl Handle {
    pub(super) async fn add_to_feed(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        for some in revocations.chunks(AT_ONCE) {
            let request = ANNOUNCE.on([&self.keyspace.feed()]);
            let request = some.iter().fold(request, |request, entry| request.arg(entry.to_string()));
            self.router.ask(&request).await?;
        }
        Ok(())
    }

    pub(super) async fn read_feed(
        &self,
        after: Option<EntryId>,
        limit: usize,
    ) -> Result<Vec<FeedEntry>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        entries(self.router.ask(&self.range(after, limit)).await?)
    }

    /// The same of a process that may be no part of the store any more.
    pub(super) async fn read_feed_of(
        &self,
        shard: &Shard,
        after: Option<EntryId>,
        limit: usize,
    ) -> Result<Vec<FeedEntry>, StoreError> {
        // Of a Cluster only one process has the feed, and none takes writes that another has the place of.
        if limit == 0 || shard.slots.is_some() {
            return Ok(Vec::new());
        }
        entries(self.router.ask_at(&shard.at, &self.range(after, limit)).await?)
    }

    fn range(&self, after: Option<EntryId>, limit: usize) -> Request {
        let start =
            after.map_or_else(|| "-".to_owned(), |EntryId { millis, seq }| format!("({millis}-{seq}"));
        let range = Request::read("XRANGE", &self.keyspace.feed()).arg(start).arg("+");
        range.arg("COUNT").arg(number(limit))
    }
}

fn entries(answer: Value) -> Result<Vec<FeedEntry>, StoreError> {
    let mut found = Row::new(answer)?;
    let mut entries = Vec::new();
    while let Some(one) = found.value() {
        entries.push(read(one)?);
    }
    Ok(entries)
}

fn read(value: Value) -> Result<FeedEntry, StoreError> {
    let entry = entry(value)?;
    let text = String::from_utf8(entry.record).ok();
    Ok(FeedEntry { id: entry.id, revocation: text.and_then(|text| text.parse().ok()) })
}
