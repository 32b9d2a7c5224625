//! Lines as JSON objects: `timestamp`, `level`, `message`, the event's fields, and `span` if a request is under way.
//!
//! What the library makes of the same is built as a tree of values first. Here they are written down as they come.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;
use uuid::Uuid;

use super::stamp;
use crate::telemetry::request::UnderWay;

/// Writes an event as one line of JSON.
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(r#"{"timestamp":""#)?;
        stamp::write_now(&mut writer)?;
        writer.write_str(r#"","level":""#)?;
        writer.write_str(event.metadata().level().as_str())?;
        writer.write_str("\"")?;
        let mut fields = Fields { writer: &mut writer, result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        if let Some(id) = UnderWay::id() {
            let mut text = Uuid::encode_buffer();
            let id = id.hyphenated().encode_lower(&mut text);
            writer.write_str(r#","span":{"request_id":""#)?;
            writer.write_str(id)?;
            writer.write_str(r#"","name":"request"}"#)?;
        }
        writer.write_str("}\n")
    }
}

/// Writes fields one after the other.
struct Fields<'a, 'w> {
    writer: &'a mut Writer<'w>,
    result: fmt::Result,
}

impl Fields<'_, '_> {
    fn field(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let writer = &mut *self.writer;
        let written = || {
            writer.write_str(",\"")?;
            writer.write_str(field.name())?;
            writer.write_str("\":")?;
            write(writer)
        };
        self.result = self.result.and_then(|()| written());
    }

    fn text(&mut self, field: &Field, write: impl FnOnce(&mut Escaped<'_, '_>) -> fmt::Result) {
        self.field(field, |writer| {
            writer.write_char('"')?;
            write(&mut Escaped(writer))?;
            writer.write_char('"')
        });
    }
}

impl Visit for Fields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, |text| text.write_str(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, |writer| writer.write_str(if value { "true" } else { "false" }));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, |writer| write!(writer, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, |writer| write!(writer, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity. A whole number keeps its point.
        let finite = value.is_finite();
        self.field(
            field,
            |writer| if finite { write!(writer, "{value:?}") } else { writer.write_str("null") },
        );
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, |text| write!(text, "{value:?}"));
    }
}

/// Writes text as it stands between the quotes of a JSON string (RFC 8259, section 7).
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.bytes().position(is_to_escape) {
            // What is to be escaped is ASCII: both sides are whole characters.
            let (plain, behind) = rest.split_at_checked(at).ok_or(fmt::Error)?;
            self.0.write_str(plain)?;
            let mut characters = behind.chars();
            match characters.next() {
                Some(character @ ('"' | '\\')) => write!(self.0, "\\{character}")?,
                Some(character) => write!(self.0, "\\u{:04x}", u32::from(character))?,
                None => {}
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

const fn is_to_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::log::lines::Lines;
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that are logged within.
    fn logged(within: impl FnOnce()) -> Vec<serde_json::Value> {
        let kept = Kept::default();
        let lines = Lines::to(kept.clone(), Duration::ZERO);
        let subscriber = tracing_subscriber::fmt().event_format(Json).with_writer(lines.clone()).finish();
        tracing::subscriber::with_default(subscriber, within);
        lines.flush();
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_the_time_the_level_the_message_and_the_fields_of_each_kind() {
        let nothing: Option<&str> = None;
        let lines = logged(|| {
            tracing::warn!(event = "e", yes = true, n = -3, m = 4_u64, x = 0.5, whole = 1.0, d = ?Some("q"), s = %"t", nothing, "said");
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let mut line = line.clone();
        let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
        let expected = serde_json::json!({
            "level": "WARN", "message": "said", "event": "e", "yes": true, "n": -3, "m": 4, "x": 0.5, "whole": 1.0,
            "d": "Some(\"q\")", "s": "t",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_line_names_the_request_that_is_under_way() {
        let id = Uuid::from_u128(7);
        let under_way = UnderWay { id, ..UnderWay::default() };
        let lines = logged(|| {
            futures_util::FutureExt::now_or_never(under_way.during(async { tracing::info!("in") })).unwrap();
            tracing::info!("out");
        });
        let spans: Vec<_> = lines.iter().map(|line| line["span"].clone()).collect();
        let expected =
            [serde_json::json!({ "request_id": id.to_string(), "name": "request" }), serde_json::Value::Null];
        assert_eq!(spans, expected);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_written_is_read_again(text: String, eighths: i32) {
            let number = f64::from(eighths) / 8.0;
            let lines = logged(|| tracing::info!(given = text, number, shown = %text, "{text}"));
            proptest::prop_assert_eq!(lines.len(), 1);
            let line = &lines[0];
            for field in ["given", "shown", "message"] {
                proptest::prop_assert_eq!(line[field].as_str(), Some(text.as_str()));
            }
            proptest::prop_assert_eq!(line["number"].as_f64(), Some(number));
        }
    }

    #[test]
    fn no_text_breaks_out_of_its_line() {
        let nasty = "\"}\n{\"level\":\"ERROR\"\u{0}\u{1b}[2J\u{2028}ä";
        let lines = logged(|| tracing::info!(shown = %nasty, debugged = ?nasty, given = nasty, "{nasty}"));
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(line["shown"], nasty);
        assert_eq!(line["given"], nasty);
        assert_eq!(line["message"], nasty);
        assert_eq!(line["debugged"], format!("{nasty:?}"));
        assert_eq!(line["level"], "INFO");
    }
}
