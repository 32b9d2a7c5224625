//! Reading the audit trails: what was done and what was refused as one, what was read by itself; the latest record first.

use relatch_domain::{SessionRef, UnixMillis, UserId};

use super::AuditRecord;
use crate::app::{App, Failure};
use crate::store::{EntryId, Store, StoreError, Trail, TrailEntry};

/// How many records one call looks at. What a page does not show after so many, the next call goes on to look for.
const LOOK_AT: usize = 5_000;
/// How many records are read at once.
const CHUNK: usize = 256;
/// By how much the time in a record, which a node's clock has set, may differ from that of its place, which the store's
/// clock has.
const SKEW: u64 = 10 * 60 * 1000;

/// Which records to show: those for which everything holds that is asked for.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// What administrators have read, in place of what was done and what was refused.
    pub reads: bool,
    /// What happened.
    pub event: Option<&'static str>,
    /// Who did it.
    pub actor: Option<ActorFilter>,
    /// To whom.
    pub user: Option<UserId>,
    /// To which session.
    pub session: Option<SessionRef>,
    /// Not earlier.
    pub since: Option<UnixMillis>,
    /// Earlier.
    pub until: Option<UnixMillis>,
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorFilter {
    /// Somebody of this kind: one of [`super::ACTOR_KINDS`].
    Kind(&'static str),
    /// This user.
    User(UserId),
}

/// Where a page ended: only records before these places come after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditPlace {
    /// In the trail of acts, or in that of what was read.
    pub acts: EntryId,
    /// In the trail of what was refused.
    pub refused: EntryId,
}

/// A page of the trails.
#[derive(Debug)]
pub struct AuditPage {
    /// The records, the latest first.
    pub records: Vec<AuditRecord>,
    /// Where the next page begins; nothing at the end of the trails.
    pub next: Option<AuditPlace>,
}

impl AuditFilter {
    fn shows(&self, record: &AuditRecord) -> bool {
        let is = |wanted: Option<String>, found: &Option<String>| {
            wanted.is_none_or(|id| found.as_ref() == Some(&id))
        };
        self.event.is_none_or(|event| record.event == event)
            && self.actor.is_none_or(|actor| actor.is(record))
            && is(self.user.map(|user| user.to_string()), &record.user)
            && is(self.session.map(|session| session.to_string()), &record.session)
            && self.since.is_none_or(|since| record.at >= since.0)
            && self.until.is_none_or(|until| record.at < until.0)
    }

    /// Whether no record at this place or before it can be late enough.
    fn ends_at(&self, id: EntryId) -> bool {
        self.since.is_some_and(|since| id.millis.saturating_add(SKEW) < since.0)
    }

    /// The place before which the first record may stand that is early enough.
    fn start(&self) -> Option<EntryId> {
        self.until.map(|until| EntryId { millis: until.0.saturating_add(SKEW), seq: 0 })
    }
}

impl ActorFilter {
    fn is(self, record: &AuditRecord) -> bool {
        match self {
            Self::Kind(kind) => record.actor.kind == kind,
            Self::User(user) => record.actor.user.as_ref().is_some_and(|id| *id == user.to_string()),
        }
    }
}

/// A page of at most `limit` records. It may hold fewer, or none, though there are more: one call looks at 5,000 records
/// at the most.
///
/// # Errors
/// If the store fails.
pub async fn read_audit(
    app: &App,
    filter: &AuditFilter,
    after: Option<AuditPlace>,
    limit: usize,
) -> Result<AuditPage, Failure> {
    Ok(read_trails(&*app.store, filter, after, limit).await?)
}

/// As [`read_audit`], from the trails of this store.
///
/// # Errors
/// If the store fails.
pub async fn read_trails(
    store: &dyn Store,
    filter: &AuditFilter,
    after: Option<AuditPlace>,
    limit: usize,
) -> Result<AuditPage, StoreError> {
    let trail = if filter.reads { Trail::Reads } else { Trail::Acts };
    let mut acts = Reader::new(trail, after.map(|place| place.acts).or(filter.start()));
    let mut refused = Reader::new(Trail::Refused, after.map(|place| place.refused).or(filter.start()));
    // Of reads there is no second part.
    refused.at_end = filter.reads;
    let mut records = Vec::new();
    let mut looked_at = 0;
    let more = loop {
        let latest = latest_of(store, &mut acts, &mut refused).await?;
        let Some(reader) = latest else { break false };
        if records.len() == limit || looked_at == LOOK_AT {
            break true;
        }
        let Some(entry) = reader.take() else { break false };
        if filter.ends_at(entry.id) {
            break false;
        }
        looked_at += 1;
        match serde_json::from_slice::<AuditRecord>(&entry.record) {
            Ok(record) if filter.shows(&record) => records.push(record),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "an audit record cannot be read and is left out"),
        }
    };
    let next = more.then(|| AuditPlace { acts: acts.place(), refused: refused.place() });
    Ok(AuditPage { records, next })
}

/// The reader whose next record is the later one; nothing at the end of both trails.
async fn latest_of<'a>(
    store: &dyn Store,
    acts: &'a mut Reader,
    refused: &'a mut Reader,
) -> Result<Option<&'a mut Reader>, StoreError> {
    let (act, refusal) = (acts.peek(store).await?, refused.peek(store).await?);
    Ok(match (act, refusal) {
        (None, None) => None,
        (Some(act), Some(refusal)) if refusal.millis > act.millis => Some(refused),
        (Some(_), _) => Some(acts),
        (None, Some(_)) => Some(refused),
    })
}

/// Reads one trail, some records ahead.
struct Reader {
    trail: Trail,
    /// The last record that was taken.
    taken: Option<EntryId>,
    /// Records that were read and not taken yet, the latest last.
    ahead: Vec<TrailEntry>,
    /// Where to read on, if not from the top.
    read_on: Option<EntryId>,
    /// Whether there is nothing more to read.
    at_end: bool,
}

impl Reader {
    fn new(trail: Trail, before: Option<EntryId>) -> Self {
        Self { trail, taken: None, ahead: Vec::new(), read_on: before, at_end: false }
    }

    /// The place of the next record.
    async fn peek(&mut self, store: &dyn Store) -> Result<Option<EntryId>, StoreError> {
        if self.ahead.is_empty() && !self.at_end {
            let mut chunk = store.audit(self.trail, self.read_on, CHUNK).await?;
            self.at_end = chunk.len() < CHUNK;
            self.read_on = chunk.last().map(|last| last.id);
            chunk.reverse();
            self.ahead = chunk;
        }
        Ok(self.ahead.last().map(|entry| entry.id))
    }

    fn take(&mut self) -> Option<TrailEntry> {
        let entry = self.ahead.pop()?;
        self.taken = Some(entry.id);
        Some(entry)
    }

    /// Before what the next page goes on. What has come into the trail since this page was begun is later than what the
    /// page shows, and stays out of the pages to come.
    fn place(&self) -> EntryId {
        let just_after = |id: EntryId| EntryId { seq: id.seq.saturating_add(1), ..id };
        let next = self.ahead.last().map(|entry| just_after(entry.id));
        self.taken.or(next).unwrap_or(EntryId { millis: 0, seq: 0 })
    }
}
