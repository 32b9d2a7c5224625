//! Settings in files: the compiled-in defaults, the operator's TOML file, and files that hold one secret.

use std::io::Read as _;
use std::path::Path;

use config::ValueKind;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::error::SettingsError;
use super::keys;
use super::layers::{DEFAULT, Layer};
use crate::files;

/// The defaults, documented. No default is written anywhere else.
const DEFAULTS: &str = include_str!("../../config/default.toml");

/// No file of settings or with a secret is longer, in bytes.
const MAX_LEN: u64 = 1024 * 1024;

/// The layer of the defaults.
pub(super) fn defaults() -> Result<Layer, SettingsError> {
    parse(DEFAULTS, Path::new("config/default.toml"), &|_| DEFAULT.to_owned())
}

/// The layer of the operator's file.
pub(super) fn read(path: &Path) -> Result<Layer, SettingsError> {
    let text = text_of(path).map_err(|problem| {
        SettingsError::new(path.display(), problem, "name a TOML file with --config or RELATCH_CONFIG")
    })?;
    parse(&text, path, &|line| line_of(path, line))
}

/// What a secret's file holds. The error says what is wrong with the file.
pub(super) fn secret(path: &Path) -> Result<Zeroizing<String>, String> {
    text_of(path)
}

/// What a file or a variable says, without one line break (LF or CRLF) at its end: editors and `echo` write it.
pub(super) fn without_line_break(text: &str) -> &str {
    text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line))
}

fn text_of(path: &Path) -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::new());
    files::open(path)
        .and_then(|file| file.take(MAX_LEN + 1).read_to_string(&mut text))
        .map_err(|error| format!("cannot be read ({error})"))?;
    if text.len() as u64 > MAX_LEN { Err(format!("is longer than {MAX_LEN} bytes")) } else { Ok(text) }
}

fn parse(text: &str, path: &Path, origin: &dyn Fn(usize) -> String) -> Result<Layer, SettingsError> {
    let line_at = |offset: usize| text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
    // The error's own Display quotes the line, in which there may be a secret.
    let root = DeTable::parse(text).map_err(|error| {
        let line = line_at(error.span().map_or(0, |span| span.start));
        SettingsError::new(
            line_of(path, line),
            format!("is not TOML ({})", error.message()),
            "correct the line",
        )
    })?;
    let mut layer = Layer::default();
    flatten(root.get_ref(), "", &|offset| origin(line_at(offset)), &mut layer)?;
    Ok(layer)
}

fn line_of(path: &Path, line: usize) -> String {
    format!("{}, line {line}", path.display())
}

/// Adds a table's entries to the layer, those of inner tables under names with dots. The parser limits the depth.
fn flatten(
    table: &DeTable<'_>,
    section: &str,
    origin: &dyn Fn(usize) -> String,
    layer: &mut Layer,
) -> Result<(), SettingsError> {
    for (key, value) in table {
        let name = format!("{section}{}", key.get_ref());
        match value.get_ref() {
            // An empty section is fine if there is such a section; otherwise its name is a mistake.
            DeValue::Table(inner) if !inner.is_empty() || keys::is_section(&name) => {
                flatten(inner, &format!("{name}."), origin, layer)?;
            }
            value => layer.add(&name, None, kind(value), &origin(key.span().start))?,
        }
    }
    Ok(())
}

/// A value as a layer takes it: nil if no key has its type.
fn kind(value: &DeValue<'_>) -> ValueKind {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().into(),
        DeValue::Array(items) => items.iter().map(|item| kind(item.get_ref())).collect::<Vec<_>>().into(),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => ValueKind::Nil,
    }
}
