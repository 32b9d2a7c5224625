//! The steps on users.
//!
//! A name and the user who has it are in different slots of a cluster, so no single step can write both. A user is
//! created in three: claim the name, write the user, settle the claim. A claim that stays without a user is void
//! after a minute, as is one that is dated more than a minute ahead, and a settled one at once: its user has been deleted. Settling it and taking it over are both
//! conditional on the claim as it was seen, so only one of them happens, however slow either side is.

use std::time::Duration;

use redis::Value;
use relatch_domain::user::{Profile, User, Username};
use relatch_domain::{UnixMillis, UserId};

use super::Handle;
use super::changes::given_up;
use super::failure::Effect;
use super::reply::{self, Row, corrupt};
use super::request::{Request, Script, script};
use super::sessions::operation;
use crate::store::{Credentials, NewUser, StoreError, UserCreation};

pub(super) static CLAIM: Script = script!("claim_name", Effect::Writes);
static SETTLE: Script = script!("settle_name", Effect::Writes);
static CREATE: Script = script!("#!lua", ["operated", "create_user"], Effect::Writes);

/// How long a claim without a user holds. One that is dated further ahead than that is of before the clock went back.
pub(super) const CLAIM_HOLDS: Duration = Duration::from_mins(1);

/// What stands under a name.
pub(super) struct Claim {
    pub(super) text: String,
    pub(super) by: UserId,
    /// None if it is settled.
    pub(super) since: Option<UnixMillis>,
}

impl Claim {
    pub(super) fn read(text: String) -> Result<Self, StoreError> {
        let (id, since) = match text.split_once(' ') {
            None => (text.as_str(), None),
            Some((id, since)) => {
                let since = since.parse().map_err(|_| corrupt("a claim on a name with an invalid time"))?;
                (id, Some(UnixMillis(since)))
            }
        };
        let by = id.parse().map_err(|_| corrupt("a claim on a name by an invalid user id"))?;
        Ok(Self { text, by, since })
    }
}

impl Handle {
    pub(super) async fn create(&self, new: &NewUser) -> Result<UserCreation, StoreError> {
        // In other slots, and so at the same time: neither waits for the other.
        let name = &new.username;
        let (claim, skeleton) =
            tokio::join!(Box::pin(self.claim(name, new.id)), Box::pin(self.hold_skeleton(name, new.id)));
        let Some(claim) = claim? else {
            self.free_skeleton(&new.username, new.id).await?;
            return Ok(UserCreation::NameTaken);
        };
        // Whether it is another user's does not matter here.
        skeleton.map_err(half_done)?;
        let created_at = match self.write_user(new).await {
            Ok(created_at) => created_at,
            Err(error) => {
                if !matches!(error, StoreError::Indeterminate(_)) {
                    // Nobody should have to wait for the claim to become void. If this fails, they have to.
                    let _ = self.settle(&new.username, &claim, None).await;
                    let _ = self.free_skeleton(&new.username, new.id).await;
                }
                return Err(error);
            }
        };
        let settled = self.finish(&new.username, &claim).await.map_err(half_done)?;
        if settled.as_deref() != Some(new.id.to_string().as_str()) {
            self.undo(new).await.map_err(half_done)?;
            return Ok(UserCreation::NameTaken);
        }
        let profile = Profile {
            username: new.username.clone(),
            roles: new.roles.clone(),
            attributes: new.attributes.clone(),
        };
        Ok(UserCreation::Created(User { id: new.id, profile, disabled: new.disabled, created_at }))
    }

    /// Our claim on the name, or nothing if somebody else has it.
    async fn claim(&self, name: &Username, id: UserId) -> Result<Option<Claim>, StoreError> {
        let key = self.keyspace.name(name);
        let request = CLAIM.on([&key]).arg(id.to_string()).arg(self.time.argument());
        let mut row = Row::new(self.router.ask(&request).await?)?;
        let now = row.time()?;
        let found = Claim::read(row.text()?.ok_or_else(|| corrupt("a name that nobody claims"))?)?;
        if found.by == id && found.since.is_some() {
            return Ok(Some(found));
        }
        if self.find_user(found.by).await?.is_some() {
            if found.since.is_some() {
                self.finish_for_another(name, &found).await?;
            }
            return Ok(None);
        }
        match found.since {
            Some(since) if now.is_within(CLAIM_HOLDS, since) => return Ok(None),
            Some(_) => {}
            // The user was there and has been deleted, and the deletion did not get to its end.
            None => self.unlist(name, found.by).await?,
        }
        let ours = format!("{id} {}", now.0);
        let standing = self.settle(name, &found, Some(&ours)).await?;
        if standing.as_ref() == Some(&ours) { Claim::read(ours).map(Some) } else { Ok(None) }
    }

    async fn write_user(&self, new: &NewUser) -> Result<UnixMillis, StoreError> {
        let roles = json(&new.roles)?;
        let attributes = if new.attributes.is_empty() { Vec::new() } else { json(&new.attributes)? };
        let request = CREATE
            .on([&self.keyspace.user(new.id)])
            .arg(new.username.as_str())
            .arg(roles)
            .arg(u8::from(new.password_hash.is_some()))
            .arg(new.password_hash.as_deref().unwrap_or_default())
            .arg(attributes)
            .arg(u8::from(new.disabled))
            .arg(self.time.argument());
        let request = operation(request, new.operation);
        let read = |answer| {
            if matches!(answer, Value::Int(_)) {
                return Err(given_up());
            }
            let mut row = Row::new(answer)?;
            let (name, created) = (row.text()?, row.text()?);
            if name.as_deref() != Some(new.username.as_str()) {
                return Err(corrupt("another user has the new user's id"));
            }
            let created = created.and_then(|text| text.parse().ok()).map(UnixMillis);
            created.ok_or_else(|| corrupt("a user without a time of creation"))
        };
        Ok(self.write(&request, read, |_| true).await?.anyway())
    }

    /// Lists the user and settles the claim, in this order: a user whose name is settled is complete.
    async fn finish(&self, name: &Username, claim: &Claim) -> Result<Option<String>, StoreError> {
        self.enlist(name, claim.by).await?;
        self.settle(name, claim, Some(&claim.by.to_string())).await
    }

    /// Whoever created that user did not get to the end: we do it for them.
    async fn finish_for_another(&self, name: &Username, claim: &Claim) -> Result<(), StoreError> {
        let settled = self.finish(name, claim).await?;
        // The user was deleted meanwhile: no entry must be left of them.
        if settled.as_deref() != Some(claim.by.to_string().as_str()) {
            self.unlist(name, claim.by).await?;
        }
        Ok(())
    }

    /// Replaces the claim, or removes it. Returns what stands under the name then.
    async fn settle(
        &self,
        name: &Username,
        claim: &Claim,
        replacement: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        self.settle_key(&self.keyspace.name(name), claim, replacement).await
    }

    /// The same of any key under which there is a claim.
    pub(super) async fn settle_key(
        &self,
        key: &str,
        claim: &Claim,
        replacement: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let request = SETTLE.on([key]).arg(&claim.text).arg(replacement.unwrap_or_default());
        let read = |answer| Row::new(Value::Array(vec![answer]))?.text();
        Ok(self.write(&request, read, |_| true).await?.anyway())
    }

    /// Takes back a user who was written after the name had gone to somebody else.
    async fn undo(&self, new: &NewUser) -> Result<(), StoreError> {
        self.unlist(&new.username, new.id).await?;
        self.free_skeleton(&new.username, new.id).await?;
        self.router.ask(&Request::write("DEL", &self.keyspace.user(new.id))).await?;
        Ok(())
    }

    pub(super) async fn find_user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let answer = self.router.ask(&self.user_fields(id, &[])).await?;
        reply::user(id, &mut Row::new(answer)?)
    }

    pub(super) async fn find_credentials(&self, name: &Username) -> Result<Option<Credentials>, StoreError> {
        let answer = self.router.ask(&Request::read("GET", &self.keyspace.name(name))).await?;
        let Some(text) = Row::new(Value::Array(vec![answer]))?.text()? else { return Ok(None) };
        let id = Claim::read(text)?.by;
        let answer = self.router.ask(&self.user_fields(id, &["password", "password_changes"])).await?;
        let mut row = Row::new(answer)?;
        let Some(user) = reply::user(id, &mut row)? else { return Ok(None) };
        let (password_hash, password_changes) = (row.text()?, reply::password_changes(&mut row)?);
        let is_of_this_name = user.profile.username == *name;
        Ok(is_of_this_name.then_some(Credentials { user, password_hash, password_changes }))
    }

    pub(super) fn user_fields(&self, id: UserId, more: &[&str]) -> Request {
        Request::read("HMGET", &self.keyspace.user(id))
            .arg(&["name", "roles", "disabled", "attributes", "created"])
            .arg(more)
    }
}

/// A part of a user in the form in which it is kept.
pub(super) fn json(part: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(part).map_err(|error| StoreError::Unavailable(format!("not to be written: {error}")))
}

/// Part of it is done already: what was not applied is no longer nothing.
pub(super) fn half_done(error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(text) | StoreError::Misconfigured(text) => {
            StoreError::Indeterminate(format!("the first part was applied: {text}"))
        }
        other => other,
    }
}
