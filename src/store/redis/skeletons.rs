//! Names that look like each other: under their skeleton (UTS 39) stands a user who has one of them.
//!
//! What stands there is a claim, as under a name, that is never settled: it holds while its user is there under a name of
//! this skeleton, and for a minute while the user is not there yet. Claims and what replaces them are conditional, so that
//! of many who want a skeleton at once one gets it.

use relatch_domain::UserId;
use relatch_domain::unicode::Skeleton;
use relatch_domain::user::Username;

use super::Handle;
use super::changes::FREE;
use super::reply::{Row, corrupt};
use super::users::{CLAIM, CLAIM_HOLDS, Claim};
use crate::store::StoreError;

impl Handle {
    pub(super) async fn hold_skeleton(&self, name: &Username, user: UserId) -> Result<bool, StoreError> {
        let key = self.keyspace.skeleton(name);
        let request = CLAIM.on([&key]).arg(user.to_string()).arg(self.time.argument());
        let mut row = Row::new(self.router.ask(&request).await?)?;
        let now = row.time()?;
        let found = Claim::read(row.text()?.ok_or_else(|| corrupt("a skeleton that nobody claims"))?)?;
        if found.by == user {
            return Ok(true);
        }
        let is_held = match self.find_user(found.by).await? {
            Some(holder) => Skeleton::of(&holder.profile.username) == Skeleton::of(name),
            None => found.since.is_some_and(|since| now.is_within(CLAIM_HOLDS, since)),
        };
        if is_held {
            return Ok(false);
        }
        let ours = format!("{user} {}", now.0);
        let standing = self.settle_key(&key, &found, Some(&ours)).await?;
        Ok(standing == Some(ours))
    }

    pub(super) async fn free_skeleton(&self, name: &Username, user: UserId) -> Result<(), StoreError> {
        let request = FREE.on([&self.keyspace.skeleton(name)]).arg(user.to_string());
        self.router.ask(&request).await.map(drop)
    }
}
