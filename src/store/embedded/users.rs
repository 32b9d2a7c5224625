//! Users: the stored form, and the steps that read and write it.

use std::ops::Bound;

use redb::ReadableTable;
use relatch_domain::attributes::Attributes;
use relatch_domain::user::{Profile, Roles, User, Username};
use relatch_domain::{OperationId, UnixMillis, UserId};
use serde::{Deserialize, Serialize};

use super::operated;
use super::sessions;
use super::skeletons;
use super::tables::{Failure, SessionKey, Snapshot, Tables, keys_of};
use crate::store::{
    Credentials, EndStep, Ended, NewUser, UserAsSeen, UserChange, UserChangeOutcome, UserChanged,
    UserCreation, UserDeleted, UserQuery, is_zero,
};

/// The version of [`StoredUser`] that this code reads and writes.
const VERSION: u8 = 1;

/// A user as the file keeps it. No `Debug`: it carries the password hash.
#[derive(Serialize, Deserialize)]
struct StoredUser {
    version: u8,
    username: Username,
    roles: Roles,
    disabled: bool,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    attributes: Attributes,
    password_hash: Option<String>,
    /// Absent in a user whose password has never changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    password_changes: u32,
    created_at: u64,
}

/// How long it is known that a user was deleted, in milliseconds.
const DELETED_KEEPS: u64 = 86_400_000;

/// A user with the password hash, or nothing if there is no such user.
pub(super) fn load(
    users: &impl ReadableTable<&'static [u8; 16], &'static [u8]>,
    id: UserId,
) -> Result<Option<Credentials>, Failure> {
    let Some(stored) = users.get(id.as_bytes())? else { return Ok(None) };
    read(id, stored.value()).map(|stored| Some(stored.credentials(id)))
}

fn read(id: UserId, json: &[u8]) -> Result<StoredUser, Failure> {
    let corrupt = |why: &dyn std::fmt::Display| Failure::Corrupt(format!("user {id}: {why}"));
    // The error's own text may quote what it could not read: a name, or a hash.
    let stored: StoredUser = serde_json::from_slice(json).map_err(|error| corrupt(&category(&error)))?;
    if stored.version != VERSION {
        return Err(corrupt(&format_args!("version {}, this server knows {VERSION}", stored.version)));
    }
    Ok(stored)
}

impl StoredUser {
    fn credentials(self, id: UserId) -> Credentials {
        let Self {
            username, roles, disabled, attributes, password_hash, password_changes, created_at, ..
        } = self;
        let profile = Profile { username, roles, attributes };
        let user = User { id, profile, disabled, created_at: UnixMillis(created_at) };
        Credentials { user, password_hash, password_changes }
    }
}

fn category(error: &serde_json::Error) -> String {
    format!("not the JSON of a user (line {}, column {})", error.line(), error.column())
}

pub(super) fn save(tables: &mut Tables<'_>, credentials: Credentials) -> Result<(), Failure> {
    let Credentials { user, password_hash, password_changes } = credentials;
    let stored = StoredUser {
        version: VERSION,
        username: user.profile.username,
        roles: user.profile.roles,
        disabled: user.disabled,
        attributes: user.profile.attributes,
        password_hash,
        password_changes,
        created_at: user.created_at.0,
    };
    let json = serde_json::to_vec(&stored).map_err(|error| Failure::Corrupt(category(&error)))?;
    tables.users.insert(user.id.as_bytes(), json.as_slice())?;
    Ok(())
}

/// See [`crate::store::Store::create_user`].
pub(super) fn create(
    tables: &mut Tables<'_>,
    now: UnixMillis,
    new: &NewUser,
) -> Result<UserCreation, Failure> {
    operated::is_open(tables, new.id, new.operation)?;
    if tables.names.get(new.username.as_str())?.is_some() {
        return Ok(UserCreation::NameTaken);
    }
    let profile = Profile {
        username: new.username.clone(),
        roles: new.roles.clone(),
        attributes: new.attributes.clone(),
    };
    let user = User { id: new.id, profile, disabled: new.disabled, created_at: now };
    tables.deleted.remove(new.id.as_bytes())?;
    let password_hash = new.password_hash.clone();
    save(tables, Credentials { user: user.clone(), password_hash, password_changes: 0 })?;
    tables.names.insert(new.username.as_str(), new.id.as_bytes())?;
    skeletons::claim(tables, now, &new.username, new.id)?;
    operated::note(tables, now, new.id, new.operation)?;
    Ok(UserCreation::Created(user))
}

/// See [`crate::store::Store::change_user`].
pub(super) fn change(
    tables: &mut Tables<'_>,
    now: UnixMillis,
    change: &UserChange,
) -> Result<UserChangeOutcome, Failure> {
    operated::is_open(tables, change.user, change.operation)?;
    let Some(found) = load(&tables.users, change.user)? else { return Ok(UserChangeOutcome::Unknown) };
    if !is_as_seen(&found, &change.as_seen) {
        return Ok(UserChangeOutcome::Blocked);
    }
    let Credentials { mut user, password_hash, password_changes } = found;
    user.profile.roles = change.roles.clone().unwrap_or(user.profile.roles);
    user.profile.attributes = change.attributes.clone().unwrap_or(user.profile.attributes);
    user.disabled = change.disabled.unwrap_or(user.disabled);
    let password_hash = change.password_hash.clone().or(password_hash);
    let password_changes = password_changes.saturating_add(change.changes_password().into());
    save(tables, Credentials { user: user.clone(), password_hash, password_changes })?;
    operated::note(tables, now, user.id, change.operation)?;
    let ended = match change.end.clone() {
        Some((scope, reason, note)) => {
            sessions::end(tables, now, &EndStep { user: user.id, scope, begun_before: None, reason, note })?
        }
        None => Ended { now, covered: 0, ended: Vec::new(), dead: Vec::new(), durable: true },
    };
    Ok(UserChangeOutcome::Changed(UserChanged { user, password_changes, ended }))
}

fn is_as_seen(found: &Credentials, seen: &UserAsSeen) -> bool {
    let UserAsSeen { attributes, password_hash } = seen;
    attributes.as_ref().is_none_or(|seen| found.user.profile.attributes == *seen)
        && (password_hash.is_none() || found.password_hash == *password_hash)
}

/// See [`crate::store::Store::delete_user`].
pub(super) fn delete(
    tables: &mut Tables<'_>,
    now: UnixMillis,
    id: UserId,
    operation: Option<OperationId>,
) -> Result<Option<UserDeleted>, Failure> {
    operated::is_open(tables, id, operation)?;
    let kept = |at: u64| now.0.saturating_sub(at) <= DELETED_KEEPS;
    tables.deleted.retain(|_, (at, _)| kept(at))?;
    let Some(stored) = tables.users.get(id.as_bytes())?.map(|stored| read(id, stored.value())) else {
        let before = tables.deleted.get(id.as_bytes())?.map(|kept| read(id, kept.value().1));
        let before = before.transpose()?.map(|stored| stored.credentials(id).user);
        if before.is_some() {
            operated::note(tables, now, id, operation)?;
        }
        return Ok(before.map(|user| UserDeleted { user, durable: true }));
    };
    let mut tombstone = StoredUser { password_hash: None, password_changes: 0, ..stored? };
    let attributes = std::mem::take(&mut tombstone.attributes);
    let json = serde_json::to_vec(&tombstone).map_err(|error| Failure::Corrupt(category(&error)))?;
    tables.deleted.insert(id.as_bytes(), (now.0, json.as_slice()))?;
    tombstone.attributes = attributes;
    let user = tombstone.credentials(id).user;
    operated::note(tables, now, id, operation)?;
    let (first, last) = keys_of(id);
    let keys = tables.sessions.range::<&SessionKey>(&first..=&last)?;
    let keys = keys.map(|entry| Ok(*entry?.0.value())).collect::<Result<Vec<_>, Failure>>()?;
    for key in &keys {
        sessions::forget(tables, key)?;
    }
    tables.users.remove(id.as_bytes())?;
    tables.names.remove(user.profile.username.as_str())?;
    skeletons::release(tables, &user.profile.username, id)?;
    Ok(Some(UserDeleted { user, durable: true }))
}

/// See [`crate::store::Store::credentials`].
pub(super) fn credentials(snapshot: &Snapshot, name: &Username) -> Result<Option<Credentials>, Failure> {
    let Some(id) = snapshot.names.get(name.as_str())? else { return Ok(None) };
    named(snapshot, UserId::from_bytes(*id.value())).map(Some)
}

/// See [`crate::store::Store::list_users`].
pub(super) fn list(snapshot: &Snapshot, query: &UserQuery) -> Result<Vec<User>, Failure> {
    let prefix = query.prefix.as_deref().unwrap_or_default();
    let start = match &query.after {
        Some(name) if name.as_str() >= prefix => Bound::Excluded(name.as_str()),
        _ => Bound::Included(prefix),
    };
    let names = snapshot.names.range::<&str>((start, Bound::Unbounded))?;
    let mut users = Vec::new();
    for entry in names.take(query.limit) {
        let (name, id) = entry?;
        if !name.value().starts_with(prefix) {
            break;
        }
        users.push(named(snapshot, UserId::from_bytes(*id.value()))?.user);
    }
    Ok(users)
}

/// The user that a name leads to: always there, since both are written in one transaction.
fn named(snapshot: &Snapshot, id: UserId) -> Result<Credentials, Failure> {
    load(&snapshot.users, id)?.ok_or_else(|| Failure::Corrupt(format!("user {id}: has a name and is gone")))
}
