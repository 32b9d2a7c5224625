//! All of one user, written at once: for a copy of another store.

use redb::ReadableTable as _;
use relatch_domain::{SessionRef, UnixMillis, record};

use super::sessions::forget;
use super::skeletons;
use super::tables::{Failure, SessionKey, Tables, key_of, keys_of, session_of};
use super::users::save;
use crate::store::{WholeSession, WholeUser};

/// See [`crate::store::Store::place_user`].
pub(super) fn place(tables: &mut Tables<'_>, now: UnixMillis, whole: &WholeUser) -> Result<(), Failure> {
    let user = &whole.credentials.user;
    let (first, last) = keys_of(user.id);
    let there = tables.sessions.range::<&SessionKey>(&first..=&last)?;
    let there: Vec<SessionKey> =
        there.map(|entry| entry.map(|(key, _)| *key.value())).collect::<Result<_, _>>()?;
    for key in there {
        forget(tables, &key)?;
    }
    save(tables, whole.credentials.clone())?;
    tables.names.insert(user.profile.username.as_str(), user.id.as_bytes())?;
    skeletons::claim(tables, now, &user.profile.username, user.id)?;
    whole.sessions.iter().try_for_each(|session| write(tables, &key_of(user.id, session.stored.id), session))
}

fn write(tables: &mut Tables<'_>, key: &SessionKey, session: &WholeSession) -> Result<(), Failure> {
    let WholeSession { stored, thumbprint, history } = session;
    let unwritable = |error| corrupt(session_of(key), &error);
    tables.sessions.insert(key, record::encode(&stored.record).as_slice())?;
    let details = serde_json::to_vec(&stored.details).map_err(unwritable)?;
    tables.details.insert(key, details.as_slice())?;
    if let Some(thumbprint) = thumbprint {
        tables.thumbprints.insert(key, &thumbprint.0)?;
    }
    if !stored.note.is_empty() {
        let note = serde_json::to_vec(&stored.note).map_err(unwritable)?;
        tables.notes.insert(key, note.as_slice())?;
    }
    if !history.is_empty() {
        tables.histories.insert(key, history.join("\n").as_str())?;
    }
    Ok(())
}

fn corrupt(session: SessionRef, error: &serde_json::Error) -> Failure {
    Failure::Corrupt(format!("what is kept of {session} is not to be written: {error}"))
}
