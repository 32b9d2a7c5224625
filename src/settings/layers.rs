//! The layers of settings, which the `config` crate lays one over the other: for each key the value that wins, and
//! where it came from.
//!
//! Of that crate only the merging is used, and values that carry their origin: its own sources know no lines, and its
//! conversions take a text for a number and quote what they refuse, which may be a secret. It does not wipe its values
//! either; a secret that is kept in a file of its own never becomes one of them.

use std::fmt;
use std::path::Path;

use config::{Config, ConfigError, Map, Source, Value, ValueKind};

use super::error::SettingsError;
use super::keys::{self, KEYS, Meaning};
use super::parse::Raw;
use super::{environment, file};

/// Where the compiled-in defaults come from, and so every key that no other layer gives.
pub(super) const DEFAULT: &str = "built-in default";

/// Below a secret's key: the path of the file with its value. No key has this last part.
const PATH: &str = "path";

/// One layer: at most one value for a key, with its origin as text.
#[derive(Clone, Default)]
pub(super) struct Layer(Map<String, Value>);

impl Layer {
    /// Adds what a layer says under a name with dots, or in the environment variable of that name.
    pub(super) fn add(
        &mut self,
        name: &str,
        variable: Option<&str>,
        kind: ValueKind,
        origin: &String,
    ) -> Result<(), SettingsError> {
        let value = Value::new(Some(origin), kind);
        let (key, value) = match keys::meaning(name) {
            Some(Meaning::Value(key)) => (key, value),
            Some(Meaning::PathOf(key)) if matches!(&value.kind, ValueKind::String(path) if !path.is_empty()) => {
                (key, Value::new(Some(origin), Map::from([(PATH.to_owned(), value)])))
            }
            Some(Meaning::PathOf(_)) => {
                return Err(SettingsError::new(
                    format_args!("{} ({origin})", variable.unwrap_or(name)),
                    "is not a path",
                    "write the path of a file with the secret",
                ));
            }
            None => return Err(unknown(name, variable, origin)),
        };
        if let Some(earlier) = self.0.get(key.name).and_then(Value::origin) {
            return Err(SettingsError::new(
                format_args!("{} ({origin})", key.name),
                format!("is given twice in one layer, also by {earlier}"),
                "give it once, as a value or as a file",
            ));
        }
        self.0.insert(key.name.to_owned(), value);
        Ok(())
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// Names, but no values: there are secrets among them.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The complaint about a name with dots, or about the environment variable of that name, that is no key.
pub(super) fn unknown(name: &str, variable: Option<&str>, origin: &str) -> SettingsError {
    // In the environment the variable is the origin, and the spelling as well.
    let subject = variable.map_or_else(|| format!("{name} ({origin})"), |_| origin.to_owned());
    if keys::is_section(name) {
        return SettingsError::new(subject, "is a section, not a key", "put the keys of the section into it");
    }
    if let Some(key) = keys::key_above(name) {
        return SettingsError::new(subject, format!("{key} is a key, not a section"), "give it one value");
    }
    let right = keys::nearest(name).map_or_else(
        || format!("the sections are {}", keys::sections().join(", ")),
        |name| format!("did you mean {}?", variable.map_or(name.clone(), |_| keys::variable(&name))),
    );
    SettingsError::new(subject, "there is no such key", right)
}

/// All layers as one. It has no `Debug`, since that of `Config` shows every value.
pub(super) struct Merged(Config);

impl Merged {
    /// Lays the layers over each other.
    pub(super) fn collect(
        path: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let mut builder = Config::builder().add_source(file::defaults()?);
        if let Some(path) = path {
            builder = builder.add_source(file::read(path)?);
        }
        // No layer fails once it has been read. The error is not shown, for it might hold a value.
        let merged = builder.add_source(environment::read(variables)?).build();
        merged.map(Self).map_err(|_| SettingsError::new("all layers", "cannot be merged", "report this"))
    }

    /// Hands a key's value, if it has one, to a parser. A secret's file is read only if it is the one that wins.
    pub(super) fn read<T>(
        &self,
        key: &str,
        parse: impl FnOnce(Raw<'_>) -> Result<T, SettingsError>,
    ) -> Result<Option<T>, SettingsError> {
        if let Some(path) = self.path(key) {
            let secret = file::secret(path.to_string().as_ref())
                .map_err(|problem| self.complaint(key, problem, "name a readable file with the secret"))?;
            return parse(Raw::Untyped(file::without_line_break(&secret))).map(Some);
        }
        let Some(value) = self.find(key) else { return Ok(None) };
        // A file's origin ends with a line, so it is never taken for a variable.
        let is_untyped = value.origin() == Some(&environment::origin(&keys::variable(key)));
        parse(match &value.kind {
            ValueKind::String(text) if is_untyped => Raw::Untyped(file::without_line_break(text)),
            kind => Raw::Typed(kind),
        })
        .map(Some)
    }

    /// Where a key's value came from. What no layer gives is a default.
    pub(super) fn origin(&self, key: &str) -> String {
        let origin = |value: &Value| value.origin().unwrap_or(DEFAULT).to_owned();
        match self.path(key) {
            Some(path) => format!("{path}, named by {}", origin(path)),
            None => self.find(key).map_or_else(|| DEFAULT.to_owned(), origin),
        }
    }

    /// Where every key's value came from, in the order in which they are shown.
    pub(super) fn origins(&self) -> Vec<(&'static str, String)> {
        KEYS.iter().map(|key| (key.name, self.origin(key.name))).collect()
    }

    /// The path of the file with a secret's value, if the layer that wins gives one.
    fn path(&self, key: &str) -> Option<&Value> {
        self.find(&format!("{key}.{PATH}"))
    }

    /// The value under a name with dots. `Config::get` would not do: it drops the origin.
    fn find(&self, name: &str) -> Option<&Value> {
        name.split('.').try_fold(&self.0.cache, |section, part| match &section.kind {
            ValueKind::Table(entries) => entries.get(part),
            _ => None,
        })
    }
}
