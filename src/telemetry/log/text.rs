//! Lines for people: time, level, message and fields, and the id of the request under way.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Full, Writer};
use tracing_subscriber::registry::LookupSpan;

use super::stamp;
use crate::telemetry::request::UnderWay;

/// Writes an event as the library does, with the request's id between time and level.
pub(super) struct Text(Format<Full, ()>);

impl Default for Text {
    fn default() -> Self {
        Self(Format::default().with_target(false).without_time())
    }
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        stamp::write_now(&mut writer)?;
        writer.write_char(' ')?;
        if let Some(id) = UnderWay::id() {
            write!(writer, "{id} ")?;
        }
        self.0.format_event(context, writer, event)
    }
}
