//! The journal: the log of revocations, the open operations and the audit trail of acts, all in one slot.

use redis::Value;
use relatch_domain::{OperationId, UnixMillis};

use super::Handle;
use super::audit::{id, number};
use super::failure::Effect;
use super::reply::{Row, bytes, corrupt};
use super::request::{Request, Script, script};
use crate::store::{
    EntryId, JournalPage, JournalWrite, JournalWritten, LogEntry, OpenOperation, Shard, StoreError, Trail,
};

static RECORD: Script = script!("record", Effect::Writes);
static JOURNAL: Script = script!("journal", Effect::Reads);

/// How many entries one run of the script adds.
const AT_ONCE: usize = 256;

impl Handle {
    /// Entries that are more than one run of the script takes are written before all else, in runs of their own.
    pub(super) async fn write_journal(&self, write: &JournalWrite) -> Result<JournalWritten, StoreError> {
        let entries = write.entries.len();
        let first = entries.saturating_sub(1) / AT_ONCE * AT_ONCE;
        for start in (0..first).step_by(AT_ONCE) {
            let some = JournalWrite {
                entries: write.entries.iter().skip(start).take(AT_ONCE).cloned().collect(),
                lifetime: write.lifetime,
                audit_keep: write.audit_keep,
                ..JournalWrite::default()
            };
            self.write(&self.record(&some, 0), written, |_| true).await?;
        }
        let written = self.write(&self.record(write, first), written, |_| !write.only_closes()).await?;
        Ok(JournalWritten { durable: written.durable, ..written.answer })
    }

    fn record(&self, write: &JournalWrite, first: usize) -> Request {
        let keys = &self.keyspace;
        let request = RECORD
            .on([
                &keys.log(),
                &keys.subjects(),
                &keys.operations(),
                &keys.lifetimes(),
                &keys.audit(Trail::Acts),
            ])
            .arg(self.time.argument())
            .arg(u64::try_from(write.lifetime.as_millis()).unwrap_or(u64::MAX).min(MOST_MILLIS))
            .arg(number(write.audit_keep));
        let request = match &write.open {
            Some((id, form)) => request.arg(id.as_bytes()).arg(form),
            None => request.arg("").arg(""),
        };
        let request = match &write.close {
            Some(id) => request.arg(id.as_bytes()),
            None => request.arg(""),
        };
        let entries = write.entries.get(first..).unwrap_or_default();
        let request = entries.iter().fold(request.arg(entries.len()), |request, entry| {
            let revocation = &entry.revocation;
            let request = request.arg(revocation.to_string()).arg(revocation.subject());
            request.arg(entry.record.as_deref().unwrap_or_default())
        });
        write.records.iter().fold(request, Request::arg)
    }

    pub(super) async fn read_journal(
        &self,
        after: Option<EntryId>,
        limit: usize,
    ) -> Result<JournalPage, StoreError> {
        let request = JOURNAL.on([&self.keyspace.log(), &self.keyspace.operations()]);
        let request = request.arg(self.time.argument()).arg(start(after)).arg(number(limit));
        let mut row = Row::new(self.router.ask(&request).await?)?;
        let now = row.time()?;
        let entries = log_entries(row.row()?)?;
        let mut operations = open_operations(row.row()?)?;
        operations.sort_unstable_by_key(|operation| operation.id);
        Ok(JournalPage { now, entries, operations })
    }

    /// The log of a process that may be no part of the store any more.
    pub(super) async fn read_log_of(
        &self,
        shard: &Shard,
        after: Option<EntryId>,
        limit: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        // Of a Cluster only one process has the log, and none takes writes that another has the place of.
        if limit == 0 || shard.slots.is_some() {
            return Ok(Vec::new());
        }
        let range = Request::read("XRANGE", &self.keyspace.log()).arg(start(after)).arg("+");
        let range = range.arg("COUNT").arg(number(limit));
        log_entries(Row::new(self.router.ask_at(&shard.at, &range).await?)?)
    }
}

/// What a Lua number holds exactly.
const MOST_MILLIS: u64 = 1 << 53;

fn start(after: Option<EntryId>) -> String {
    after.map_or_else(|| "-".to_owned(), |EntryId { millis, seq }| format!("({millis}-{seq}"))
}

fn written(answer: Value) -> Result<JournalWritten, StoreError> {
    let mut row = Row::new(answer)?;
    let now = row.time()?;
    let until = row.text()?.and_then(|text| text.parse().ok()).map(UnixMillis);
    let until = until.ok_or_else(|| corrupt("a journal without the time until which it keeps entries"))?;
    Ok(JournalWritten { now, until, closed: row.int()? == 1, durable: true })
}

fn log_entries(mut found: Row) -> Result<Vec<LogEntry>, StoreError> {
    let mut entries = Vec::new();
    while let Some(one) = found.value() {
        entries.push(log_entry(one)?);
    }
    Ok(entries)
}

/// Reads an entry by the names of its fields: what another version or somebody else has added is passed over.
fn log_entry(value: Value) -> Result<LogEntry, StoreError> {
    let mut row = Row::new(value)?;
    let id =
        row.text()?.and_then(|text| id(&text)).ok_or_else(|| corrupt("an entry of the log without an id"))?;
    let mut entry = LogEntry { id, until: UnixMillis(0), revocation: None, record: None };
    let mut fields = row.row()?;
    while let Some(field) = fields.value() {
        let value = fields.bytes()?.unwrap_or_default();
        let text = || std::str::from_utf8(&value).ok();
        match bytes(field)?.as_deref() {
            Some(b"r") => entry.revocation = text().and_then(|line| line.parse().ok()),
            Some(b"u") => entry.until = UnixMillis(text().and_then(|until| until.parse().ok()).unwrap_or(0)),
            Some(b"a") => entry.record = Some(value).filter(|record| !record.is_empty()),
            _ => {}
        }
    }
    Ok(entry)
}

fn open_operations(mut fields: Row) -> Result<Vec<OpenOperation>, StoreError> {
    let mut operations = Vec::new();
    while let Some(id) = fields.value() {
        let id = bytes(id)?.and_then(|id| id.try_into().ok()).map(OperationId::from_bytes);
        let kept = fields.bytes()?.unwrap_or_default();
        let space = kept.iter().position(|byte| *byte == b' ');
        let (time, form) = kept.split_at(space.unwrap_or(kept.len()));
        let opened_at = std::str::from_utf8(time).ok().and_then(|time| time.parse().ok()).map(UnixMillis);
        // What is of another form another version has opened.
        if let (Some(id), Some(opened_at)) = (id, opened_at) {
            let form = form.get(1..).unwrap_or_default().to_vec();
            operations.push(OpenOperation { id, opened_at, form });
        }
    }
    Ok(operations)
}
