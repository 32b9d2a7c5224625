//! The reference for all stores: a few maps behind a lock, and the functions of the domain.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use relatch::ambient::Clock;
use relatch::store::{
    BeginStep, Begun, Credentials, CutoffRaised, EndNote, EndStep, Ended, EntryId, GuessBook, GuessStep,
    Guesser, JournalPage, JournalWrite, JournalWritten, KeyShelf, Marker, NewUser, Observation, RotateStep,
    Rotated, Settled, Shard, Shards, Store, StoreError, StoredKey, StoredSession, SwapStep, Trail,
    TrailEntry, UserChange, UserChangeOutcome, UserChanged, UserCreation, UserDeleted, UserQuery,
    UserSessions, WholeSession, WholeUser,
};
use relatch_domain::attributes::Attributes;
use relatch_domain::cutoff::{Cutoffs, Whose};
use relatch_domain::guesses::{Guesses, Try};
use relatch_domain::rotation::{guards_hold, next};
use relatch_domain::session::Standing;
use relatch_domain::sign_in::Change;
use relatch_domain::user::{Profile, User, Username};
use relatch_domain::{OperationId, SessionId, SessionRef, UnixMillis, UserId};

use crate::model_state::{Session, State, sessions_from};

/// A store in memory that keeps the contract of [`Store`] to the letter.
pub struct ModelStore {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    guesses: GuessBook,
}

impl ModelStore {
    /// An empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default(), guesses: GuessBook::default() }
    }

    /// Each step sees and changes the state alone.
    fn step(&self) -> (MutexGuard<'_, State>, UnixMillis) {
        (self.state.lock().unwrap_or_else(PoisonError::into_inner), self.clock.now())
    }
}

#[async_trait]
impl Store for ModelStore {
    async fn rotate(&self, step: &RotateStep) -> Result<Rotated, StoreError> {
        let (mut state, now) = self.step();
        let RotateStep { presented, fresh, policy } = step;
        let observation = state.observe(now, presented.session);
        if let Some(record) = &observation.seen.session
            && guards_hold(&observation.seen, presented, now, policy)
        {
            state.replace(presented.session, next(record, presented, fresh, now, policy));
            return Ok(Rotated::Applied(observation));
        }
        Ok(Rotated::Blocked(observation))
    }

    async fn swap(&self, step: &SwapStep) -> Result<Rotated, StoreError> {
        let (mut state, now) = self.step();
        let observation = state.observe(now, step.session);
        if observation.seen.user == Standing::Enabled && state.holds(step.session, &step.as_seen) {
            state.replace(step.session, step.new);
            return Ok(Rotated::Applied(observation));
        }
        Ok(Rotated::Blocked(observation))
    }

    async fn observe(&self, session: SessionRef) -> Result<Observation, StoreError> {
        let (state, now) = self.step();
        Ok(state.observe(now, session))
    }

    async fn end_sessions(&self, step: &EndStep) -> Result<Ended, StoreError> {
        let (mut state, now) = self.step();
        Ok(state.end(now, step))
    }

    async fn sessions_of(&self, user: UserId) -> Result<UserSessions, StoreError> {
        let (state, now) = self.step();
        let stored = |(id, session): (&SessionRef, &Session)| StoredSession {
            id: id.session,
            record: session.record,
            details: session.details.clone(),
            note: session.note.clone(),
        };
        Ok(UserSessions {
            now,
            user: state.users.get(&user).map(|credentials| credentials.user.clone()),
            sessions: state.sessions.range(sessions_from(user)).map(stored).collect(),
            corrupt: Vec::new(),
        })
    }

    async fn append_history(&self, session: SessionRef, line: &str) -> Result<(), StoreError> {
        self.step().0.append_history(session, line);
        Ok(())
    }

    async fn history(&self, session: SessionRef) -> Result<Vec<String>, StoreError> {
        Ok(self.histories(session.user).await?.remove(&session.session).unwrap_or_default())
    }

    async fn histories(&self, user: UserId) -> Result<BTreeMap<SessionId, Vec<String>>, StoreError> {
        Ok(self.step().0.histories(user))
    }

    async fn begin_session(&self, step: &BeginStep) -> Result<Begun, StoreError> {
        let (mut state, now) = self.step();
        state.is_open(step.session.user, step.operation)?;
        let other = |session: &SessionId| SessionRef { user: step.session.user, session: *session };
        let seen = state.observe(now, step.session).seen;
        let unchanged = step.changes.iter().all(|(id, as_seen, _)| state.holds(other(id), as_seen));
        let crowded = state.sessions.range(sessions_from(step.session.user)).count() > step.max_found;
        let hash = state.users.get(&step.session.user).and_then(|user| user.password_hash.clone());
        let other_password = step.checked_hash.is_some() && step.checked_hash != hash;
        let is_free = seen.user == Standing::Enabled && seen.session.is_none();
        if !is_free || !unchanged || crowded || other_password {
            return Ok(Begun::Blocked);
        }
        for (id, _, change) in &step.changes {
            match change {
                Change::Forget => drop(state.sessions.remove(&other(id))),
                Change::Replace(tombstone) => state.replace(other(id), *tombstone),
            }
        }
        state.note(step.session.user, step.operation);
        let (record, thumbprint, details) = (step.record, step.thumbprint, step.details.clone());
        let (note, history) = (EndNote::default(), String::new());
        state.sessions.insert(step.session, Session { record, thumbprint, details, note, history });
        Ok(Begun::Begun)
    }

    async fn create_user(&self, new: &NewUser) -> Result<UserCreation, StoreError> {
        let (mut state, now) = self.step();
        state.is_open(new.id, new.operation)?;
        if state.names.contains_key(&new.username) {
            return Ok(UserCreation::NameTaken);
        }
        let NewUser { username, roles, attributes, .. } = new.clone();
        let profile = Profile { username, roles, attributes };
        let user = User { id: new.id, profile, disabled: new.disabled, created_at: now };
        let password_hash = new.password_hash.clone();
        state.names.insert(new.username.clone(), new.id);
        state.claim_skeleton(now, &new.username, new.id);
        state.deleted.remove(&new.id);
        let credentials = Credentials { user: user.clone(), password_hash, password_changes: 0 };
        state.users.insert(new.id, credentials);
        state.note(new.id, new.operation);
        Ok(UserCreation::Created(user))
    }

    async fn claim_skeleton(&self, name: &Username, user: UserId) -> Result<bool, StoreError> {
        let (mut state, now) = self.step();
        Ok(state.claim_skeleton(now, name, user))
    }

    async fn release_skeleton(&self, name: &Username, user: UserId) -> Result<(), StoreError> {
        self.step().0.release_skeleton(name, user);
        Ok(())
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let (state, _) = self.step();
        Ok(state.users.get(&id).map(|credentials| credentials.user.clone()))
    }

    async fn credentials(&self, name: &Username) -> Result<Option<Credentials>, StoreError> {
        let (state, _) = self.step();
        Ok(state.names.get(name).and_then(|id| state.users.get(id)).cloned())
    }

    async fn list_users(&self, query: &UserQuery) -> Result<Vec<User>, StoreError> {
        let (state, _) = self.step();
        let start = query.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let prefix = query.prefix.as_deref().unwrap_or_default();
        let names = state.names.range((start, Bound::Unbounded));
        let ids = names.filter(|(name, _)| name.as_str().starts_with(prefix)).map(|(_, id)| id);
        let users = ids.filter_map(|id| state.users.get(id)).map(|credentials| credentials.user.clone());
        Ok(users.take(query.limit).collect())
    }

    async fn count_users(&self) -> Result<u64, StoreError> {
        Ok(self.step().0.users.len() as u64)
    }

    async fn change_user(&self, change: &UserChange) -> Result<UserChangeOutcome, StoreError> {
        let (mut state, now) = self.step();
        state.is_open(change.user, change.operation)?;
        let Some(found) = state.users.get_mut(&change.user) else { return Ok(UserChangeOutcome::Unknown) };
        let Credentials { user, password_hash, password_changes } = found;
        let seen = &change.as_seen;
        let other_attributes = seen.attributes.as_ref().is_some_and(|seen| user.profile.attributes != *seen);
        if other_attributes || seen.password_hash.is_some() && seen.password_hash != *password_hash {
            return Ok(UserChangeOutcome::Blocked);
        }
        if let Some(roles) = &change.roles {
            user.profile.roles = roles.clone();
        }
        if let Some(attributes) = &change.attributes {
            user.profile.attributes = attributes.clone();
        }
        user.disabled = change.disabled.unwrap_or(user.disabled);
        *password_hash = change.password_hash.clone().or(password_hash.take());
        *password_changes = password_changes.saturating_add(change.changes_password().into());
        let (user, password_changes) = (user.clone(), *password_changes);
        state.note(user.id, change.operation);
        let ended = match change.end.clone() {
            Some((scope, reason, note)) => {
                state.end(now, &EndStep { user: user.id, scope, begun_before: None, reason, note })
            }
            None => Ended { now, covered: 0, ended: Vec::new(), dead: Vec::new(), durable: true },
        };
        Ok(UserChangeOutcome::Changed(UserChanged { user, password_changes, ended }))
    }

    async fn settle_operation(&self, user: UserId, operation: OperationId) -> Result<Settled, StoreError> {
        let (mut state, _) = self.step();
        let carried_out = *state.operations.entry((user, operation)).or_insert(false);
        Ok(Settled { carried_out, durable: true })
    }

    async fn delete_user(
        &self,
        id: UserId,
        operation: Option<OperationId>,
    ) -> Result<Option<UserDeleted>, StoreError> {
        let (mut state, now) = self.step();
        state.is_open(id, operation)?;
        state.deleted.retain(|_, (at, _)| now.age_since(*at) <= Duration::from_hours(24));
        let Some(Credentials { user, .. }) = state.users.remove(&id) else {
            let before = state.deleted.get(&id).map(|(_, user)| user.clone());
            state.note(id, operation.filter(|_| before.is_some()));
            return Ok(before.map(|user| UserDeleted { user, durable: true }));
        };
        let profile = Profile { attributes: Attributes::default(), ..user.profile.clone() };
        state.deleted.insert(id, (now, User { profile, ..user.clone() }));
        state.note(id, operation);
        state.names.remove(&user.profile.username);
        state.release_skeleton(&user.profile.username, id);
        state.sessions.retain(|session, _| session.user != id);
        Ok(Some(UserDeleted { user, durable: true }))
    }

    async fn cutoffs(&self) -> Result<Cutoffs, StoreError> {
        Ok(self.step().0.cutoffs.clone())
    }

    async fn raise_cutoff(&self, whose: Whose, at: UnixMillis) -> Result<CutoffRaised, StoreError> {
        let (mut state, now) = self.step();
        if whose == Whose::Everyone && at > now {
            return Ok(CutoffRaised::InFuture);
        }
        Ok(CutoffRaised::Raised { cutoff: state.cutoffs.raise(whose, at), durable: true })
    }

    async fn latest_time(&self) -> Result<UnixMillis, StoreError> {
        Ok(self.clock.now())
    }

    async fn append_audit(&self, trail: Trail, record: &[u8], keep: usize) -> Result<(), StoreError> {
        let (mut state, now) = self.step();
        state.append(now, trail, record, keep);
        Ok(())
    }

    async fn audit(
        &self,
        trail: Trail,
        before: Option<EntryId>,
        limit: usize,
    ) -> Result<Vec<TrailEntry>, StoreError> {
        let (state, _) = self.step();
        let kept = state.audit.get(&trail).map(Vec::as_slice).unwrap_or_default();
        let earlier = kept.iter().rev().filter(|entry| before.is_none_or(|before| entry.id < before));
        Ok(earlier.take(limit).cloned().collect())
    }

    async fn write_journal(&self, write: &JournalWrite) -> Result<JournalWritten, StoreError> {
        let (mut state, now) = self.step();
        let (written, records) = state.journal.write(write, now);
        for record in records {
            state.append(now, Trail::Acts, &record, write.audit_keep);
        }
        Ok(written)
    }

    async fn journal(&self, after: Option<EntryId>, limit: usize) -> Result<JournalPage, StoreError> {
        let (state, now) = self.step();
        Ok(state.journal.page(now, after, limit))
    }

    async fn guess(&self, step: &GuessStep) -> Result<Result<Try, Duration>, StoreError> {
        Ok(self.guesses.guess(step, self.clock.now()))
    }

    async fn take_back_guess(&self, step: &GuessStep, counted: Try) -> Result<(), StoreError> {
        self.guesses.take_back(step, counted, self.clock.now());
        Ok(())
    }

    async fn guesses(&self, guesser: Guesser) -> Result<Option<Guesses>, StoreError> {
        Ok(self.guesses.of(guesser, self.clock.now()))
    }

    async fn forget_guesses(&self, guesser: Guesser) -> Result<bool, StoreError> {
        Ok(self.guesses.forget(guesser, self.clock.now()))
    }

    async fn keys(&self) -> Result<KeyShelf, StoreError> {
        Ok(self.step().0.shelf.clone())
    }

    async fn put_key(&self, expected: u64, key: &StoredKey) -> Result<bool, StoreError> {
        let (mut state, _) = self.step();
        let kept = &mut state.shelf;
        if kept.version != expected {
            return Ok(false);
        }
        kept.version += 1;
        match kept.keys.binary_search_by(|own| own.id.cmp(&key.id)) {
            Ok(at) => kept.keys.splice(at..=at, [key.clone()]).for_each(drop),
            Err(at) => kept.keys.insert(at, key.clone()),
        }
        Ok(true)
    }

    async fn remove_key(&self, expected: u64, id: &str) -> Result<bool, StoreError> {
        let (mut state, _) = self.step();
        let kept = &mut state.shelf;
        if kept.version != expected {
            return Ok(false);
        }
        kept.version += 1;
        kept.keys.retain(|key| key.id != id);
        Ok(true)
    }

    async fn identify(&self, marker: &Marker) -> Result<Option<Marker>, StoreError> {
        let (mut state, _) = self.step();
        Ok(Some(state.marker.get_or_insert_with(|| marker.clone()).clone()))
    }

    async fn marker(&self) -> Result<Option<Marker>, StoreError> {
        Ok(self.step().0.marker.clone())
    }

    async fn place_user(&self, user: &WholeUser) -> Result<(), StoreError> {
        let (mut state, _) = self.step();
        let WholeUser { credentials, sessions } = user.clone();
        let id = credentials.user.id;
        state.sessions.retain(|session, _| session.user != id);
        for WholeSession { stored, history, thumbprint } in sessions {
            let StoredSession { id: session, record, details, note } = stored;
            let history = history.join("\n");
            let kept = Session { record, thumbprint, details, note, history };
            state.sessions.insert(SessionRef { user: id, session }, kept);
        }
        state.names.insert(credentials.user.profile.username.clone(), id);
        state.users.insert(id, credentials);
        Ok(())
    }

    async fn relabel(&self, marker: &Marker) -> Result<(), StoreError> {
        self.step().0.marker = Some(marker.clone());
        Ok(())
    }

    async fn shards(&self) -> Result<Shards, StoreError> {
        Ok(Shards::one(Shard::whole("the model", "model")))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
