//! Users: the stored form, and the steps that read and write it.

use std::ops::Bound;

use redb::ReadableTable;
use relatch_domain::user::{Profile, Roles, User, Username};
use relatch_domain::{UnixMillis, UserId};
use serde::{Deserialize, Serialize};

use super::tables::{Failure, Snapshot, Tables};
use crate::store::{Credentials, NewUser, UserCreation};

/// The version of [`StoredUser`] that this code reads and writes.
const VERSION: u8 = 1;

/// A user as the file keeps it. No `Debug`: it carries the password hash.
#[derive(Serialize, Deserialize)]
struct StoredUser {
    version: u8,
    username: Username,
    roles: Roles,
    disabled: bool,
    password_hash: Option<String>,
    created_at: u64,
}

/// A user with the password hash, or nothing if there is no such user.
pub(super) fn load(
    users: &impl ReadableTable<&'static [u8; 16], &'static [u8]>,
    id: UserId,
) -> Result<Option<Credentials>, Failure> {
    let Some(stored) = users.get(id.as_bytes())? else { return Ok(None) };
    let corrupt = |why: &dyn std::fmt::Display| Failure::Corrupt(format!("user {id}: {why}"));
    // The error's own text may quote what it could not read: a name, or a hash.
    let stored: StoredUser =
        serde_json::from_slice(stored.value()).map_err(|error| corrupt(&category(&error)))?;
    if stored.version != VERSION {
        return Err(corrupt(&format_args!("version {}, this server knows {VERSION}", stored.version)));
    }
    let profile = Profile { username: stored.username, roles: stored.roles };
    let created_at = UnixMillis(stored.created_at);
    let user = User { id, profile, disabled: stored.disabled, created_at };
    Ok(Some(Credentials { user, password_hash: stored.password_hash }))
}

fn category(error: &serde_json::Error) -> String {
    format!("not the JSON of a user (line {}, column {})", error.line(), error.column())
}

fn save(tables: &mut Tables<'_>, credentials: Credentials) -> Result<(), Failure> {
    let Credentials { user, password_hash } = credentials;
    let stored = StoredUser {
        version: VERSION,
        username: user.profile.username,
        roles: user.profile.roles,
        disabled: user.disabled,
        password_hash,
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
    if tables.names.get(new.username.as_str())?.is_some() {
        return Ok(UserCreation::NameTaken);
    }
    let profile = Profile { username: new.username.clone(), roles: new.roles.clone() };
    let user = User { id: new.id, profile, disabled: false, created_at: now };
    save(tables, Credentials { user: user.clone(), password_hash: new.password_hash.clone() })?;
    tables.names.insert(new.username.as_str(), new.id.as_bytes())?;
    Ok(UserCreation::Created(user))
}

/// See [`crate::store::Store::set_password`].
pub(super) fn set_password(
    tables: &mut Tables<'_>,
    user: UserId,
    password_hash: &str,
) -> Result<bool, Failure> {
    let Some(credentials) = load(&tables.users, user)? else { return Ok(false) };
    save(tables, Credentials { password_hash: Some(password_hash.to_owned()), ..credentials })?;
    Ok(true)
}

/// See [`crate::store::Store::credentials`].
pub(super) fn credentials(snapshot: &Snapshot, name: &Username) -> Result<Option<Credentials>, Failure> {
    let Some(id) = snapshot.names.get(name.as_str())? else { return Ok(None) };
    named(snapshot, UserId::from_bytes(*id.value())).map(Some)
}

/// See [`crate::store::Store::list_users`].
pub(super) fn list(
    snapshot: &Snapshot,
    after: Option<&Username>,
    limit: usize,
) -> Result<Vec<User>, Failure> {
    let start = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str()));
    let names = snapshot.names.range::<&str>((start, Bound::Unbounded))?;
    names
        .take(limit)
        .map(|entry| {
            let (_, id) = entry?;
            Ok(named(snapshot, UserId::from_bytes(*id.value()))?.user)
        })
        .collect()
}

/// The user that a name leads to: always there, since both are written in one transaction.
fn named(snapshot: &Snapshot, id: UserId) -> Result<Credentials, Failure> {
    load(&snapshot.users, id)?.ok_or_else(|| Failure::Corrupt(format!("user {id}: has a name and is gone")))
}
