//! Reads what Redis answers. Whatever does not have the form that it must have is corrupt, never a panic.

use redis::Value;
use relatch_domain::attributes::Attributes;
use relatch_domain::bytes::Reader;
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

/// Reads what `observed.lua` says: whether a script applied, and what it saw.
pub(super) fn observation(answer: Value) -> Result<(bool, Observation), StoreError> {
    let answer = bytes(answer)?.unwrap_or_default();
    let mut packed = Reader(&answer);
    let Head { what, now, record, thumbprint } =
        head(&mut packed).ok_or_else(|| corrupt("an answer cut short"))?;
    let has = |bit: u8| what & bit != 0;
    let session = Some(record).filter(|_| has(2)).map(session_record).transpose()?;
    let thumbprint = Some(thumbprint).filter(|_| has(8) && session.is_some_and(|session| session.dpop_bound));
    let thumbprint = thumbprint.map(thumbprint_of).transpose()?;
    let mut texts = packed.0.split(|byte| *byte == 0);
    let [Some(name), Some(roles), Some(disabled), Some(attributes), Some([]), None] =
        [(); 6].map(|()| texts.next())
    else {
        return Err(corrupt("an answer with too few or too many texts"));
    };
    let name = Some(name).filter(|_| has(4));
    let (profile, user) = standing([name, Some(roles), Some(disabled), Some(attributes)])?;
    Ok((has(1), Observation { now, seen: Seen { session, thumbprint, user }, profile }))
}

/// What stands before the texts.
struct Head<'a> {
    what: u8,
    now: UnixMillis,
    record: &'a [u8],
    thumbprint: &'a [u8],
}

fn head<'a>(packed: &mut Reader<'a>) -> Option<Head<'a>> {
    let [what] = packed.take()?;
    let now = UnixMillis(u64::from_be_bytes(packed.take()?));
    let lengths: [[u8; 4]; 2] = [packed.take()?, packed.take()?];
    let [record, thumbprint] =
        lengths.map(|length| packed.slice(usize::try_from(u32::from_be_bytes(length)).ok()?));
    Some(Head { what, now, record: record?, thumbprint: thumbprint? })
}

/// Reads a user's name, roles, disabled flag, attributes and time of creation.
pub(super) fn user(id: UserId, row: &mut Row) -> Result<Option<User>, StoreError> {
    let parts = [row.bytes()?, row.bytes()?, row.bytes()?, row.bytes()?];
    let created_at = row.text()?;
    let (profile, standing) = standing(parts.each_ref().map(Option::as_deref))?;
    let Some(profile) = profile else { return Ok(None) };
    let created_at = created_at.and_then(|text| text.parse().ok()).map(UnixMillis);
    Ok(Some(User {
        id,
        profile,
        disabled: standing != Standing::Enabled,
        created_at: created_at.ok_or_else(|| corrupt("a user without a time of creation"))?,
    }))
}

/// Reads how often a user's password has changed; never, if nothing is kept of it.
pub(super) fn password_changes(row: &mut Row) -> Result<u32, StoreError> {
    let kept = row.text()?.map(|text| text.parse()).transpose();
    kept.map(Option::unwrap_or_default).map_err(|_| corrupt("an invalid number of password changes"))
}

fn standing(
    [name, roles, disabled, attributes]: [Option<&[u8]>; 4],
) -> Result<(Option<Profile>, Standing), StoreError> {
    let Some(name) = name else { return Ok((None, Standing::Gone)) };
    let username: Option<Username> = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
    let username = username.ok_or_else(|| corrupt("a user with an invalid name"))?;
    let roles: Option<Roles> = roles.and_then(|json| serde_json::from_slice(json).ok());
    let roles = roles.ok_or_else(|| corrupt("a user with invalid roles"))?;
    let attributes: Option<Attributes> = match attributes {
        None | Some(b"{}") => Some(Attributes::default()),
        Some(json) => serde_json::from_slice(json).ok(),
    };
    let attributes = attributes.ok_or_else(|| corrupt("a user with invalid attributes"))?;
    // Whatever is not a plain zero counts as disabled, as it does in the scripts.
    let standing = if disabled == Some(b"0") { Standing::Enabled } else { Standing::Disabled };
    Ok((Some(Profile { username, roles, attributes }), standing))
}

pub(super) fn session_record(packed: &[u8]) -> Result<SessionRecord, StoreError> {
    record::decode(packed).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn session_id(bytes: &[u8]) -> Result<SessionId, StoreError> {
    bytes.try_into().map(SessionId::from_bytes).map_err(|_| corrupt("a session id that is not 16 bytes long"))
}

fn thumbprint_of(bytes: &[u8]) -> Result<Thumbprint, StoreError> {
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
        fn no_answer_makes_it_panic(
            values in proptest::collection::vec(leaf(), 0..9),
            packed in proptest::collection::vec(any::<u8>(), 0..40),
            length in 0_u8..4,
        ) {
            let answer = Value::Array(values);
            let _ = observation(answer.clone());
            let mut row = Row::new(answer).unwrap();
            let _ = user(UserId::from_bytes([1; 16]), &mut row);
            let _ = observation(Value::BulkString(packed.clone()));
            let plausible = [&[15, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, length, 0, 0, 0, 1], packed.as_slice()].concat();
            let _ = observation(Value::BulkString(plausible));
        }
    }

    #[test]
    fn an_observation_has_all_its_parts_or_is_corrupt() {
        let packed = |what: u8, record: &[u8], texts: &str| {
            let length = u32::try_from(record.len()).unwrap().to_be_bytes();
            let head = [&[what, 0, 0, 0, 0, 0, 0, 0, 9], length.as_slice(), &[0; 4]].concat();
            observation(Value::BulkString([&head, record, texts.as_bytes()].concat()))
        };
        let (applied, seen) = packed(5, &[], "ada\0[\"user\"]\x000\0{}\0").unwrap();
        assert!(applied);
        assert_eq!((seen.now, seen.seen.session, seen.seen.user), (UnixMillis(9), None, Standing::Enabled));
        assert_eq!(seen.profile.unwrap().username.as_str(), "ada");
        let (applied, seen) = packed(0, &[], "\0\0\0{}\0").unwrap();
        assert_eq!((applied, seen.seen.user, seen.profile), (false, Standing::Gone, None));
        assert!(packed(6, &[1; 63], "ada\0[]\x000\0{}\0").is_err(), "a record of another length");
        for texts in
            ["", "ada\0[]\x000\0{}", "ada\0[]\x000\0{}\0\0", "ada\0[]\x000\0", "a\0da\0[]\x000\0{}\0"]
        {
            assert!(packed(4, &[], texts).is_err(), "{texts:?}");
        }
        assert!(observation(Value::Nil).is_err());
        assert!(observation(Value::BulkString([[0; 12].as_slice(), &[9], &[0; 4]].concat())).is_err());
    }

    #[test]
    fn a_user_with_an_odd_flag_is_disabled() {
        for (flag, expected) in
            [("0", Standing::Enabled), ("1", Standing::Disabled), ("", Standing::Disabled)]
        {
            assert_eq!(stored_user(flag, None).unwrap().1, expected);
        }
    }

    #[test]
    fn a_user_without_attributes_has_none_and_unreadable_ones_are_corrupt() {
        let attributes = |json: Option<&str>| {
            let (profile, _) = stored_user("0", json)?;
            Ok(profile.map(|profile| serde_json::to_string(&profile.attributes).unwrap()))
        };
        assert_eq!(attributes(None), Ok(Some("{}".to_owned())));
        assert_eq!(attributes(Some(r#"{"tenant":"acme"}"#)), Ok(Some(r#"{"tenant":"acme"}"#.to_owned())));
        for spoiled in ["", "[]", r#"{"tenant":null}"#] {
            assert_eq!(attributes(Some(spoiled)), Err(corrupt("a user with invalid attributes")));
        }
    }

    fn stored_user(flag: &str, attributes: Option<&str>) -> Result<(Option<Profile>, Standing), StoreError> {
        standing([Some(b"ada"), Some(b"[]"), Some(flag.as_bytes()), attributes.map(str::as_bytes)])
    }
}
