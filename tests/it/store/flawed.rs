//! The conformance suite itself, held to finding what is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use relatch::store::{
    BeginStep, Begun, Credentials, CutoffRaised, EndStep, Ended, EntryId, GuessStep, Guesser, JournalPage,
    JournalWrite, JournalWritten, KeyShelf, Marker, NewUser, Observation, RotateStep, Rotated, Settled,
    Shards, Store, StoreError, StoredKey, SwapStep, Trail, TrailEntry, UserAsSeen, UserChange,
    UserChangeOutcome, UserCreation, UserDeleted, UserQuery, UserSessions, WholeUser,
};
use relatch_domain::cutoff::{Cutoffs, Whose};
use relatch_domain::guesses::{Guesses, Try};
use relatch_domain::revocation::Scope;
use relatch_domain::user::{User, Username};
use relatch_domain::{Generation, OperationId, SessionId, SessionRef, UnixMillis, UserId};
use relatch_testkit::conformance::run_random;
use relatch_testkit::model_store::ModelStore;

use super::conformance::clock;

/// A model with a flaw in it.
struct Flawed {
    model: ModelStore,
    flaw: Flaw,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// A swap does not look whether the record is as it was seen.
    SwapsUnseen,
    /// The third rotation of each session is acknowledged and lost.
    LosesRotations,
    /// A revocation of all but one session ends that one too.
    EndsTheSpared,
    /// A deletion is acknowledged and nothing is deleted.
    KeepsTheDeleted,
    /// Attributes are acknowledged and not kept.
    LosesAttributes,
    /// A user is changed whatever was seen of them.
    ChangesUnseen,
    /// A session begins whatever password was checked.
    BeginsUnchecked,
    /// A hash that is made anew counts as another password.
    CountsRehashes,
}

#[async_trait]
impl Store for Flawed {
    async fn rotate(&self, step: &RotateStep) -> Result<Rotated, StoreError> {
        if self.flaw != Flaw::LosesRotations || step.presented.generation != Generation(2) {
            return self.model.rotate(step).await;
        }
        let before = self.model.observe(step.presented.session).await?;
        let outcome = self.model.rotate(step).await?;
        if let (Rotated::Applied(_), Some(old)) = (&outcome, before.seen.session) {
            let now = self.model.observe(step.presented.session).await?;
            let as_seen = now.seen.session.unwrap_or(old);
            self.model.swap(&SwapStep { session: step.presented.session, as_seen, new: old }).await?;
        }
        Ok(outcome)
    }

    async fn swap(&self, step: &SwapStep) -> Result<Rotated, StoreError> {
        let now = self.model.observe(step.session).await?.seen.session;
        let as_seen = now.filter(|_| self.flaw == Flaw::SwapsUnseen).unwrap_or(step.as_seen);
        self.model.swap(&SwapStep { as_seen, ..*step }).await
    }

    async fn end_sessions(&self, step: &EndStep) -> Result<Ended, StoreError> {
        let mut step = step.clone();
        if self.flaw == Flaw::EndsTheSpared && matches!(step.scope, Scope::AllBut(_)) {
            step.scope = Scope::All;
        }
        self.model.end_sessions(&step).await
    }

    async fn observe(&self, session: SessionRef) -> Result<Observation, StoreError> {
        self.model.observe(session).await
    }

    async fn sessions_of(&self, user: UserId) -> Result<UserSessions, StoreError> {
        self.model.sessions_of(user).await
    }

    async fn append_history(&self, session: SessionRef, line: &str) -> Result<(), StoreError> {
        self.model.append_history(session, line).await
    }

    async fn history(&self, session: SessionRef) -> Result<Vec<String>, StoreError> {
        self.model.history(session).await
    }

    async fn histories(&self, user: UserId) -> Result<BTreeMap<SessionId, Vec<String>>, StoreError> {
        self.model.histories(user).await
    }

    async fn begin_session(&self, step: &BeginStep) -> Result<Begun, StoreError> {
        let mut step = step.clone();
        step.checked_hash = step.checked_hash.filter(|_| self.flaw != Flaw::BeginsUnchecked);
        self.model.begin_session(&step).await
    }

    async fn create_user(&self, new: &NewUser) -> Result<UserCreation, StoreError> {
        self.model.create_user(new).await
    }

    async fn claim_skeleton(&self, name: &Username, user: UserId) -> Result<bool, StoreError> {
        self.model.claim_skeleton(name, user).await
    }

    async fn release_skeleton(&self, name: &Username, user: UserId) -> Result<(), StoreError> {
        self.model.release_skeleton(name, user).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.model.user(id).await
    }

    async fn credentials(&self, name: &Username) -> Result<Option<Credentials>, StoreError> {
        self.model.credentials(name).await
    }

    async fn list_users(&self, query: &UserQuery) -> Result<Vec<User>, StoreError> {
        self.model.list_users(query).await
    }

    async fn count_users(&self) -> Result<u64, StoreError> {
        self.model.count_users().await
    }

    async fn change_user(&self, change: &UserChange) -> Result<UserChangeOutcome, StoreError> {
        let mut change = change.clone();
        change.attributes = change.attributes.filter(|_| self.flaw != Flaw::LosesAttributes);
        if self.flaw == Flaw::ChangesUnseen {
            change.as_seen = UserAsSeen::default();
        }
        change.is_rehash &= self.flaw != Flaw::CountsRehashes;
        self.model.change_user(&change).await
    }

    async fn settle_operation(&self, user: UserId, operation: OperationId) -> Result<Settled, StoreError> {
        self.model.settle_operation(user, operation).await
    }

    async fn delete_user(
        &self,
        user: UserId,
        operation: Option<OperationId>,
    ) -> Result<Option<UserDeleted>, StoreError> {
        if self.flaw != Flaw::KeepsTheDeleted {
            return self.model.delete_user(user, operation).await;
        }
        let found = self.model.user(user).await?;
        Ok(found.map(|user| UserDeleted { user, durable: true }))
    }

    async fn cutoffs(&self) -> Result<Cutoffs, StoreError> {
        self.model.cutoffs().await
    }

    async fn raise_cutoff(&self, whose: Whose, at: UnixMillis) -> Result<CutoffRaised, StoreError> {
        self.model.raise_cutoff(whose, at).await
    }

    async fn latest_time(&self) -> Result<UnixMillis, StoreError> {
        self.model.latest_time().await
    }

    async fn append_audit(&self, trail: Trail, record: &[u8], keep: usize) -> Result<(), StoreError> {
        self.model.append_audit(trail, record, keep).await
    }

    async fn audit(
        &self,
        trail: Trail,
        before: Option<EntryId>,
        limit: usize,
    ) -> Result<Vec<TrailEntry>, StoreError> {
        self.model.audit(trail, before, limit).await
    }

    async fn write_journal(&self, write: &JournalWrite) -> Result<JournalWritten, StoreError> {
        self.model.write_journal(write).await
    }

    async fn journal(&self, after: Option<EntryId>, limit: usize) -> Result<JournalPage, StoreError> {
        self.model.journal(after, limit).await
    }

    async fn guess(&self, step: &GuessStep) -> Result<Result<Try, Duration>, StoreError> {
        self.model.guess(step).await
    }

    async fn take_back_guess(&self, step: &GuessStep, counted: Try) -> Result<(), StoreError> {
        self.model.take_back_guess(step, counted).await
    }

    async fn guesses(&self, guesser: Guesser) -> Result<Option<Guesses>, StoreError> {
        self.model.guesses(guesser).await
    }

    async fn forget_guesses(&self, guesser: Guesser) -> Result<bool, StoreError> {
        self.model.forget_guesses(guesser).await
    }

    async fn keys(&self) -> Result<KeyShelf, StoreError> {
        self.model.keys().await
    }

    async fn put_key(&self, expected: u64, key: &StoredKey) -> Result<bool, StoreError> {
        self.model.put_key(expected, key).await
    }

    async fn remove_key(&self, expected: u64, id: &str) -> Result<bool, StoreError> {
        self.model.remove_key(expected, id).await
    }

    async fn identify(&self, marker: &Marker) -> Result<Option<Marker>, StoreError> {
        self.model.identify(marker).await
    }

    async fn marker(&self) -> Result<Option<Marker>, StoreError> {
        self.model.marker().await
    }

    async fn place_user(&self, user: &WholeUser) -> Result<(), StoreError> {
        self.model.place_user(user).await
    }

    async fn relabel(&self, marker: &Marker) -> Result<(), StoreError> {
        self.model.relabel(marker).await
    }

    async fn shards(&self) -> Result<Shards, StoreError> {
        self.model.shards().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.model.ping().await
    }
}

#[tokio::test]
async fn the_suite_finds_flaws_and_makes_the_failing_case_short() {
    for (flaw, at_most) in [
        (Flaw::SwapsUnseen, 3),
        (Flaw::EndsTheSpared, 3),
        (Flaw::LosesRotations, 6),
        (Flaw::KeepsTheDeleted, 2),
        (Flaw::LosesAttributes, 2),
        (Flaw::ChangesUnseen, 1),
        (Flaw::BeginsUnchecked, 1),
        (Flaw::CountsRehashes, 1),
    ] {
        let clock = clock();
        let model = ModelStore::new(Arc::new(clock.clone()));
        let store = Arc::new(Flawed { model, flaw });
        let found = run_random(store, clock, 2_000).await.unwrap_err();
        assert!(found.len() <= at_most, "{found}");
    }
}
