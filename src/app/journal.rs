//! The journal as a node uses it: it writes what it has done, follows what others have, and gives a journal that was set
//! back what it remembers.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::{Mutex, atomic::Ordering};
use std::time::{Duration, Instant};

use relatch_domain::cutoff::Whose;
use relatch_domain::revocation::Revocation;
use relatch_domain::{SessionRef, UnixMillis};

use super::App;
use super::operation::{concerned, resolve_open};
use crate::keys::error::KeysError;
use crate::store::{
    JournalPage, JournalWrite, JournalWritten, LogEntry, NewEntry, Shard, Store, StoreError, Trail, kept_for,
};

/// How many entries of the log are read at once.
const PAGE: usize = 1000;
/// How many entries are given back at once.
const AT_ONCE: usize = 256;
/// How many audit records may wait to be written.
const MOST_UNRECORDED: usize = 10_000;
/// How often a node looks whether it has something to write or to finish.
const TEND: Duration = Duration::from_millis(300);
/// How often a node that writes nothing says how long its access tokens live.
const DECLARE: Duration = Duration::from_mins(1);

/// The store as it was when a revocation began.
#[must_use]
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    arrangement: u64,
    begun: Instant,
}

/// What a node has yet to write into the journal, and when it last did.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    /// Audit records that the store could not take.
    records: Mutex<Vec<(Trail, Vec<u8>)>>,
    declared: Mutex<Option<Instant>>,
}

impl App {
    /// To be called before a revocation begins that somebody relies on: for [`App::in_force`].
    pub(super) fn since(&self) -> Since {
        Since { arrangement: self.store.arrangement(), begun: Instant::now() }
    }

    /// Whether what was revoked since is in force for good: on as many replicas as the configuration asks for (`durable`, by
    /// the word of the store's steps), and all that by processes that are still the store's.
    pub(super) async fn in_force(&self, since: Since, durable: bool) -> bool {
        let in_force = durable && self.is_still(since).await;
        if durable && !in_force {
            tracing::warn!(
                "a revocation was made while the store was rearranged, or most Sentinels were away: it has to be repeated"
            );
        }
        self.node.metrics.revoked(since.begun.elapsed(), in_force);
        in_force
    }

    /// Whether the store consists of the same processes as then.
    pub(super) async fn is_still(&self, since: Since) -> bool {
        self.store.is_still(since.arrangement).await
    }

    /// Writes to the journal, once more if its answer is lost, and remembers the entries.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) async fn write_journal(&self, write: JournalWrite) -> Result<JournalWritten, StoreError> {
        let known = &self.node.revocations;
        let heard = known.heard();
        let write = self.journal_write(write);
        let written = match self.store.write_journal(&write).await {
            Err(StoreError::Indeterminate(_)) => self.store.write_journal(&write).await,
            answered => answered,
        }?;
        self.has_declared();
        let is_waited_for = !write.only_closes();
        let entries = write.entries.len();
        for entry in write.entries {
            known.remember(entry, written.now, written.until);
        }
        if written.durable && is_waited_for {
            // What others have added meanwhile is left out: it is remembered under later numbers.
            known.are_durable(if entries == 0 { heard } else { known.heard() });
        }
        Ok(written)
    }

    /// Makes sure that an end that is known may be told of: that no failover loses its entry. A dead replica does not keep it
    /// from being told, as little as it keeps a reuse from being refused.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) async fn make_durable(&self, session: SessionRef) -> Result<(), StoreError> {
        if !self.store.asks_replicas() || self.node.revocations.is_durable(session) {
            return Ok(());
        }
        self.write_journal(JournalWrite::default()).await.map(drop)
    }

    fn journal_write(&self, write: JournalWrite) -> JournalWrite {
        let lifetime = kept_for(self.issuer.ttl());
        JournalWrite { lifetime, audit_keep: self.policy.audit_keep, ..write }
    }

    fn has_declared(&self) {
        let declared = &self.node.unwritten.declared;
        *declared.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Keeps an audit record. What the store does not take now is written as soon as it does.
    pub(super) async fn keep_record(&self, trail: Trail, record: Vec<u8>) -> Result<(), StoreError> {
        let kept = self.store.append_audit(trail, &record, self.policy.audit_keep).await;
        if kept.is_err() {
            let mut waiting = self.node.unwritten.records.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() < MOST_UNRECORDED {
                waiting.push((trail, record));
            } else {
                tracing::error!("too many audit records wait for the store; one is lost");
            }
        }
        kept
    }

    /// Writes the audit records that wait.
    async fn write_waiting(&self, store: &dyn Store) -> Result<(), StoreError> {
        let waiting = {
            let mut waiting = self.node.unwritten.records.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *waiting)
        };
        let mut waiting = waiting.into_iter();
        while let Some((trail, record)) = waiting.next() {
            if let Err(error) = store.append_audit(trail, &record, self.policy.audit_keep).await {
                let mut left = self.node.unwritten.records.lock().unwrap_or_else(PoisonError::into_inner);
                left.push((trail, record));
                left.extend(waiting);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Has the journal know how long this node's access tokens live, if nothing has been written for some time.
    async fn declare_lifetime(&self, store: &dyn Store) -> Result<(), StoreError> {
        let declared = *self.node.unwritten.declared.lock().unwrap_or_else(PoisonError::into_inner);
        if declared.is_none_or(|declared| declared.elapsed() >= DECLARE) {
            store.write_journal(&self.journal_write(JournalWrite::default())).await?;
            self.has_declared();
        }
        Ok(())
    }

    /// Reads what others have written since the journal was last read.
    ///
    /// # Errors
    /// If the store fails. What was read is remembered.
    pub(super) async fn read_journal(&self, store: &dyn Store) -> Result<(), StoreError> {
        loop {
            let position = self.node.revocations.position();
            let page = store.journal(position.last, PAGE).await?;
            let (last, is_full) = (page.entries.last().map(|last| last.id), page.entries.len() == PAGE);
            self.hear(page, store).await?;
            if let Some(last) = last {
                self.node.revocations.has_read(position.reading, last);
            }
            if !is_full {
                return Ok(());
            }
        }
    }

    /// Remembers what stands in the journal.
    async fn hear(&self, page: JournalPage, store: &dyn Store) -> Result<(), StoreError> {
        let JournalPage { now, entries, operations } = page;
        self.hear_entries(&entries, store).await?;
        let users: HashSet<_> = operations.iter().filter_map(concerned).collect();
        self.node.revocations.heard_at(now, operations, users);
        Ok(())
    }

    async fn hear_entries(&self, entries: &[LogEntry], store: &dyn Store) -> Result<(), StoreError> {
        let known = &self.node.revocations;
        let mut has_leaked = false;
        for entry in entries {
            let written = UnixMillis(entry.id.millis);
            known.keeps(entry.until.age_since(written));
            match &entry.revocation {
                Some(Revocation::SignedInBefore(at)) => self.node.cutoffs.learn(Whose::Everyone, *at),
                Some(Revocation::Client { client, before }) => {
                    self.node.cutoffs.learn(Whose::Client(*client), *before);
                }
                Some(Revocation::Key(kid)) => {
                    has_leaked |= self.keys.snapshot().is_some_and(|ring| ring.trusts(kid.as_str()));
                }
                Some(revocation) => {
                    let (revocation, record) = (revocation.clone(), entry.record.clone());
                    known.remember(NewEntry { revocation, record }, written, entry.until);
                }
                None if !self.node.unknown_kinds.swap(true, Ordering::Relaxed) => {
                    tracing::warn!("the log has revocations of a kind that this version does not know");
                }
                None => {}
            }
        }
        if has_leaked {
            self.keys.reload(store, self.clock.now()).await.map(drop).or_else(|error| match error {
                KeysError::Store(error) => Err(error),
                error => {
                    tracing::error!(%error, "a signing key was revoked, and the keys could not be loaded again");
                    Ok(())
                }
            })?;
        }
        Ok(())
    }

    /// Reads the log from its beginning, since it may be another one with less in it, and adds what this node remembers and
    /// the log has lost.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) async fn complete_log(&self, store: &dyn Store) -> Result<(), StoreError> {
        self.node.revocations.begin_again();
        let (mut last, mut present) = (None, HashSet::new());
        loop {
            let page = store.journal(last, PAGE).await?;
            let is_full = page.entries.len() == PAGE;
            last = page.entries.last().map(|entry| entry.id).or(last);
            present.extend(
                page.entries.iter().filter_map(|entry| entry.revocation.as_ref()).map(Revocation::subject),
            );
            self.hear(page, store).await?;
            if !is_full {
                break;
            }
        }
        let missing = self.node.revocations.missing(&present);
        if !missing.is_empty() {
            tracing::warn!(
                entries = missing.len(),
                "the log of revocations had lost entries, and has them again"
            );
        }
        for some in missing.chunks(AT_ONCE) {
            // With an operation, or no node would end what its maker had only announced.
            let write = self.journal_write(self.held_again(some)?);
            store.write_journal(&write).await?;
        }
        Ok(())
    }
}

/// Reads what others have written.
///
/// # Errors
/// If the journal cannot be read. What was read is remembered.
pub async fn follow_journal(app: &App) -> Result<(), StoreError> {
    app.read_journal(&*app.store).await
}

/// Has the journal know how long this node's access tokens live: before it issues any.
///
/// # Errors
/// If the store fails.
pub async fn declare_lifetime(app: &App) -> Result<(), StoreError> {
    app.declare_lifetime(&*app.store).await
}

/// Writes what waits to be written, and finishes operations that were left behind. Never ends. Nothing that has to be read
/// in time waits for it: while replicas are away each write takes as long as they are waited for.
pub async fn tend_journal(app: &App) {
    loop {
        tokio::time::sleep(TEND).await;
        tend_once(app).await;
    }
}

/// The same once: for the command line, alone on a store.
pub async fn tend_once(app: &App) {
    // What cannot be done now, since the store or the shard of a user is away, is left for the next time.
    for done in [app.write_waiting(&*app.store).await, app.declare_lifetime(&*app.store).await] {
        if let Err(error) = done {
            tracing::debug!(%error, "what waits to be written into the journal waits on");
        }
    }
    if let Err(error) = resolve_open(app).await {
        tracing::debug!(%error, "an operation that was left behind could not be finished yet");
    }
}

/// Drains the log of a process that the store consisted of until now: what it took last may not have come to the one in its
/// place.
///
/// # Errors
/// If it does not answer. What it said until then is remembered.
pub async fn hear_out(app: &App, shard: &Shard) -> Result<(), StoreError> {
    let mut position = app.node.revocations.position().last;
    loop {
        let entries = app.store.last_words(shard, position, PAGE).await?;
        app.hear_entries(&entries, &*app.store).await?;
        match entries.last() {
            Some(last) if entries.len() == PAGE => position = Some(last.id),
            _ => return Ok(()),
        }
    }
}
