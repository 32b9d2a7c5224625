//! Files of users: JSON lines, or CSV (RFC 4180) with the names of its columns in the first line.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};
use std::path::Path;

use clap::ValueEnum;
use relatch_domain::attributes::{AttributeValue, Attributes};
use relatch_domain::user::Role;

use crate::operator::{Secret, UserLine};

/// The longest record that can be a user, in bytes: attributes and roles have limits of their own.
pub(super) const MAX_LEN: usize = 16 * 1024;
/// Longest record that is passed over, in bytes.
const MAX_SKIPPED: u64 = 16 * 1024 * 1024;
/// What some programs write before UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// How the name of a column with an attribute begins.
const ATTRIBUTE: &str = "attr.";

/// How a file of users is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A JSON object on each line.
    Jsonl,
    /// Comma-separated values, the names of the columns in the first line.
    Csv,
}

impl Format {
    /// That of a file of this name.
    pub(super) fn of(path: &Path) -> Self {
        let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        if is_csv { Self::Csv } else { Self::Jsonl }
    }
}

/// What a file has at a place.
pub(super) struct Record {
    /// The line on which it begins; the first is 1.
    pub(super) line: u64,
    /// How many bytes were read for it.
    pub(super) bytes: u64,
    /// The user, nothing if the line is empty, or why it is none.
    pub(super) user: Result<Option<UserLine>, String>,
}

/// A file's records, one after the other.
pub(super) struct Records<'a> {
    reader: &'a mut dyn BufRead,
    /// The columns of CSV.
    columns: Option<Vec<Column>>,
    /// Lines that were read.
    lines: u64,
    text: Vec<u8>,
}

/// What a column of CSV holds.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
enum Column {
    Id,
    Username,
    PasswordHash,
    Roles,
    Disabled,
    CreatedAt,
    Attribute(String),
}

/// Where in CSV a byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    FieldStart,
    Field,
    Quoted,
    QuoteWithinQuoted,
}

impl At {
    const fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::QuoteWithinQuoted,
            (Self::FieldStart | Self::QuoteWithinQuoted, b'"') | (Self::Quoted, _) => Self::Quoted,
            (_, b',' | b'\n') => Self::FieldStart,
            _ => Self::Field,
        }
    }
}

/// What was read for a record.
struct Extent {
    bytes: u64,
    is_too_long: bool,
    is_open: bool,
}

impl<'a> Records<'a> {
    /// Reads the first line of CSV.
    ///
    /// # Errors
    /// If the file cannot be read, or its first line does not name the columns.
    pub(super) fn open(reader: &'a mut dyn BufRead, format: Format) -> io::Result<Self> {
        let mut records = Self { reader, columns: None, lines: 0, text: Vec::new() };
        if format == Format::Csv {
            records.columns = Some(Vec::new());
            let extent = records.read()?;
            let why = |why| io::Error::new(io::ErrorKind::InvalidData, format!("line 1: {why}"));
            if extent.is_too_long {
                return Err(why(too_long()));
            }
            let names = fields(&records.text).map_err(why)?;
            records.columns = Some(columns(&names).map_err(why)?);
        }
        Ok(records)
    }

    /// The next record.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        let line = self.lines + 1;
        let extent = self.read()?;
        if extent.bytes == 0 {
            return Ok(None);
        }
        let user = if extent.is_open {
            Err("a quoted field that begins here is not closed".to_owned())
        } else if extent.is_too_long {
            Err(too_long())
        } else if self.text.iter().all(u8::is_ascii_whitespace) {
            Ok(None)
        } else {
            match &self.columns {
                Some(columns) => csv_user(&self.text, columns).map(Some),
                None => json_user(&self.text).map(Some),
            }
        };
        Ok(Some(Record { line, bytes: extent.bytes, user }))
    }

    /// Reads a record into `text`: a line, and in CSV those that go on within quotes.
    fn read(&mut self) -> io::Result<Extent> {
        self.text.clear();
        let mut extent = Extent { bytes: 0, is_too_long: false, is_open: false };
        let mut at = At::FieldStart;
        loop {
            let available = self.reader.fill_buf()?;
            let end = available.iter().position(|byte| *byte == b'\n');
            let len = end.map_or(available.len(), |end| end + 1);
            let chunk = available.get(..len).unwrap_or_default();
            if self.columns.is_some() {
                at = chunk.iter().fold(at, |at, byte| at.after(*byte));
            }
            extent.is_open = at == At::Quoted;
            extent.is_too_long |= self.text.len() + len > MAX_LEN;
            if !extent.is_too_long {
                self.text.extend_from_slice(chunk);
            }
            self.reader.consume(len);
            extent.bytes += len as u64;
            self.lines += u64::from(end.is_some());
            if len == 0 || (end.is_some() && !extent.is_open) {
                break;
            }
            if extent.bytes > MAX_SKIPPED {
                let why = format!(
                    "line {}: a record of more than {MAX_SKIPPED} bytes: this is no file of users",
                    self.lines + 1
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        }
        if self.lines <= 1 && self.text.starts_with(BYTE_ORDER_MARK) {
            self.text.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(extent)
    }
}

fn too_long() -> String {
    format!("longer than {MAX_LEN} bytes")
}

fn json_user(text: &[u8]) -> Result<UserLine, String> {
    serde_json::from_slice(text).map_err(|error| {
        // To the parser each line is the first.
        let (why, place) =
            (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
        match why.strip_suffix(&place) {
            Some(why) => format!("not a user: {why} (column {})", error.column()),
            None => format!("not a user: {why}"),
        }
    })
}

/// A record's fields.
fn fields(text: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "not UTF-8".to_owned())?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut records = reader.records();
    match (records.next(), records.next()) {
        (Some(Ok(record)), None) => Ok(record.iter().map(str::to_owned).collect()),
        _ => Err("not one record of comma-separated values".to_owned()),
    }
}

fn columns(names: &[String]) -> Result<Vec<Column>, String> {
    let mut seen = BTreeSet::new();
    let mut columns = Vec::new();
    for name in names.iter().map(|name| name.trim()) {
        let column = match (name, name.strip_prefix(ATTRIBUTE)) {
            ("id", _) => Column::Id,
            ("username", _) => Column::Username,
            ("password_hash", _) => Column::PasswordHash,
            ("roles", _) => Column::Roles,
            ("disabled", _) => Column::Disabled,
            ("created_at", _) => Column::CreatedAt,
            (_, Some(attribute)) if Attributes::is_name(attribute) => Column::Attribute(attribute.to_owned()),
            _ => {
                return Err(format!(
                    "the column `{name}` is not known; columns are username, password_hash, roles, disabled, id, created_at and \
                     attr.NAME, with commas between them"
                ));
            }
        };
        if !seen.insert(column.clone()) {
            return Err(format!("the column `{name}` is there twice"));
        }
        columns.push(column);
    }
    if seen.contains(&Column::Username) {
        Ok(columns)
    } else {
        Err("there is no column `username`".to_owned())
    }
}

fn csv_user(text: &[u8], columns: &[Column]) -> Result<UserLine, String> {
    let fields = fields(text)?;
    if fields.len() != columns.len() {
        return Err(format!(
            "{} fields, but the first line names {}; a field with a comma in it stands in double quotes",
            fields.len(),
            columns.len()
        ));
    }
    let mut user = UserLine::default();
    let mut attributes = BTreeMap::new();
    for (column, field) in columns.iter().zip(fields).filter(|(_, field)| !field.is_empty()) {
        match column {
            Column::Id => user.id = Some(field),
            Column::Username => user.username = field,
            Column::PasswordHash => user.password_hash = Some(Secret::new(&field)),
            Column::Roles => user.roles = Some(roles(&field)?),
            Column::Disabled => user.disabled = flag(&field)?,
            Column::CreatedAt => user.created_at = Some(field),
            Column::Attribute(name) => drop(attributes.insert(name.clone(), AttributeValue::Text(field))),
        }
    }
    user.attributes = attributes.try_into().map_err(|error| format!("attributes: {error}"))?;
    Ok(user)
}

/// Roles with spaces, commas or semicolons between them.
fn roles(text: &str) -> Result<BTreeSet<Role>, String> {
    let names = text.split([' ', ',', ';']).filter(|name| !name.is_empty());
    names.map(|name| name.parse().map_err(|error| format!("roles: {error}"))).collect()
}

fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "1" => Ok(true),
        "false" | "f" | "no" | "0" => Ok(false),
        _ => Err("disabled: neither true nor false".to_owned()),
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
