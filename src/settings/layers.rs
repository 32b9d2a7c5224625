//! The layers of settings, laid one over the other: for each key the value that wins, and where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::SettingsError;
use super::keys::{self, Key, Meaning};
use super::{environment, file};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The defaults that are compiled in.
    Default,
    /// The configuration file.
    File {
        /// Its path as it was named.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A file that holds one secret.
    SecretFile {
        /// Its path as it was named.
        path: PathBuf,
        /// Where it was named.
        named_by: Box<Origin>,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in default"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::SecretFile { path, named_by } => write!(f, "{}, named by {named_by}", path.display()),
        }
    }
}

/// A value as a layer has it. Texts are wiped on drop, for any of them may be a secret.
pub(super) enum Raw {
    /// From the environment or a secret's file: what type it has is for the key to say.
    Untyped(Zeroizing<String>),
    Text(Zeroizing<String>),
    Integer(i64),
    Boolean(bool),
    List(Vec<Raw>),
    /// A type that no key has.
    Other,
}

/// What a layer says about a key.
pub(super) enum Given {
    Value(Raw),
    /// The value is in this file.
    In(PathBuf),
}

/// One layer: at most one entry for a key.
#[derive(Default)]
pub(super) struct Layer {
    entries: BTreeMap<&'static str, (Given, Origin)>,
}

impl Layer {
    /// Adds what a layer says under a name. `spelled` is the name as the operator wrote it.
    pub(super) fn add(
        &mut self,
        name: &str,
        spelled: &str,
        raw: Raw,
        origin: Origin,
    ) -> Result<(), SettingsError> {
        let (key, given) = match keys::meaning(name) {
            Some(Meaning::Value(key)) => (key, Given::Value(raw)),
            Some(Meaning::PathOf(key)) => (key, Given::In(path(raw, spelled, &origin)?)),
            None => return Err(unknown(name, spelled, &origin)),
        };
        if let Some((_, earlier)) = self.entries.get(key.name) {
            return Err(SettingsError::new(
                format_args!("{} ({origin})", key.name),
                format!("is given twice in one layer, also by {earlier}"),
                "give it once, as a value or as a file",
            ));
        }
        self.entries.insert(key.name, (given, origin));
        Ok(())
    }
}

/// A secret's path.
fn path(raw: Raw, spelled: &str, origin: &Origin) -> Result<PathBuf, SettingsError> {
    match raw {
        Raw::Untyped(text) | Raw::Text(text) if !text.is_empty() => Ok(PathBuf::from(text.as_str())),
        _ => Err(SettingsError::new(
            format_args!("{spelled} ({origin})"),
            "is not a path",
            "write the path of a file with the secret",
        )),
    }
}

/// The complaint about a name that is no key. `name` has dots, `spelled` is as the operator wrote it.
pub(super) fn unknown(name: &str, spelled: &str, origin: &Origin) -> SettingsError {
    // In the environment the variable is the origin, and the spelling as well.
    let subject = match origin {
        Origin::Variable(_) => origin.to_string(),
        _ => format!("{spelled} ({origin})"),
    };
    if keys::is_section(name) {
        return SettingsError::new(subject, "is a section, not a key", "put the keys of the section into it");
    }
    if let Some(key) = keys::key_above(name) {
        return SettingsError::new(subject, format!("{key} is a key, not a section"), "give it one value");
    }
    let right = keys::nearest(name).map_or_else(
        || format!("the sections are {}", keys::sections().join(", ")),
        |name| match origin {
            Origin::Variable(_) => format!("did you mean {}?", keys::variable(&name)),
            _ => format!("did you mean {name}?"),
        },
    );
    SettingsError::new(subject, "there is no such key", right)
}

/// All layers as one.
pub(super) struct Merged {
    entries: BTreeMap<&'static str, (Raw, Origin)>,
}

impl Merged {
    /// Lays the layers over each other and reads the secrets' files of those that win.
    pub(super) fn collect(
        path: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let mut given = file::defaults()?.entries;
        if let Some(path) = path {
            given.extend(file::read(path)?.entries);
        }
        given.extend(environment::read(variables)?.entries);
        let mut entries = BTreeMap::new();
        for (name, (given, origin)) in given {
            let entry = match given {
                Given::Value(raw) => (raw, origin),
                Given::In(path) => {
                    let text = file::secret(name, &path, &origin)?;
                    (Raw::Untyped(text), Origin::SecretFile { path, named_by: Box::new(origin) })
                }
            };
            entries.insert(name, entry);
        }
        Ok(Self { entries })
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&(Raw, Origin)> {
        self.entries.get(key)
    }

    /// Where a key's value came from. What no layer gives is a default.
    pub(super) fn origin(&self, key: &str) -> &Origin {
        self.entries.get(key).map_or(&Origin::Default, |(_, origin)| origin)
    }

    /// Where every key's value came from.
    pub(super) fn into_origins(self) -> BTreeMap<&'static str, Origin> {
        keys::KEYS.iter().map(|Key { name, .. }| (*name, self.origin(name).clone())).collect()
    }
}
