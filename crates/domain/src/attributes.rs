//! What an application keeps with a user: a tenant, a plan, a customer number.
//!
//! The server gives attributes no meaning. Those that the configuration names travel in access tokens, so all of them
//! together are small.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Yes or no.
    Flag(bool),
    /// A whole number that every JSON reader can hold: at most 2^53 - 1 either way (RFC 8259, section 6).
    Number(i64),
    /// Text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
}

/// A user's attributes: at most [`Attributes::MAX`], of at most [`Attributes::MAX_BYTES`] bytes in all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Named<AttributeValue>", into = "BTreeMap<String, AttributeValue>")]
pub struct Attributes(BTreeMap<String, AttributeValue>);

/// A JSON object as it was sent: names that have not been looked at yet, each at most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<V>(pub BTreeMap<String, V>);

/// A change of attributes as JSON merge patch has it (RFC 7396): a value sets an attribute, `null` removes it, and what is
/// not named stays. A value is never merged into another: lists are replaced.
pub type AttributesPatch = Named<Option<AttributeValue>>;

/// Why these cannot be a user's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAttributes {
    /// A name that is none.
    #[error("the name of an attribute has 1 to 64 ASCII letters, digits, or the characters _ - . :")]
    Name,
    /// A number that some readers of JSON would round.
    #[error("a number is between -9007199254740991 and 9007199254740991")]
    Number,
    /// Too many.
    #[error("at most {} attributes", Attributes::MAX)]
    TooMany,
    /// Too long.
    #[error("all attributes together have at most {} bytes of JSON", Attributes::MAX_BYTES)]
    TooLong,
}

impl Attributes {
    /// How many attributes a user may have.
    pub const MAX: usize = 32;
    /// How long all of them may be together, in bytes of JSON.
    pub const MAX_BYTES: usize = 1024;

    const MAX_NAME: usize = 64;
    const MAX_NUMBER: u64 = (1 << 53) - 1;

    /// An attribute's value.
    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        self.0.get(name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The attributes in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AttributeValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// These attributes, changed.
    ///
    /// # Errors
    /// If the result, or a name in the patch, is not allowed.
    pub fn patched(&self, patch: AttributesPatch) -> Result<Self, InvalidAttributes> {
        let mut attributes = self.0.clone();
        for (name, value) in patch.0 {
            if !Self::is_name(&name) {
                return Err(InvalidAttributes::Name);
            }
            match value {
                Some(value) => drop(attributes.insert(name, value)),
                None => drop(attributes.remove(&name)),
            }
        }
        attributes.try_into()
    }

    /// Whether a text can be the name of an attribute.
    pub fn is_name(text: &str) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
        (1..=Self::MAX_NAME).contains(&text.len()) && text.bytes().all(allowed)
    }
}

impl TryFrom<BTreeMap<String, AttributeValue>> for Attributes {
    type Error = InvalidAttributes;

    fn try_from(attributes: BTreeMap<String, AttributeValue>) -> Result<Self, InvalidAttributes> {
        if attributes.len() > Self::MAX {
            return Err(InvalidAttributes::TooMany);
        }
        if !attributes.keys().all(|name| Self::is_name(name)) {
            return Err(InvalidAttributes::Name);
        }
        let is_rounded = |value: &AttributeValue| matches!(value, AttributeValue::Number(number) if number.unsigned_abs() > Self::MAX_NUMBER);
        if attributes.values().any(is_rounded) {
            return Err(InvalidAttributes::Number);
        }
        let attributes = Self(attributes);
        // A map of texts, numbers and flags can always be written.
        let bytes = serde_json::to_vec(&attributes).map_or(usize::MAX, |json| json.len());
        if bytes > Self::MAX_BYTES { Err(InvalidAttributes::TooLong) } else { Ok(attributes) }
    }
}

impl TryFrom<Named<AttributeValue>> for Attributes {
    type Error = InvalidAttributes;

    fn try_from(attributes: Named<AttributeValue>) -> Result<Self, InvalidAttributes> {
        attributes.0.try_into()
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Named<V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Members<V> {
            type Value = Named<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<V>, A::Error> {
                let mut members = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    let value = map.next_value()?;
                    match members.entry(name) {
                        Entry::Vacant(entry) => drop(entry.insert(value)),
                        // Which of the two was meant is anybody's guess.
                        Entry::Occupied(_) => return Err(A::Error::custom("a name occurs twice")),
                    }
                }
                Ok(Named(members))
            }
        }

        from.deserialize_map(Members(PhantomData))
    }
}

impl From<Attributes> for BTreeMap<String, AttributeValue> {
    fn from(attributes: Attributes) -> Self {
        attributes.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str) -> Result<Attributes, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn holds_texts_numbers_flags_and_lists() {
        let json = r#"{"admin_of":["a","b"],"level":3,"tenant":"acme","vip":true}"#;
        let attributes = read(json).unwrap();
        assert_eq!(attributes.get("tenant"), Some(&AttributeValue::Text("acme".to_owned())));
        assert_eq!(attributes.get("level"), Some(&AttributeValue::Number(3)));
        assert_eq!(serde_json::to_string(&attributes).unwrap(), json);
        assert!(read("{}").unwrap().is_empty());
    }

    #[test]
    fn refuses_what_is_too_much() {
        let many: Vec<_> = (0..33).map(|n| format!("\"a{n}\":1")).collect();
        assert!(read(&format!("{{{}}}", many.join(","))).unwrap_err().starts_with("at most 32 attributes"));
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(1024 - 8));
        assert_eq!(long.len(), 1024);
        assert!(read(&long).is_ok());
        assert!(read(&long.replace("\"a\"", "\"ab\"")).unwrap_err().contains("1024 bytes"));
        assert!(read(r#"{"a":9007199254740991}"#).is_ok());
        assert!(read(r#"{"a":9007199254740992}"#).unwrap_err().contains("number"));
        for wrong in
            [r#"{"":1}"#, r#"{"a b":1}"#, r#"{"ä":1}"#, r#"{"a":null}"#, r#"{"a":{}}"#, r#"{"a":1.5}"#, "[]"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read(r#"{"a":1,"\u0061":2}"#).unwrap_err().contains("occurs twice"));
    }

    #[test]
    fn a_patch_sets_removes_and_leaves() {
        let patch = |json: &str| serde_json::from_str::<AttributesPatch>(json).unwrap();
        let before = read(r#"{"list":["a"],"plan":"free","tenant":"acme"}"#).unwrap();
        let after = before.patched(patch(r#"{"list":["b"],"new":1,"plan":null,"unknown":null}"#));
        assert_eq!(after, Ok(read(r#"{"list":["b"],"new":1,"tenant":"acme"}"#).unwrap()));
        assert_eq!(before.patched(patch("{}")), Ok(before.clone()));

        assert_eq!(before.patched(patch(r#"{"a b":null}"#)), Err(InvalidAttributes::Name));
        let many: Vec<_> = (0..30).map(|n| format!("\"a{n}\":1")).collect();
        let too_many = patch(&format!("{{{}}}", many.join(",")));
        assert_eq!(before.patched(too_many), Err(InvalidAttributes::TooMany));
        assert!(serde_json::from_str::<AttributesPatch>(r#"{"a":1,"a":null}"#).is_err());
    }

    proptest! {
        #[test]
        fn a_patch_to_the_attributes_themselves_makes_them(
            before in crate::testing::attributes(),
            after in crate::testing::attributes(),
        ) {
            let removed = before.iter().map(|(name, _)| (name.to_owned(), None));
            let set = after.iter().map(|(name, value)| (name.to_owned(), Some(value.clone())));
            let patch = Named(removed.chain(set).collect());
            prop_assert_eq!(before.patched(patch), Ok(after));
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_and_read_again(text in "\\PC{0,200}") {
            let json = serde_json::json!({ "a": text }).to_string();
            if let Ok(attributes) = read(&json) {
                let written = serde_json::to_string(&attributes).unwrap();
                prop_assert!(written.len() <= Attributes::MAX_BYTES);
                prop_assert_eq!(read(&written), Ok(attributes));
            }
        }
    }
}
