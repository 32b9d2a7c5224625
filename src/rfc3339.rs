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

/// Reads a point in time, whatever its offset. Finer fractions than milliseconds are cut.
///
/// Nothing for what is not RFC 3339, or lies before 1970 or after the last time that a record can hold.
pub fn parse(text: &str) -> Option<UnixMillis> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let millis = at.unix_timestamp_nanos().div_euclid(1_000_000);
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
    }

    #[test]
    fn times_are_read_with_any_offset_and_fraction() {
        let at = |text| parse(text).map(|at| at.0);
        assert_eq!(at("2023-11-14T22:13:20Z"), Some(1_700_000_000_000));
        assert_eq!(at("2023-11-15T00:13:20.1239+02:00"), Some(1_700_000_000_123));
        assert_eq!(at("1970-01-01T00:00:00Z"), Some(0));
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
