//! Changing users.

use redis::Value;
use relatch_domain::UserId;

use super::Handle;
use super::failure::Effect;
use super::reply::{self, Row};
use super::request::{Script, script};
use super::sessions::ended;
use super::users::json;
use crate::store::{StoreError, UserChange, UserChanged};

static CHANGE: Script = script!("#!lua flags=allow-oom", ["ending", "change_user"], Effect::Writes);

impl Handle {
    pub(super) async fn change(&self, change: &UserChange) -> Result<Option<UserChanged>, StoreError> {
        let request = self.on_user(&CHANGE, change.user).arg(self.time.argument());
        let mut request = match &change.end {
            Some((scope, reason, note)) => self.ending(request, *scope, *reason, note),
            None => (0..6).fold(request, |request, _| request.arg("")),
        };
        let fields = fields(change)?;
        for (field, value) in &fields {
            request = request.arg(field).arg(value);
        }
        let wrote = |changed: &Option<UserChanged>| {
            changed.as_ref().is_some_and(|changed| !fields.is_empty() || changed.ended.covered > 0)
        };
        let written = self.write(&request, |answer| changed(change.user, answer), wrote).await?;
        Ok(written.answer.map(|mut changed| {
            changed.ended.durable = written.durable;
            changed
        }))
    }
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

fn changed(id: UserId, answer: Value) -> Result<Option<UserChanged>, StoreError> {
    if answer == Value::Nil {
        return Ok(None);
    }
    let mut row = Row::new(answer)?;
    let ended = ended(&mut row)?;
    let user = reply::user(id, &mut row)?;
    Ok(user.map(|user| UserChanged { user, ended }))
}
