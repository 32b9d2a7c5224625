//! Names that look like each other: under their skeleton (UTS 39) stands a user who has one of them.

use std::time::Duration;

use redb::{ReadableTable as _, WriteTransaction};
use relatch_domain::unicode::Skeleton;
use relatch_domain::user::Username;
use relatch_domain::{UnixMillis, UserId};

use super::tables::{Failure, NAMES, SKELETONS, Tables};
use super::users::load;

/// How long a skeleton is kept for a user who is not there.
const HOLDS: Duration = Duration::from_mins(1);

/// See [`crate::store::Store::claim_skeleton`].
pub(super) fn claim(
    tables: &mut Tables<'_>,
    now: UnixMillis,
    name: &Username,
    user: UserId,
) -> Result<bool, Failure> {
    let skeleton = Skeleton::of(name);
    let found = tables.skeletons.get(skeleton.as_str())?.map(|found| {
        let (holder, since) = found.value();
        (UserId::from_bytes(*holder), UnixMillis(since))
    });
    if let Some((holder, since)) = found
        && holder != user
    {
        let is_held = match load(&tables.users, holder)? {
            Some(found) => Skeleton::of(&found.user.profile.username) == skeleton,
            None => now.is_within(HOLDS, since),
        };
        if is_held {
            return Ok(false);
        }
    }
    tables.skeletons.insert(skeleton.as_str(), (user.as_bytes(), now.0))?;
    Ok(true)
}

/// See [`crate::store::Store::release_skeleton`].
pub(super) fn release(tables: &mut Tables<'_>, name: &Username, user: UserId) -> Result<(), Failure> {
    let skeleton = Skeleton::of(name);
    let found = tables.skeletons.get(skeleton.as_str())?;
    let is_ours = found.is_some_and(|found| found.value().0 == user.as_bytes());
    if is_ours {
        tables.skeletons.remove(skeleton.as_str())?;
    }
    Ok(())
}

/// Keeps the skeletons of all users: of a file that was made before there were any.
pub(super) fn keep_all(writing: &WriteTransaction) -> Result<(), redb::Error> {
    let (names, mut skeletons) = (writing.open_table(NAMES)?, writing.open_table(SKELETONS)?);
    for entry in names.iter()? {
        let (name, user) = entry?;
        // A name that cannot be read is told of when it is asked for.
        let Ok(name) = name.value().parse::<Username>() else { continue };
        let skeleton = Skeleton::of(&name);
        if skeletons.get(skeleton.as_str())?.is_none() {
            skeletons.insert(skeleton.as_str(), (user.value(), 0))?;
        }
    }
    Ok(())
}
