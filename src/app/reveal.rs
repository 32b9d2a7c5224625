//! No answer tells of an end that the log of revocations does not have: a caller who is told relies on it.
//!
//! What the store says is dead and this node has not heard of is looked for in the journal. If it is not there either, the
//! operation that ended it is still open and is finished first; and should there be none, the end is announced as it is
//! found.

use relatch_domain::session::{SessionRecord, Standing};
use relatch_domain::{SessionId, SessionRef, UserId};

use super::audit::AuditRecord;
use super::journal::Since;
use super::operation::{ended_live, resolve_of_user};
use super::origin::Origin;
use super::{App, Failure};
use crate::store::{JournalWrite, NewEntry, Observation, StoreError};

impl App {
    /// Before an answer that depends on these sessions of a user being dead.
    ///
    /// # Errors
    /// If the store fails: then the answer must not be given.
    pub(super) async fn reveal(
        &self,
        user: UserId,
        dead: &[(SessionId, SessionRecord)],
    ) -> Result<(), Failure> {
        let since = self.since();
        for (session, _) in dead {
            let session = SessionRef { user, session: *session };
            if self.node.revocations.of(session).is_some() {
                self.make_durable(session).await?;
            }
        }
        if !dead.iter().any(|dead| self.is_unheard_of(user, dead)) {
            return Ok(());
        }
        self.read_journal(&*self.store).await?;
        resolve_of_user(self, user).await?;
        let template = AuditRecord::template(&Origin::server(), self.clock.now());
        let left = dead.iter().filter(|dead| self.is_unheard_of(user, dead));
        let entries: Vec<_> = left.filter_map(|dead| entry(&template, user, dead)).collect();
        let write = JournalWrite { entries, ..JournalWrite::default() };
        self.has_durably(write, since).await
    }

    /// Writes what is to be told of, and waits for the replicas, so that no failover loses it. A dead one does not keep it from
    /// being told.
    async fn has_durably(&self, write: JournalWrite, since: Since) -> Result<(), Failure> {
        self.write_journal(write).await?;
        if self.is_still(since).await {
            return Ok(());
        }
        Err(StoreError::Unavailable("an end that would be told of may be lost again".to_owned()).into())
    }

    /// Before an answer that depends on what the store knows of a session that is not let in.
    ///
    /// # Errors
    /// As [`App::reveal`].
    pub(super) async fn reveal_observed(
        &self,
        session: SessionRef,
        observed: &Observation,
    ) -> Result<(), Failure> {
        match (&observed.seen.session, observed.seen.user) {
            (Some(record), _) if record.ended.is_some() => {
                self.reveal(session.user, &[(session.session, *record)]).await
            }
            (_, Standing::Gone) => self.reveal_deleted(session.user).await,
            _ => Ok(()),
        }
    }

    /// Before an answer that depends on a user being gone.
    ///
    /// # Errors
    /// As [`App::reveal`].
    pub(super) async fn reveal_deleted(&self, user: UserId) -> Result<(), Failure> {
        let any_session = SessionRef { user, session: SessionId::from_bytes([0; 16]) };
        let since = self.since();
        if self.node.revocations.of(any_session).is_some() {
            return Ok(self.make_durable(any_session).await?);
        }
        self.read_journal(&*self.store).await?;
        resolve_of_user(self, user).await?;
        match self.node.revocations.of(any_session) {
            Some(_) => self.has_durably(JournalWrite::default(), since).await,
            None => Ok(()),
        }
    }

    /// Whether other nodes may still let a session in that is dead. What the cutoff has ended all of them know.
    fn is_unheard_of(&self, user: UserId, (session, record): &(SessionId, SessionRecord)) -> bool {
        let by_cutoff = session.began_at() < self.node.cutoffs.of(record.client).at;
        !by_cutoff && self.is_news(SessionRef { user, session: *session }, record)
    }
}

fn entry(
    template: &AuditRecord,
    user: UserId,
    (session, record): &(SessionId, SessionRecord),
) -> Option<NewEntry> {
    let (session, reason) = (SessionRef { user, session: *session }, record.ended?.reason);
    let audited = ended_live(record).then(|| template.of_end(session, reason.code()).to_json()).flatten();
    let revocation = relatch_domain::revocation::Revocation::Session { session, reason };
    Some(NewEntry { revocation, record: audited })
}
