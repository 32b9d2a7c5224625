//! The histories of a user's sessions. Which lines are kept is decided in [`crate::store::histories`].

use std::collections::BTreeMap;

use redb::ReadableTable;
use relatch_domain::{SessionId, SessionRef, UserId};

use super::tables::{Failure, SessionKey, Snapshot, Tables, key_of, keys_of, session_of};
use crate::store::histories::{is_line, later_half, to_shorten, with_line};

/// See [`crate::store::Store::append_history`].
pub(super) fn append(tables: &mut Tables<'_>, session: SessionRef, line: &str) -> Result<(), Failure> {
    let key = key_of(session.user, session.session);
    if !is_line(line) || tables.sessions.get(&key)?.is_none() {
        return Ok(());
    }
    let history = text(&tables.histories, &key)?;
    tables.histories.insert(&key, with_line(&history, line).as_str())?;
    while let Some(longest) = to_shorten(lengths(&tables.histories, session.user)?) {
        let history = text(&tables.histories, &longest)?;
        match later_half(&history) {
            "" => drop(tables.histories.remove(&longest)?),
            half => drop(tables.histories.insert(&longest, half)?),
        }
    }
    Ok(())
}

/// See [`crate::store::Store::history`].
pub(super) fn of_session(snapshot: &Snapshot, session: SessionRef) -> Result<Vec<String>, Failure> {
    Ok(lines(&text(&snapshot.histories, &key_of(session.user, session.session))?))
}

/// See [`crate::store::Store::histories`].
pub(super) fn of_user(
    snapshot: &Snapshot,
    user: UserId,
) -> Result<BTreeMap<SessionId, Vec<String>>, Failure> {
    let (first, last) = keys_of(user);
    let mut histories = BTreeMap::new();
    for entry in snapshot.histories.range::<&SessionKey>(&first..=&last)? {
        let (key, text) = entry?;
        histories.insert(session_of(key.value()).session, lines(text.value()));
    }
    Ok(histories)
}

type Histories = &'static SessionKey;

fn text(
    histories: &impl ReadableTable<Histories, &'static str>,
    key: &SessionKey,
) -> Result<String, Failure> {
    Ok(histories.get(key)?.map(|text| text.value().to_owned()).unwrap_or_default())
}

/// The lengths of all histories of a user in bytes, in the order of the sessions.
fn lengths(
    histories: &impl ReadableTable<Histories, &'static str>,
    user: UserId,
) -> Result<Vec<(SessionKey, usize)>, Failure> {
    let (first, last) = keys_of(user);
    let mut lengths = Vec::new();
    for entry in histories.range::<&SessionKey>(&first..=&last)? {
        let (key, text) = entry?;
        lengths.push((*key.value(), text.value().len()));
    }
    Ok(lengths)
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}
