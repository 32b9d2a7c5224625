//! Reads what Redis answers. Whatever does not have the form that it must have is corrupt, never a panic.

use redis::Value;
use relatch_domain::attributes::Attributes;
use relatch_domain::ids::Thumbprint;
use relatch_domain::record;
use relatch_domain::session::{Seen, SessionRecord, Standing};
use relatch_domain::user::{Profile, Roles, User, Username};
use relatch_domain::{SessionId, UnixMillis, UserId};

use crate::store::{Observation, StoreError};

/// A list of values, read from the front.
pub(super) struct Row(std::vec::IntoIter<Value>);

pub(super) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(what.to_owned())
}

impl Row {
    pub(super) fn new(value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            Value::Map(pairs) => Ok(Self(
                pairs.into_iter().flat_map(|(key, value)| [key, value]).collect::<Vec<_>>().into_iter(),
            )),
            _ => Err(corrupt("an answer that is no list")),
        }
    }

    /// The next value, if there is one left.
    pub(super) fn value(&mut self) -> Option<Value> {
        self.0.next()
    }

    pub(super) fn row(&mut self) -> Result<Self, StoreError> {
        self.value().ok_or_else(|| corrupt("an answer cut short")).and_then(Self::new)
    }

    pub(super) fn int(&mut self) -> Result<i64, StoreError> {
        match self.value() {
            Some(Value::Int(number)) => Ok(number),
            _ => Err(corrupt("an answer without a number")),
        }
    }

    pub(super) fn time(&mut self) -> Result<UnixMillis, StoreError> {
        u64::try_from(self.int()?).map(UnixMillis).map_err(|_| corrupt("a time before 1970"))
    }

    /// The next value's bytes; nothing for nil.
    pub(super) fn bytes(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        self.value().map_or(Err(corrupt("an answer cut short")), bytes)
    }

    pub(super) fn text(&mut self) -> Result<Option<String>, StoreError> {
        let bytes = self.bytes()?;
        bytes.map(|bytes| String::from_utf8(bytes).map_err(|_| corrupt("text that is not UTF-8"))).transpose()
    }
}

pub(super) fn bytes(value: Value) -> Result<Option<Vec<u8>>, StoreError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        _ => Err(corrupt("an answer that is no string")),
    }
}

/// Reads the answer of a script that says only whether it applied.
#[expect(clippy::needless_pass_by_value, reason = "one of several readers of answers, which take them apart")]
pub(super) fn flag(answer: Value) -> Result<bool, StoreError> {
    match answer {
        Value::Int(flag @ 0..=1) => Ok(flag == 1),
        _ => Err(corrupt("an answer that is no flag")),
    }
}

/// Reads the answer of a script that says whether it applied and what it saw.
pub(super) fn observation(answer: Value) -> Result<(bool, Observation), StoreError> {
    let mut row = Row::new(answer)?;
    let applied = row.int()? == 1;
    let now = row.time()?;
    let session = row.bytes()?.map(|packed| session_record(&packed)).transpose()?;
    let (profile, user) = standing(&mut row)?;
    let thumbprint = row.bytes()?.filter(|_| session.is_some_and(|session| session.dpop_bound));
    let thumbprint = thumbprint.map(thumbprint_of).transpose()?;
    Ok((applied, Observation { now, seen: Seen { session, thumbprint, user }, profile }))
}

/// Reads a user's name, roles, disabled flag, attributes and time of creation.
pub(super) fn user(id: UserId, row: &mut Row) -> Result<Option<User>, StoreError> {
    let (profile, standing) = standing(row)?;
    let created_at = row.text()?;
    let Some(profile) = profile else { return Ok(None) };
    let created_at = created_at.and_then(|text| text.parse().ok()).map(UnixMillis);
    Ok(Some(User {
        id,
        profile,
        disabled: standing != Standing::Enabled,
        created_at: created_at.ok_or_else(|| corrupt("a user without a time of creation"))?,
    }))
}

fn standing(row: &mut Row) -> Result<(Option<Profile>, Standing), StoreError> {
    let (name, roles, disabled, attributes) = (row.text()?, row.bytes()?, row.bytes()?, row.bytes()?);
    let Some(name) = name else { return Ok((None, Standing::Gone)) };
    let username = Username::try_from(name).map_err(|_| corrupt("a user with an invalid name"))?;
    let roles: Option<Roles> = roles.and_then(|json| serde_json::from_slice(&json).ok());
    let roles = roles.ok_or_else(|| corrupt("a user with invalid roles"))?;
    let attributes: Option<Attributes> =
        attributes.map_or_else(|| Some(Attributes::default()), |json| serde_json::from_slice(&json).ok());
    let attributes = attributes.ok_or_else(|| corrupt("a user with invalid attributes"))?;
    // Whatever is not a plain zero counts as disabled, as it does in the scripts.
    let enabled = disabled.as_deref() == Some(b"0");
    let standing = if enabled { Standing::Enabled } else { Standing::Disabled };
    Ok((Some(Profile { username, roles, attributes }), standing))
}

pub(super) fn session_record(packed: &[u8]) -> Result<SessionRecord, StoreError> {
    record::decode(packed).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn session_id(bytes: &[u8]) -> Result<SessionId, StoreError> {
    bytes.try_into().map(SessionId::from_bytes).map_err(|_| corrupt("a session id that is not 16 bytes long"))
}

fn thumbprint_of(bytes: Vec<u8>) -> Result<Thumbprint, StoreError> {
    bytes.try_into().map(Thumbprint).map_err(|_| corrupt("a thumbprint that is not 32 bytes long"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaf() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Nil),
            any::<i64>().prop_map(Value::Int),
            proptest::collection::vec(any::<u8>(), 0..70).prop_map(Value::BulkString),
            Just(Value::BulkString(b"ada".to_vec())),
            Just(Value::BulkString(b"[\"user\"]".to_vec())),
            Just(Value::Okay),
        ]
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(values in proptest::collection::vec(leaf(), 0..9)) {
            let answer = Value::Array(values);
            let _ = observation(answer.clone());
            let mut row = Row::new(answer).unwrap();
            let _ = user(UserId::from_bytes([1; 16]), &mut row);
        }
    }

    #[test]
    fn a_user_with_an_odd_flag_is_disabled() {
        for (flag, expected) in
            [("0", Standing::Enabled), ("1", Standing::Disabled), ("", Standing::Disabled)]
        {
            let mut row = stored_user(flag, None);
            assert_eq!(standing(&mut row).unwrap().1, expected);
        }
    }

    #[test]
    fn a_user_without_attributes_has_none_and_unreadable_ones_are_corrupt() {
        let attributes = |json: Option<&str>| {
            let (profile, _) = standing(&mut stored_user("0", json))?;
            Ok(profile.map(|profile| serde_json::to_string(&profile.attributes).unwrap()))
        };
        assert_eq!(attributes(None), Ok(Some("{}".to_owned())));
        assert_eq!(attributes(Some(r#"{"tenant":"acme"}"#)), Ok(Some(r#"{"tenant":"acme"}"#.to_owned())));
        for spoiled in ["", "[]", r#"{"tenant":null}"#] {
            assert_eq!(attributes(Some(spoiled)), Err(corrupt("a user with invalid attributes")));
        }
    }

    fn stored_user(flag: &str, attributes: Option<&str>) -> Row {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        Row::new(Value::Array(vec![text("ada"), text("[]"), text(flag), attributes.map_or(Value::Nil, text)]))
            .unwrap()
    }
}
