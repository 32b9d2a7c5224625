//! What people read on a terminal: text that cannot harm it, in tables that fit what is in them.

mod safe;
mod table;

use std::io::{self, Write};

use serde::Serialize;

pub(super) use safe::{shown, shown_json};
pub(super) use table::Table;

/// Writes one JSON document, on one line.
pub(super) fn json_line(out: &mut dyn Write, document: &impl Serialize) -> io::Result<()> {
    writeln!(out, "{}", shown_json(&serde_json::to_string(document)?))
}

/// Text that may be missing, as it stands in a table.
pub(super) fn or_dash(text: Option<&str>) -> String {
    match text {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => "-".to_owned(),
    }
}

/// `1 session`, `2 sessions`.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
