//! Points in time as people and programs read them: RFC 3339, in UTC.

use relatch_domain::{UnixMillis, UnixSeconds};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time to the second.
pub fn seconds(at: UnixSeconds) -> String {
    let at = OffsetDateTime::from_unix_timestamp(i64::from(at.0));
    at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

/// A point in time to the millisecond, always with three digits.
pub fn millis(at: UnixMillis) -> String {
    let whole = seconds(at.seconds());
    format!("{}.{:03}Z", whole.trim_end_matches('Z'), at.0 % 1000)
}

/// A point in time to the millisecond, with a fraction only if there is one.
pub fn exact(at: UnixMillis) -> String {
    if at.0.is_multiple_of(1000) { seconds(at.seconds()) } else { millis(at) }
}

/// Reads a point in time, whatever its offset. Finer fractions than milliseconds are cut.
///
/// Nothing for what is not RFC 3339, or lies before 1970 or after the last time that a record can hold.
pub fn parse(text: &str) -> Option<UnixMillis> {
    from_nanos(nanos(text)?)
}

/// The same, of a query parameter. A `+` that was not written as `%2B` has become a space there (application/x-www-form-urlencoded
/// in the URL standard); where the offset's sign stands, it was one.
pub fn parse_of_query(text: &str) -> Option<UnixMillis> {
    match text.len().checked_sub("+00:00".len()).map(|sign| text.split_at_checked(sign)) {
        Some(Some((time, offset))) if offset.starts_with(' ') => {
            parse(&format!("{time}+{}", offset.trim_start_matches(' ')))
        }
        _ => parse(text),
    }
}

/// The same, but a finer fraction than milliseconds is rounded up: what is to be over by then is over.
pub fn parse_up(text: &str) -> Option<UnixMillis> {
    from_nanos(nanos(text)?.checked_add(NANOS_IN_A_MILLI - 1)?)
}

const NANOS_IN_A_MILLI: i128 = 1_000_000;

fn nanos(text: &str) -> Option<i128> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos();
    (at >= 0).then_some(at)
}

fn from_nanos(nanos: i128) -> Option<UnixMillis> {
    let millis = nanos.div_euclid(NANOS_IN_A_MILLI);
    u64::try_from(millis).ok().map(UnixMillis).filter(|at| *at <= UnixMillis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_fixed_precision() {
        assert_eq!(seconds(UnixSeconds(1_700_000_000)), "2023-11-14T22:13:20Z");
        assert_eq!(millis(UnixMillis(1_700_000_000_000)), "2023-11-14T22:13:20.000Z");
        assert_eq!(millis(UnixMillis(1_700_000_000_120)), "2023-11-14T22:13:20.120Z");
        assert_eq!(exact(UnixMillis(1_700_000_000_000)), "2023-11-14T22:13:20Z");
        assert_eq!(exact(UnixMillis(1_700_000_000_120)), "2023-11-14T22:13:20.120Z");
    }

    #[test]
    fn a_plus_that_became_a_space_is_a_plus() {
        let at = parse("2023-11-14T22:13:20+02:00");
        assert!(at.is_some());
        assert_eq!(parse_of_query("2023-11-14T22:13:20 02:00"), at);
        assert_eq!(parse_of_query("2023-11-14T22:13:20+02:00"), at);
        assert_eq!(parse_of_query("2023-11-14T20:13:20Z"), at);
        assert_eq!(parse_of_query("2023-11-14t20:13:20.000z"), at);
        for wrong in ["", " 02:00", "2023-11-14T22:13:20  2:00", "2023-11-14T22:13:20 02:0ü"] {
            assert_eq!(parse_of_query(wrong), None, "{wrong:?}");
        }
        assert_eq!(parse("2023-11-14T22:13:20 02:00"), None);
    }

    #[test]
    fn times_are_read_with_any_offset_and_fraction() {
        let at = |text| parse(text).map(|at| at.0);
        assert_eq!(at("2023-11-14T22:13:20Z"), Some(1_700_000_000_000));
        assert_eq!(at("2023-11-15T00:13:20.1239+02:00"), Some(1_700_000_000_123));
        assert_eq!(at("1970-01-01T00:00:00Z"), Some(0));
        for (text, millis) in [("20.123Z", 123), ("20.1230Z", 123), ("20.1230001Z", 124), ("20.9999Z", 1000)]
        {
            let read = parse_up(&format!("2023-11-14T22:13:{text}"));
            assert_eq!(read, Some(UnixMillis(1_700_000_000_000 + millis)), "{text}");
        }
        assert_eq!(parse_up("1969-12-31T23:59:59.9999Z"), None);
        for wrong in [
            "",
            "now",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-11-14 22:13:20 02:00",
            "1969-12-31T23:59:59.9Z",
            "2023-13-14T22:13:20Z",
            "1700000000",
        ] {
            assert_eq!(at(wrong), None, "{wrong:?}");
        }
        assert_eq!(at("9999-12-31T23:59:59Z"), Some(253_402_300_799_000));
    }
}
