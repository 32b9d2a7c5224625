//! The steps on sessions. What they check and write is the domain's; here is only the order of reads and writes.

use redb::ReadableTable;
use relatch_domain::record::{self, CorruptRecord};
use relatch_domain::revocation::{self, Scope};
use relatch_domain::rotation::{guards_hold, next};
use relatch_domain::session::{Seen, SessionRecord, Standing};
use relatch_domain::sign_in::Change;
use relatch_domain::{SessionRef, UnixMillis, UserId};

use super::tables::{Failure, SessionKey, Snapshot, Tables, key_of, keys_of, session_of};
use super::{operated, users};
use crate::store::{
    BeginStep, Begun, Credentials, EndStep, Ended, Observation, RotateStep, Rotated, StoredSession, SwapStep,
    UserSessions,
};

/// See [`crate::store::Store::rotate`].
pub(super) fn rotate(
    tables: &mut Tables<'_>,
    now: UnixMillis,
    step: &RotateStep,
) -> Result<Rotated, Failure> {
    let RotateStep { presented, fresh, policy } = step;
    let observation = look(tables, now, presented.session)?;
    match &observation.seen.session {
        Some(record) if guards_hold(&observation.seen, presented, now, policy) => {
            let next = next(record, presented, fresh, now, policy);
            put_record(tables, presented.session, &next)?;
            Ok(Rotated::Applied(observation))
        }
        _ => Ok(Rotated::Blocked(observation)),
    }
}

/// See [`crate::store::Store::swap`].
pub(super) fn swap(tables: &mut Tables<'_>, now: UnixMillis, step: &SwapStep) -> Result<Rotated, Failure> {
    let observation = look(tables, now, step.session)?;
    let unchanged = observation.seen.session.is_some_and(|record| same(&record, &step.as_seen));
    if unchanged && observation.seen.user == Standing::Enabled {
        put_record(tables, step.session, &step.new)?;
        Ok(Rotated::Applied(observation))
    } else {
        Ok(Rotated::Blocked(observation))
    }
}

/// See [`crate::store::Store::observe`].
pub(super) fn observe(
    snapshot: &Snapshot,
    now: UnixMillis,
    session: SessionRef,
) -> Result<Observation, Failure> {
    let user = users::load(&snapshot.users, session.user)?;
    let record = load(&snapshot.sessions, session)?;
    observation(now, user, record, || Ok(snapshot.thumbprints.get(&key(session))?.map(|own| *own.value())))
}

/// See [`crate::store::Store::end_sessions`].
pub(super) fn end(tables: &mut Tables<'_>, now: UnixMillis, step: &EndStep) -> Result<Ended, Failure> {
    let note = if step.note.is_empty() { None } else { serde_json::to_vec(&step.note).ok() };
    let mut ended = Ended { now, covered: 0, ended: Vec::new(), dead: Vec::new(), durable: true };
    for (key, found) in covered(tables, step)? {
        ended.covered += 1;
        let session = session_of(&key);
        let Ok(record) = found else {
            // A record that this version cannot read might be readable again tomorrow, by the version that wrote
            // it, and would then be alive. Without a record its tokens are refused for good. It may have been
            // live, so it counts as ended by this step: whoever hears of it errs towards refusing.
            forget(tables, &key)?;
            ended.ended.push(session.session);
            continue;
        };
        let end = revocation::end(&record, step.reason, now);
        let tombstone = end.map_or(record, |(tombstone, _)| tombstone);
        ended.dead.push((session.session, tombstone));
        let Some((_, was_live)) = end else { continue };
        put_record(tables, session, &tombstone)?;
        if let Some(note) = &note {
            tables.notes.insert(&key, note.as_slice())?;
        }
        if was_live {
            ended.ended.push(session.session);
        }
    }
    Ok(ended)
}

/// See [`crate::store::Store::sessions_of`].
pub(super) fn sessions_of(
    snapshot: &Snapshot,
    now: UnixMillis,
    user: UserId,
) -> Result<UserSessions, Failure> {
    let owner = users::load(&snapshot.users, user)?.map(|found| found.user);
    let (sessions, corrupt) = (Vec::new(), Vec::new());
    let mut answer = UserSessions { now, user: owner, sessions, corrupt };
    let (first, last) = keys_of(user);
    for entry in snapshot.sessions.range::<&SessionKey>(&first..=&last)? {
        let (key, packed) = entry?;
        let Ok(record) = record::decode(packed.value()) else {
            answer.corrupt.push(session_of(key.value()).session);
            continue;
        };
        let details = snapshot.details.get(key.value())?;
        let note = snapshot.notes.get(key.value())?;
        answer.sessions.push(StoredSession {
            id: session_of(key.value()).session,
            record,
            details: details.and_then(|json| serde_json::from_slice(json.value()).ok()).unwrap_or_default(),
            note: note.and_then(|json| serde_json::from_slice(json.value()).ok()).unwrap_or_default(),
        });
    }
    Ok(answer)
}

/// See [`crate::store::Store::begin_session`].
pub(super) fn begin(tables: &mut Tables<'_>, now: UnixMillis, step: &BeginStep) -> Result<Begun, Failure> {
    operated::is_open(tables, step.session.user, step.operation)?;
    if !may_begin(tables, step)? {
        return Ok(Begun::Blocked);
    }
    for (id, _, change) in &step.changes {
        let other = SessionRef { user: step.session.user, session: *id };
        match change {
            Change::Forget => forget(tables, &key(other))?,
            Change::Replace(tombstone) => put_record(tables, other, tombstone)?,
        }
    }
    operated::note(tables, now, step.session.user, step.operation)?;
    let key = key(step.session);
    put_record(tables, step.session, &step.record)?;
    let details = serde_json::to_vec(&step.details)
        .map_err(|error| Failure::Corrupt(format!("details of {}: {error}", step.session)))?;
    tables.details.insert(&key, details.as_slice())?;
    if let Some(thumbprint) = &step.thumbprint {
        tables.thumbprints.insert(&key, &thumbprint.0)?;
    }
    Ok(Begun::Begun)
}

fn may_begin(tables: &Tables<'_>, step: &BeginStep) -> Result<bool, Failure> {
    let user = users::load(&tables.users, step.session.user)?;
    if standing(user.as_ref()) != Standing::Enabled || tables.sessions.get(&key(step.session))?.is_some() {
        return Ok(false);
    }
    let hash = user.and_then(|user| user.password_hash);
    if step.checked_hash.is_some() && step.checked_hash != hash {
        return Ok(false);
    }
    let (first, last) = keys_of(step.session.user);
    if tables.sessions.range::<&SessionKey>(&first..=&last)?.count() > step.max_found {
        return Ok(false);
    }
    for (id, as_seen, _) in &step.changes {
        let stored = tables.sessions.get(&key_of(step.session.user, *id))?;
        let record = stored.and_then(|packed| record::decode(packed.value()).ok());
        if !record.is_some_and(|record| same(&record, as_seen)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes a session and all that stands beside it.
pub(super) fn forget(tables: &mut Tables<'_>, key: &SessionKey) -> Result<(), Failure> {
    tables.sessions.remove(key)?;
    tables.details.remove(key)?;
    tables.thumbprints.remove(key)?;
    tables.notes.remove(key)?;
    tables.histories.remove(key)?;
    Ok(())
}

type Found = Result<SessionRecord, CorruptRecord>;

fn covered(tables: &Tables<'_>, step: &EndStep) -> Result<Vec<(SessionKey, Found)>, Failure> {
    let (first, last) = match step.scope {
        Scope::One(one) => (key_of(step.user, one), key_of(step.user, one)),
        Scope::AllBut(_) | Scope::All | Scope::Client(_) => keys_of(step.user),
    };
    let mut covered = Vec::new();
    for entry in tables.sessions.range::<&SessionKey>(&first..=&last)? {
        let (key, packed) = entry?;
        let record = record::decode(packed.value());
        if step.covers(session_of(key.value()).session, record.as_ref().ok()) {
            covered.push((*key.value(), record));
        }
    }
    Ok(covered)
}

fn look(tables: &Tables<'_>, now: UnixMillis, session: SessionRef) -> Result<Observation, Failure> {
    let user = users::load(&tables.users, session.user)?;
    let record = load(&tables.sessions, session)?;
    observation(now, user, record, || Ok(tables.thumbprints.get(&key(session))?.map(|own| *own.value())))
}

fn observation(
    now: UnixMillis,
    user: Option<Credentials>,
    session: Option<SessionRecord>,
    thumbprint: impl FnOnce() -> Result<Option<[u8; 32]>, Failure>,
) -> Result<Observation, Failure> {
    let thumbprint = if session.is_some_and(|record| record.dpop_bound) { thumbprint()? } else { None };
    let seen = Seen {
        session,
        thumbprint: thumbprint.map(relatch_domain::ids::Thumbprint),
        user: standing(user.as_ref()),
    };
    Ok(Observation { now, seen, profile: user.map(|found| found.user.profile) })
}

fn standing(user: Option<&Credentials>) -> Standing {
    match user {
        None => Standing::Gone,
        Some(found) if found.user.disabled => Standing::Disabled,
        Some(_) => Standing::Enabled,
    }
}

fn load(
    sessions: &impl ReadableTable<&'static SessionKey, &'static [u8]>,
    session: SessionRef,
) -> Result<Option<SessionRecord>, Failure> {
    let Some(packed) = sessions.get(&key(session))? else { return Ok(None) };
    let record = record::decode(packed.value());
    record.map(Some).map_err(|error| Failure::Corrupt(format!("session {session}: {error}")))
}

fn put_record(tables: &mut Tables<'_>, session: SessionRef, record: &SessionRecord) -> Result<(), Failure> {
    tables.sessions.insert(&key(session), record::encode(record).as_slice())?;
    Ok(())
}

fn same(record: &SessionRecord, as_seen: &SessionRecord) -> bool {
    record::encode(record) == record::encode(as_seen)
}

fn key(session: SessionRef) -> SessionKey {
    key_of(session.user, session.session)
}
