//! Audit records: a stream for each trail. Redis numbers the records, and goes on counting when its clock goes back.

use redis::Value;

use super::Handle;
use super::reply::{Row, corrupt};
use super::request::Request;
use crate::store::{EntryId, StoreError, Trail, TrailEntry};

impl Handle {
    pub(super) async fn append(&self, trail: Trail, record: &[u8], keep: usize) -> Result<(), StoreError> {
        // Whole nodes of the stream are removed, of a hundred records at the most: cheap, and never too many.
        let add =
            Request::write("XADD", &self.keyspace.audit(trail)).arg("MAXLEN").arg("~").arg(number(keep));
        self.router.ask(&add.arg("*").arg("r").arg(record)).await.map(drop)
    }

    pub(super) async fn page(
        &self,
        trail: Trail,
        before: Option<EntryId>,
        limit: usize,
    ) -> Result<Vec<TrailEntry>, StoreError> {
        // Redis takes neither a count of zero nor the place before the first.
        if limit == 0 || before == Some(EntryId { millis: 0, seq: 0 }) {
            return Ok(Vec::new());
        }
        let end = before.map_or_else(|| "+".to_owned(), |EntryId { millis, seq }| format!("({millis}-{seq}"));
        let range = Request::read("XREVRANGE", &self.keyspace.audit(trail)).arg(end).arg("-");
        let mut found = Row::new(self.router.ask(&range.arg("COUNT").arg(number(limit))).await?)?;
        let mut entries = Vec::new();
        while let Some(one) = found.value() {
            entries.push(entry(one)?);
        }
        Ok(entries)
    }
}

/// A number that Redis takes.
pub(super) fn number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn entry(value: Value) -> Result<TrailEntry, StoreError> {
    let mut row = Row::new(value)?;
    let id =
        row.text()?.and_then(|text| id(&text)).ok_or_else(|| corrupt("an audit record without an id"))?;
    let mut fields = row.row()?;
    match (fields.bytes()?.as_deref(), fields.bytes()?) {
        (Some(b"r"), Some(record)) => Ok(TrailEntry { id, record }),
        _ => Err(corrupt("an audit record without its content")),
    }
}

pub(super) fn id(text: &str) -> Option<EntryId> {
    let (millis, seq) = text.split_once('-')?;
    Some(EntryId { millis: millis.parse().ok()?, seq: seq.parse().ok()? })
}
