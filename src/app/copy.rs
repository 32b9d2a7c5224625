//! A copy of a store into another one, of whichever kind: everything but the counts of failed sign-ins, which begin
//! anew.
//!
//! Until the copy is complete its marker is that of another issuer, so that no server serves from a part of it, and
//! whoever repeats a copy that broke off goes on. What is there already is written once more; nothing is doubled by it but
//! audit records and revocations, which are copied last.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use relatch_domain::SessionRef;
use relatch_domain::user::User;

use crate::store::{
    CutoffRaised, EntryId, JournalWrite, LOG_KEEPS, Marker, NewEntry, Store, StoreError, Trail, UserQuery,
    WholeSession, WholeUser,
};

/// Users that are asked for together.
const PAGE: usize = 500;
/// Users that are on their way at the same time.
const AT_ONCE: usize = 64;
/// Audit records and revocations that are read together.
const RECORDS: usize = 1000;
/// What the marker's issuer is followed by until the copy is complete.
const INCOMPLETE: &str = " (a copy that is not complete)";

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    /// Users.
    pub users: usize,
    /// Their sessions, ended ones too.
    pub sessions: usize,
    /// Signing keys.
    pub keys: usize,
    /// Audit records.
    pub audit_records: usize,
    /// Revocations of the last hour.
    pub revocations: usize,
}

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
pub enum NotCopied {
    /// There is nothing that could be copied.
    #[error("the store to copy from has no marker: it is empty, or not a store of Relatch")]
    NoSource,
    /// It is itself a part of a copy.
    #[error("the store to copy from is a copy that is not complete")]
    IncompleteSource,
    /// Something is there already.
    #[error("the store to copy to is not empty; a copy is made into an empty one only")]
    NotEmpty,
    /// Sessions of a user cannot be read.
    #[error(
        "{corrupt} sessions of the user {user} cannot be read; `relatch user delete {user}` removes them"
    )]
    Corrupt {
        /// Whose.
        user: String,
        /// How many.
        corrupt: usize,
    },
    /// Somebody else writes to the store that is copied to.
    #[error("somebody else uses the store that is copied to; stop all servers on it")]
    InUse,
    /// The store that is read failed.
    #[error("the store to copy from: {0}")]
    From(StoreError),
    /// The store that is written failed.
    #[error("the store to copy to: {0}")]
    To(StoreError),
}

/// Looks whether the one store can be copied into the other, and gives the marker of the copy.
async fn copyable(from: &dyn Store, to: &dyn Store) -> Result<Marker, NotCopied> {
    let marker = from.marker().await.map_err(NotCopied::From)?.ok_or(NotCopied::NoSource)?;
    if marker.issuer.ends_with(INCOMPLETE) {
        return Err(NotCopied::IncompleteSource);
    }
    let is_empty = async || Ok(to.count_users().await? == 0 && to.keys().await?.keys.is_empty());
    match to.marker().await.map_err(NotCopied::To)? {
        Some(found) if found == incomplete(&marker) => Ok(marker),
        None if is_empty().await.map_err(NotCopied::To)? => Ok(marker),
        _ => Err(NotCopied::NotEmpty),
    }
}

fn incomplete(marker: &Marker) -> Marker {
    Marker { issuer: format!("{}{INCOMPLETE}", marker.issuer), ..marker.clone() }
}

/// Copies a store into another one, which is empty or holds a part of this copy. `keep` is how many audit records
/// each trail keeps, and `progress` is told now and then how far it has come, and of how many users.
///
/// # Errors
/// Why the copy is not complete. Repeated, it goes on.
pub async fn copy(
    from: &dyn Store,
    to: &dyn Store,
    keep: usize,
    progress: &mut (dyn FnMut(&Copied, u64) + Send),
) -> Result<Copied, NotCopied> {
    let marker = copyable(from, to).await?;
    to.identify(&incomplete(&marker)).await.map_err(NotCopied::To)?;
    let mut copied = Copied { keys: keys(from, to).await?, ..Copied::default() };
    cutoffs(from, to).await?;
    users(from, to, &mut copied, progress).await?;
    copied.revocations = revocations(from, to).await?;
    for trail in Trail::ALL {
        copied.audit_records += audit(from, to, trail, keep).await?;
    }
    to.relabel(&marker).await.map_err(NotCopied::To)?;
    Ok(copied)
}

async fn keys(from: &dyn Store, to: &dyn Store) -> Result<usize, NotCopied> {
    let keys = from.keys().await.map_err(NotCopied::From)?.keys;
    let mut version = to.keys().await.map_err(NotCopied::To)?.version;
    for key in &keys {
        if !to.put_key(version, key).await.map_err(NotCopied::To)? {
            return Err(NotCopied::InUse);
        }
        version += 1;
    }
    Ok(keys.len())
}

async fn cutoffs(from: &dyn Store, to: &dyn Store) -> Result<(), NotCopied> {
    for (whose, at) in from.cutoffs().await.map_err(NotCopied::From)?.iter() {
        if to.raise_cutoff(whose, at).await.map_err(NotCopied::To)? == CutoffRaised::InFuture {
            let clocks = "its clock is behind: the cutoff is in its future".to_owned();
            return Err(NotCopied::To(StoreError::Unavailable(clocks)));
        }
    }
    Ok(())
}

async fn users(
    from: &dyn Store,
    to: &dyn Store,
    copied: &mut Copied,
    progress: &mut (dyn FnMut(&Copied, u64) + Send),
) -> Result<(), NotCopied> {
    let total = from.count_users().await.map_err(NotCopied::From)?;
    let mut after = None;
    loop {
        let query = UserQuery { prefix: None, after, limit: PAGE };
        let page = from.list_users(&query).await.map_err(NotCopied::From)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.profile.username.clone());
        let copying = stream::iter(&page).map(|user| one(from, to, user)).buffer_unordered(AT_ONCE);
        let mut copying = std::pin::pin!(copying);
        while let Some(sessions) = copying.try_next().await? {
            copied.users += 1;
            copied.sessions += sessions;
            progress(copied, total);
        }
    }
}

/// Copies a user, and gives how many sessions the user has.
async fn one(from: &dyn Store, to: &dyn Store, user: &User) -> Result<usize, NotCopied> {
    let found = from.credentials(&user.profile.username).await.map_err(NotCopied::From)?;
    // Whoever has been deleted meanwhile is not copied.
    let Some(credentials) = found else { return Ok(0) };
    let held = from.sessions_of(user.id).await.map_err(NotCopied::From)?;
    if !held.corrupt.is_empty() {
        let corrupt = held.corrupt.len();
        return Err(NotCopied::Corrupt { user: user.profile.username.to_string(), corrupt });
    }
    let mut histories = if held.sessions.is_empty() {
        BTreeMap::new()
    } else {
        from.histories(user.id).await.map_err(NotCopied::From)?
    };
    let mut sessions = Vec::with_capacity(held.sessions.len());
    for stored in held.sessions {
        let thumbprint = if stored.record.dpop_bound {
            let session = SessionRef { user: user.id, session: stored.id };
            from.observe(session).await.map_err(NotCopied::From)?.seen.thumbprint
        } else {
            None
        };
        let history = histories.remove(&stored.id).unwrap_or_default();
        sessions.push(WholeSession { stored, history, thumbprint });
    }
    let count = sessions.len();
    to.place_user(&WholeUser { credentials, sessions }).await.map_err(NotCopied::To)?;
    Ok(count)
}

/// Those that are in the log still, and the operations that are open.
async fn revocations(from: &dyn Store, to: &dyn Store) -> Result<usize, NotCopied> {
    let (mut after, mut count) = (None, 0);
    loop {
        let page = from.journal(after, RECORDS).await.map_err(NotCopied::From)?;
        if after.is_none() {
            for open in page.operations {
                let open = Some((open.id, open.form));
                let write = JournalWrite { open, lifetime: LOG_KEEPS, ..JournalWrite::default() };
                to.write_journal(&write).await.map_err(NotCopied::To)?;
            }
        }
        let Some(last) = page.entries.last() else { return Ok(count) };
        after = Some(last.id);
        let left = page.entries.iter().map(|entry| entry.until.age_since(page.now)).max();
        let known = page.entries.into_iter().filter_map(|entry| entry.revocation);
        let entries: Vec<_> = known.map(NewEntry::unrecorded).collect();
        count += entries.len();
        let lifetime = left.unwrap_or_default().max(LOG_KEEPS);
        let write = JournalWrite { entries, lifetime, ..JournalWrite::default() };
        to.write_journal(&write).await.map_err(NotCopied::To)?;
    }
}

/// Copies a trail in its order, from the earliest record on.
async fn audit(from: &dyn Store, to: &dyn Store, trail: Trail, keep: usize) -> Result<usize, NotCopied> {
    let mut ends: Vec<EntryId> = Vec::new();
    // A trail is read backwards only: first where its pages end, then the pages from the last one on.
    loop {
        let page = from.audit(trail, ends.last().copied(), RECORDS).await.map_err(NotCopied::From)?;
        let Some(earliest) = page.last() else { break };
        ends.push(earliest.id);
    }
    let mut count = 0;
    for at in (0..ends.len()).rev() {
        let before = at.checked_sub(1).and_then(|earlier| ends.get(earlier)).copied();
        let page = from.audit(trail, before, RECORDS).await.map_err(NotCopied::From)?;
        count += page.len();
        let appending = page.iter().rev().map(|entry| to.append_audit(trail, &entry.record, keep));
        stream::iter(appending).buffered(AT_ONCE).try_collect::<()>().await.map_err(NotCopied::To)?;
    }
    Ok(count)
}
