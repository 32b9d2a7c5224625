//! Operations: changes that end sessions of one user or have to be on record, made so that any node can finish them.
//!
//! An operation is opened in the journal before anything changes. The end of sessions that is asked for unconditionally
//! opens with its entries in the log: the announcement is the revocation. A change that has a condition opens without
//! any: its step notes the operation in the user if the condition held, and what it ended is announced and recorded by
//! the write that closes the operation. If the node that made it is lost in between, another one does that
//! ([`resolve`]); and nobody is told of an end before it is in the log ([`super::reveal`]).

mod resolve;

use relatch_domain::cutoff::Whose;
use relatch_domain::event::Event;
use relatch_domain::revocation::{Revocation, Scope};
use relatch_domain::session::{EndReason, SessionRecord};
use relatch_domain::{OperationId, SessionId, SessionRef, UnixMillis, UserId};
use serde::{Deserialize, Serialize};

use super::audit::AuditRecord;
use super::journal::Since;
use super::origin::Origin;
use super::{App, Failure};
use crate::store::{EndNote, Ended, JournalWrite, NewEntry, OpenOperation, StoreError};

pub(super) use resolve::{resolve_of_user, resolve_open};

/// What is kept of an open operation: all that it takes to finish it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Form {
    /// The audit record of one session that ends by it, but for the session.
    ended: AuditRecord,
    /// What is kept in the audit trail besides, if it is carried out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    records: Vec<AuditRecord>,
    what: What,
}

/// What an operation does, and so how to tell whether it was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum What {
    /// Ends sessions, whatever state they are in.
    End {
        user: UserId,
        /// This one. All but `spared`, if not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        only: Option<SessionId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spared: Option<SessionId>,
        /// Only those that began before this, in milliseconds since the Unix epoch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        begun_before: Option<u64>,
        reason: EndReason,
        #[serde(default, skip_serializing_if = "EndNote::is_empty")]
        note: EndNote,
        /// Those that are announced by it, each with whether it was live.
        sessions: Vec<(SessionId, bool)>,
    },
    /// Holds ends against a store that may have lost them.
    Hold { sessions: Vec<(SessionRef, EndReason)> },
    /// Changes a user, or begins a session in the place of others. Carried out if the user has it noted.
    Change { user: UserId },
    /// Deletes a user. Carried out if there is no such user.
    Delete { user: UserId },
    /// Creates a user. Carried out if the user has it noted.
    Create { user: UserId },
    /// Raises a cutoff, everyone's if no client is named. Times are in milliseconds since the Unix epoch.
    Cutoff {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<u16>,
        at: u64,
    },
    /// Rotates the signing keys. It cannot be told later whether it was carried out, but it can be brought to its end.
    Rotate,
    /// Something of which it cannot be told later whether it was carried out.
    Act,
}

impl What {
    fn end(end: &End) -> Self {
        let End { user, scope, begun_before, reason, ref note, ref sessions } = *end;
        let (only, spared) = match scope {
            Scope::One(session) => (Some(session), None),
            Scope::AllBut(session) => (None, Some(session)),
            // The other scopes are those of sweeps, which are no operations.
            Scope::All | Scope::Client(_) => (None, None),
        };
        let begun_before = begun_before.map(|before| before.0);
        Self::End { user, only, spared, begun_before, reason, note: note.clone(), sessions: sessions.clone() }
    }

    const fn user(&self) -> Option<UserId> {
        match self {
            Self::End { user, .. }
            | Self::Change { user }
            | Self::Delete { user }
            | Self::Create { user } => Some(*user),
            Self::Hold { .. } | Self::Cutoff { .. } | Self::Rotate | Self::Act => None,
        }
    }

    pub(super) const fn cutoff(whose: Whose, at: UnixMillis) -> Self {
        match whose {
            Whose::Everyone => Self::Cutoff { client: None, at: at.0 },
            Whose::Client(client) => Self::Cutoff { client: Some(client.0), at: at.0 },
        }
    }
}

/// The user whom an open operation concerns, if only the store knows how it stands. What ends unconditionally is in the
/// log.
pub(super) fn concerned(open: &OpenOperation) -> Option<UserId> {
    match Form::read(open)?.what {
        What::Change { user } | What::Delete { user } => Some(user),
        What::End { .. }
        | What::Hold { .. }
        | What::Cutoff { .. }
        | What::Create { .. }
        | What::Rotate
        | What::Act => None,
    }
}

impl Form {
    /// Nothing for what another version has opened: that version finishes it.
    fn read(open: &OpenOperation) -> Option<Self> {
        serde_json::from_slice(&open.form).ok()
    }

    /// The entries of sessions that end unconditionally, each with whether it is live.
    fn entries(&self, user: UserId, reason: EndReason, sessions: &[(SessionId, bool)]) -> Vec<NewEntry> {
        let of = |session: &SessionId| SessionRef { user, session: *session };
        sessions.iter().map(|(session, is_live)| self.entry(of(session), reason, *is_live)).collect()
    }

    /// The entry of a session that is dead, with its audit record if it was live when it ended. The record is kept if the
    /// entry is news.
    fn entry(&self, session: SessionRef, reason: EndReason, was_live: bool) -> NewEntry {
        let record = was_live.then(|| self.ended.of_end(session, reason.code()).to_json());
        NewEntry { revocation: Revocation::Session { session, reason }, record: record.flatten() }
    }
}

/// Whether a session was neither idle nor too old when it ended.
pub(super) fn ended_live(record: &SessionRecord) -> bool {
    record.ended.is_some_and(|ended| ended.at < record.idle_deadline.min(record.absolute_deadline))
}

/// An operation that this node has opened.
#[must_use]
pub(super) struct Operation {
    pub(super) id: OperationId,
    form: Form,
    since: Since,
}

impl Operation {
    /// The same, with other audit records: what has come of it is known only now.
    pub(super) fn recording(mut self, records: Vec<AuditRecord>) -> Self {
        self.form.records = records;
        self
    }
}

/// What an operation has done.
#[derive(Default)]
pub(super) struct Done<'a> {
    /// The sessions in its scope that are dead now, with their tombstones.
    pub(super) dead: &'a [(SessionId, SessionRecord)],
    /// Sessions that ended by it and whose records could not be read.
    pub(super) removed: Vec<(SessionId, EndReason)>,
    /// What else is to be announced.
    pub(super) entry: Option<NewEntry>,
    /// Whether as many replicas have it as the configuration asks for.
    pub(super) durable: bool,
}

impl App {
    /// Opens an operation. What ends by it is announced by `entries`, or else when it is concluded; `records` are kept in the
    /// audit trail when it is.
    ///
    /// # Errors
    /// If the store fails or too few replicas have it: nothing has changed. It may be open nevertheless, and is finished or
    /// dropped by whichever node finds it.
    pub(super) async fn open(
        &self,
        origin: &Origin,
        what: What,
        records: Vec<AuditRecord>,
    ) -> Result<Operation, Failure> {
        let form = Form { ended: AuditRecord::template(origin, self.clock.now()), records, what };
        let operation = self.operation(form)?;
        self.open_with(&operation, Vec::new()).await?;
        Ok(operation)
    }

    fn operation(&self, form: Form) -> Result<Operation, Failure> {
        Ok(Operation { id: self.random.uuid()?.into(), form, since: self.since() })
    }

    /// Opens an operation with the entries of what ends by it. Whether as many replicas have it as are asked for.
    async fn open_with(&self, operation: &Operation, entries: Vec<NewEntry>) -> Result<bool, Failure> {
        let form = serde_json::to_vec(&operation.form);
        let form = form.map_err(|error| Failure::Internal(format!("an operation as JSON: {error}")))?;
        let write = JournalWrite { open: Some((operation.id, form)), entries, ..JournalWrite::default() };
        Ok(self.write_journal(write).await?.durable)
    }

    /// Announces and records what an operation has done, and closes it. Whether all that is in force for good.
    ///
    /// # Errors
    /// If the store fails. The operation stays open, and another node concludes it.
    pub(super) async fn conclude(
        &self,
        origin: &Origin,
        operation: Operation,
        done: Done<'_>,
    ) -> Result<bool, Failure> {
        let durable = done.durable;
        let write = self.conclusion(operation.id, &operation.form, done);
        let announces = !write.entries.is_empty();
        let durable = self.write_journal(write).await?.durable && durable;
        origin.told.set();
        Ok(if announces { self.in_force(operation.since, durable).await } else { durable })
    }

    /// Concludes an operation that has changed a user, and ended sessions for this reason if it is one.
    ///
    /// # Errors
    /// As [`App::conclude`].
    pub(super) async fn conclude_change(
        &self,
        origin: &Origin,
        operation: Operation,
        user: UserId,
        ended: &Ended,
        reason: Option<EndReason>,
    ) -> Result<bool, Failure> {
        let mut removed = Vec::new();
        if let Some(reason) = reason {
            for session in &ended.ended {
                let session = SessionRef { user, session: *session };
                self.note(origin, &Event::SessionEnded { session, reason });
            }
            let has_tombstone = |id: &SessionId| ended.dead.iter().any(|(dead, _)| dead == id);
            let without = ended.ended.iter().filter(|session| !has_tombstone(session));
            removed = without.map(|session| (*session, reason)).collect();
        }
        let done = Done { dead: &ended.dead, removed, entry: None, durable: ended.durable };
        self.conclude(origin, operation, done).await
    }

    fn conclusion(&self, id: OperationId, form: &Form, done: Done<'_>) -> JournalWrite {
        let Some(user) = form.what.user() else {
            let (records, entries) = (jsons(&form.records), done.entry.into_iter().collect());
            return JournalWrite { close: Some(id), records, entries, ..JournalWrite::default() };
        };
        let of = |session| SessionRef { user, session };
        let dead = done.dead.iter().filter(|(session, record)| self.is_news(of(*session), record));
        let entry = |(session, record): &(SessionId, SessionRecord)| {
            record.ended.map(|ended| form.entry(of(*session), ended.reason, ended_live(record)))
        };
        let removed = done.removed.iter().map(|(session, reason)| form.entry(of(*session), *reason, true));
        JournalWrite {
            close: Some(id),
            entries: dead.filter_map(entry).chain(removed).chain(done.entry).collect(),
            records: jsons(&form.records),
            ..JournalWrite::default()
        }
    }

    /// Whether an access token of a dead session may be alive that other nodes would let in.
    pub(super) fn is_news(&self, session: SessionRef, record: &SessionRecord) -> bool {
        let known = &self.node.revocations;
        let Some(ended) = record.ended else { return false };
        // By this node's clock, with as much as it may be wrong by.
        let forgotten_at = ended.at.plus(known.kept_for()).millis();
        known.of(session).is_none()
            && self.clock.now() < UnixMillis(forgotten_at.0.saturating_add(CLOCKS_DIFFER))
    }

    /// Closes an operation that was not carried out. Should that fail, it is dropped after some time.
    pub(super) async fn withdraw(&self, operation: Operation) {
        self.close(operation.id).await;
    }

    async fn close(&self, id: OperationId) {
        let write = JournalWrite { close: Some(id), ..JournalWrite::default() };
        if let Err(error) = self.write_journal(write).await {
            tracing::debug!(%error, operation = %id, "an operation could not be closed; another node closes it");
        }
    }
}

impl App {
    /// Entries for a log that has lost them, and an operation by which some node ends these sessions, should nobody have yet.
    pub(super) fn held_again(&self, lost: &[NewEntry]) -> Result<JournalWrite, StoreError> {
        let session = |entry: &NewEntry| match entry.revocation {
            Revocation::Session { session, reason } => Some((session, reason)),
            _ => None,
        };
        let what = What::Hold { sessions: lost.iter().filter_map(session).collect() };
        let ended = AuditRecord::template(&Origin::server(), self.clock.now());
        let form = serde_json::to_vec(&Form { ended, records: Vec::new(), what });
        let wrong = |error: &dyn std::fmt::Display| StoreError::Unavailable(format!("an operation: {error}"));
        let id = self.random.uuid().map_err(|error| wrong(&error))?.into();
        let open = Some((id, form.map_err(|error| wrong(&error))?));
        Ok(JournalWrite { open, entries: lost.to_vec(), ..JournalWrite::default() })
    }
}

/// By how many milliseconds the clocks of a node and of the store may differ.
const CLOCKS_DIFFER: u64 = 600_000;

fn jsons(records: &[AuditRecord]) -> Vec<Vec<u8>> {
    records.iter().filter_map(AuditRecord::to_json).collect()
}

/// An end of sessions of one user that is asked for unconditionally.
pub(super) struct End {
    pub(super) user: UserId,
    pub(super) scope: Scope,
    /// Only those that began before this: no others than were announced.
    pub(super) begun_before: Option<UnixMillis>,
    pub(super) reason: EndReason,
    pub(super) note: EndNote,
    /// The sessions that it covers and that have not ended yet, each with whether it is live.
    pub(super) sessions: Vec<(SessionId, bool)>,
}

impl App {
    /// Announces the end of sessions: from then on it is in force, and some node carries it out.
    ///
    /// # Errors
    /// If the store fails. It may have been announced.
    pub(super) async fn announce_end(
        &self,
        origin: &Origin,
        end: &End,
    ) -> Result<(Operation, bool), Failure> {
        let (ended, what) = (AuditRecord::template(origin, self.clock.now()), What::end(end));
        let form = Form { ended, records: Vec::new(), what };
        let entries = form.entries(end.user, end.reason, &end.sessions);
        let operation = self.operation(form)?;
        let durable = self.open_with(&operation, entries).await?;
        origin.told.set();
        Ok((operation, durable))
    }

    /// Closes an operation whose end was announced and carried out. What its step found dead besides is announced by it.
    ///
    /// # Errors
    /// If there is something to announce and the store fails.
    pub(super) async fn close_end(&self, operation: Operation, done: Done<'_>) -> Result<bool, Failure> {
        let durable = done.durable;
        let write = self.conclusion(operation.id, &operation.form, done);
        if write.entries.is_empty() {
            self.close(operation.id).await;
            return Ok(self.in_force(operation.since, durable).await);
        }
        let written = self.write_journal(write).await?;
        Ok(self.in_force(operation.since, durable && written.durable).await)
    }
}
