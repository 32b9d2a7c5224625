//! Lines as JSON objects: `timestamp`, `level`, `message`, the event's fields, and `span` if a request is under way.
//!
//! What the library makes of the same is built as a tree of values first, and the request's fields are parsed again for
//! each line. Here they are written down as they come.

use std::fmt;

use serde_json::ser::Serializer;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes an event as one line of JSON. Expects the fields of spans as [`JsonFields`] formats them.
pub(super) struct Json;

impl<S> FormatEvent<S, JsonFields> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(r#"{"timestamp":""#)?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, r#"","level":"{}""#, event.metadata().level())?;
        let mut fields = Fields { writer: &mut writer, result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        if let Some(span) = context.lookup_current() {
            writer.write_str(r#","span":{"#)?;
            let extensions = span.extensions();
            let fields =
                extensions.get::<FormattedFields<JsonFields>>().map_or("", |fields| fields.fields.as_str());
            let fields =
                fields.strip_prefix('{').and_then(|fields| fields.strip_suffix('}')).unwrap_or_default();
            writer.write_str(fields)?;
            let comma = if fields.is_empty() { "" } else { "," };
            write!(writer, r#"{comma}"name":"{}"}}"#, span.name())?;
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
    fn field(&mut self, field: &Field, value: impl serde::Serialize) {
        let written = write!(self.writer, r#","{}":"#, field.name());
        let written = written.and_then(|()| json(self.writer, &value));
        self.result = self.result.and(written);
    }
}

impl Visit for Fields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, Shown(value));
    }
}

/// A value as the text that it shows.
struct Shown<'a>(&'a dyn fmt::Debug);

impl serde::Serialize for Shown<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

fn json(writer: &mut Writer<'_>, value: &impl serde::Serialize) -> fmt::Result {
    struct Bytes<'a, 'w>(&'a mut Writer<'w>);
    impl std::io::Write for Bytes<'_, '_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // It comes in pieces that were cut between characters.
            let text = std::str::from_utf8(bytes).map_err(std::io::Error::other)?;
            self.0.write_str(text).map_err(std::io::Error::other)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    value.serialize(&mut Serializer::new(Bytes(writer))).map_err(|_| fmt::Error)
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
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(JsonFields::new())
            .event_format(Json)
            .with_writer(lines.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, within);
        lines.flush();
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_the_time_the_level_the_message_and_the_fields_of_each_kind() {
        let nothing: Option<&str> = None;
        let lines = logged(|| {
            tracing::warn!(event = "e", yes = true, n = -3, m = 4_u64, x = 0.5, d = ?Some("q"), s = %"t", nothing, "said");
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let mut line = line.clone();
        let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
        let expected = serde_json::json!({
            "level": "WARN", "message": "said", "event": "e", "yes": true, "n": -3, "m": 4, "x": 0.5,
            "d": "Some(\"q\")", "s": "t",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_line_names_the_request_that_is_under_way() {
        let lines = logged(|| {
            tracing::error_span!("request", request_id = "a\"b").in_scope(|| tracing::info!("in"));
            tracing::error_span!("bare").in_scope(|| tracing::info!("in"));
            tracing::info!("out");
        });
        let spans: Vec<_> = lines.iter().map(|line| line["span"].clone()).collect();
        let expected = [
            serde_json::json!({ "request_id": "a\"b", "name": "request" }),
            serde_json::json!({ "name": "bare" }),
            serde_json::Value::Null,
        ];
        assert_eq!(spans, expected);
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
