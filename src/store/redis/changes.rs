//! Changing users and deleting them.
//!
//! A deletion takes three steps, for a user, the list and the name are in different slots of a cluster. The first is
//! the deletion itself: from then on there is no such user and no session, for anybody. It leaves a tombstone that
//! knows the name and expires after a day. Then the user is taken off the list, and the name is freed. A repetition of a
//! deletion that broke off finds the tombstone and goes on; without one nothing is blocked: a name whose user is gone
//! goes to the next who wants it, and listings pass over the entry.

use redis::Value;
use relatch_domain::user::User;
use relatch_domain::{OperationId, UserId};

use super::Handle;
use super::failure::Effect;
use super::reply::{self, Row, corrupt};
use super::request::{Script, script};
use super::sessions::{condition, ended, operation};
use super::users::{half_done, json};
use crate::store::{Settled, StoreError, UserChange, UserChangeOutcome, UserChanged, UserDeleted};

static CHANGE: Script =
    script!("#!lua flags=allow-oom", ["ending", "operated", "change_user"], Effect::Writes);
static DELETE: Script = script!("#!lua flags=allow-oom", ["operated", "delete_user"], Effect::Writes);
static SETTLE: Script = script!("#!lua flags=allow-oom", ["operated", "settle_operation"], Effect::Writes);
pub(super) static FREE: Script = script!("free_name", Effect::Writes);

impl Handle {
    pub(super) async fn change(&self, change: &UserChange) -> Result<UserChangeOutcome, StoreError> {
        let request = self.on_all_of_user(&CHANGE, change.user).arg(self.time.argument());
        let mut request = match &change.end {
            Some((scope, reason, note)) => self.ending(request, *scope, *reason, note),
            None => (0..6).fold(request, |request, _| request.arg("")),
        };
        let attributes = change.as_seen.attributes.as_ref().map(json).transpose()?;
        request = condition(request, attributes);
        request = condition(request, change.as_seen.password_hash.as_deref());
        request = operation(request, change.operation).arg(u8::from(change.changes_password()));
        let fields = fields(change)?;
        for (field, value) in &fields {
            request = request.arg(field).arg(value);
        }
        let wrote = |outcome: &UserChangeOutcome| match outcome {
            UserChangeOutcome::Changed(changed) => {
                !fields.is_empty() || changed.ended.covered > 0 || change.operation.is_some()
            }
            UserChangeOutcome::Blocked | UserChangeOutcome::Unknown => false,
        };
        let mut written = self.write(&request, |answer| outcome(change.user, answer), wrote).await?;
        if let UserChangeOutcome::Changed(changed) = &mut written.answer {
            changed.ended.durable = written.durable;
        }
        Ok(written.answer)
    }

    pub(super) async fn delete(
        &self,
        id: UserId,
        part_of: Option<OperationId>,
    ) -> Result<Option<UserDeleted>, StoreError> {
        let read = |answer| match answer {
            Value::Nil => Ok(None),
            Value::Int(_) => Err(given_up()),
            answer => reply::user(id, &mut Row::new(answer)?),
        };
        let request = operation(self.on_all_of_user(&DELETE, id).arg(self.time.argument()), part_of);
        let written = self.write(&request, read, Option::is_some).await?;
        let Some(user) = written.answer else { return Ok(None) };
        let durable = written.durable;
        self.leave_no_name(&user).await.map_err(half_done)?;
        Ok(Some(UserDeleted { user, durable }))
    }

    pub(super) async fn settle_change(
        &self,
        user: UserId,
        operation: OperationId,
    ) -> Result<Settled, StoreError> {
        let request = SETTLE.on([&self.keyspace.user(user)]).arg(operation.as_bytes());
        let written = self.write(&request, reply::flag, |_| true).await?;
        Ok(Settled { carried_out: written.answer, durable: written.durable })
    }

    async fn leave_no_name(&self, user: &User) -> Result<(), StoreError> {
        let (id, name) = (user.id, &user.profile.username);
        self.unlist(name, id).await?;
        self.free_skeleton(name, id).await?;
        let request = FREE.on([&self.keyspace.name(name)]).arg(id.to_string());
        self.router.ask(&request).await.map(drop)
    }
}

/// Another node has given up the operation that a step is a part of.
pub(super) fn given_up() -> StoreError {
    StoreError::Unavailable(Settled::GIVEN_UP.to_owned())
}

/// The fields of the user that change.
fn fields(change: &UserChange) -> Result<Vec<(&'static str, Vec<u8>)>, StoreError> {
    let mut fields = Vec::new();
    if let Some(roles) = &change.roles {
        fields.push(("roles", json(roles)?));
    }
    if let Some(disabled) = change.disabled {
        fields.push(("disabled", if disabled { b"1".to_vec() } else { b"0".to_vec() }));
    }
    if let Some(attributes) = &change.attributes {
        fields.push(("attributes", json(attributes)?));
    }
    if let Some(hash) = &change.password_hash {
        fields.push(("password", hash.clone().into_bytes()));
    }
    Ok(fields)
}

fn outcome(id: UserId, answer: Value) -> Result<UserChangeOutcome, StoreError> {
    match answer {
        Value::Nil => return Ok(UserChangeOutcome::Unknown),
        Value::Int(0) => return Ok(UserChangeOutcome::Blocked),
        Value::Int(_) => return Err(given_up()),
        _ => {}
    }
    let mut row = Row::new(answer)?;
    let ended = ended(row.row()?)?;
    let user = reply::user(id, &mut row)?.ok_or_else(|| corrupt("a changed user without a name"))?;
    let password_changes = reply::password_changes(&mut row)?;
    Ok(UserChangeOutcome::Changed(UserChanged { user, password_changes, ended }))
}
