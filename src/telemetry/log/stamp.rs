//! The time at the head of each line: RFC 3339, in UTC, to the microsecond.

use std::cell::RefCell;
use std::fmt::Write;

use relatch_domain::UnixSeconds;

use crate::ambient::SystemClock;
use crate::rfc3339::seconds;

thread_local! {
    /// The second of the last line of this thread, as it was written: most lines are of the same one.
    static LAST: RefCell<(UnixSeconds, String)> = const { RefCell::new((UnixSeconds(0), String::new())) };
}

/// Writes the present moment.
///
/// # Errors
/// Those of the writer.
pub(super) fn write_now(writer: &mut impl Write) -> std::fmt::Result {
    write(writer, SystemClock::micros())
}

/// Writes a moment, given in microseconds since the Unix epoch.
fn write(writer: &mut impl Write, micros: u64) -> std::fmt::Result {
    let second = UnixSeconds(u32::try_from(micros / 1_000_000).unwrap_or(u32::MAX));
    LAST.with_borrow_mut(|(last, text)| {
        if *last != second || text.is_empty() {
            *last = second;
            *text = seconds(second);
            text.truncate(text.len().saturating_sub(1));
        }
        write!(writer, "{text}.{:06}Z", micros % 1_000_000)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_moment_has_its_own_second_and_six_digits() {
        let written = |micros| {
            let mut text = String::new();
            write(&mut text, micros).unwrap();
            text
        };
        assert_eq!(written(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(written(1_700_000_000_000_001), "2023-11-14T22:13:20.000001Z");
        assert_eq!(written(1_700_000_000_999_999), "2023-11-14T22:13:20.999999Z");
        assert_eq!(written(1_700_000_001_000_000), "2023-11-14T22:13:21.000000Z");
        assert_eq!(written(1_700_000_000_120_000), "2023-11-14T22:13:20.120000Z");
        let mut now = String::new();
        write_now(&mut now).unwrap();
        assert!(crate::rfc3339::parse(&now).is_some_and(|at| at.0 > 1_700_000_000_000), "{now}");
    }
}
