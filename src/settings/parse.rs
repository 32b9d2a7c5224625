//! From a raw value to a typed one. Every parser says what the value is not, and what would be right.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use config::ValueKind;

/// Why a value is not right. Never holds the value itself, except for an entry of a list that is not secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The entry of the list that is wrong, if it is not the whole value.
    pub(super) entry: Option<String>,
    /// Completes "… is not".
    pub(super) not: Cow<'static, str>,
    /// What to write instead.
    pub(super) right: Cow<'static, str>,
}

impl Wrong {
    pub(super) fn new(not: impl Into<Cow<'static, str>>, right: impl Into<Cow<'static, str>>) -> Self {
        Self { entry: None, not: not.into(), right: right.into() }
    }
}

/// A value as its layer has it.
#[derive(Clone, Copy)]
pub(super) enum Raw<'a> {
    /// From the environment or a secret's file: what type it has is for the key to say.
    Untyped(&'a str),
    /// From a TOML file.
    Typed(&'a ValueKind),
}

impl<'a> Raw<'a> {
    fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Untyped(text) => Some(text),
            Self::Typed(ValueKind::String(text)) => Some(text),
            Self::Typed(_) => None,
        }
    }

    /// As a complaint shows it, if it is not a secret's.
    pub(super) fn shown(self) -> Option<String> {
        match self {
            Self::Typed(kind @ (ValueKind::I64(_) | ValueKind::Boolean(_))) => Some(kind.to_string()),
            _ => self.as_text().map(quoted),
        }
    }
}

/// A text that is not empty.
fn text(raw: Raw<'_>) -> Result<&str, Wrong> {
    match raw.as_text() {
        Some("") => Err(Wrong::new("a text of at least one character", "write one, or leave the key out")),
        Some(text) => without_control(text).map(|()| text),
        None => Err(Wrong::new("a text", "write it in quotes")),
    }
}

/// No value has control characters: what an editor, a paste or `echo` has put in would be noticed much later.
fn without_control(text: &str) -> Result<(), Wrong> {
    text.chars().find(|c| c.is_control()).map_or(Ok(()), |control| {
        let right = format!("write it without U+{:04X}", u32::from(control));
        Err(Wrong::new("a text without control characters", right))
    })
}

/// A text that another parser takes further.
pub(super) fn of_text<T>(parse: impl Fn(&str) -> Result<T, Wrong>) -> impl Fn(Raw<'_>) -> Result<T, Wrong> {
    move |raw| parse(text(raw)?)
}

/// A file's path.
pub(super) fn path(raw: Raw<'_>) -> Result<PathBuf, Wrong> {
    text(raw).map(PathBuf::from)
}

/// `true` or `false`.
pub(super) fn boolean(raw: Raw<'_>) -> Result<bool, Wrong> {
    match raw {
        Raw::Typed(ValueKind::Boolean(value)) => Ok(*value),
        Raw::Untyped("true") => Ok(true),
        Raw::Untyped("false") => Ok(false),
        _ => Err(Wrong::new("true or false", "write true or false, without quotes")),
    }
}

/// A whole number within bounds.
pub(super) fn integer<T: TryFrom<i64>>(range: RangeInclusive<i64>) -> impl Fn(Raw<'_>) -> Result<T, Wrong> {
    move |raw| {
        let number = match raw {
            Raw::Typed(ValueKind::I64(number)) => Some(*number),
            Raw::Untyped(text) => digits(text),
            Raw::Typed(_) => None,
        };
        number.filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok()).ok_or_else(
            || {
                let (from, to) = (range.start(), range.end());
                Wrong::new(format!("a whole number from {from} to {to}"), "write one, without quotes")
            },
        )
    }
}

/// Decimal digits and nothing else: `i64`'s own parser also takes a plus sign.
fn digits(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A list, of which each entry is parsed. Untyped ones are separated by commas or line breaks.
pub(super) fn list<T>(parse: impl Fn(&str) -> Result<T, Wrong>) -> impl Fn(Raw<'_>) -> Result<Vec<T>, Wrong> {
    entries(parse, true)
}

/// A list of secrets, of which no entry is named in a complaint.
pub(super) fn secrets<T>(
    parse: impl Fn(&str) -> Result<T, Wrong>,
) -> impl Fn(Raw<'_>) -> Result<Vec<T>, Wrong> {
    entries(parse, false)
}

fn entries<T>(
    parse: impl Fn(&str) -> Result<T, Wrong>,
    shown: bool,
) -> impl Fn(Raw<'_>) -> Result<Vec<T>, Wrong> {
    let parse = move |entry: &str| {
        if entry.is_empty() {
            return Err(Wrong::new("a list without empty entries", "leave the empty entry out"));
        }
        without_control(entry)
            .and_then(|()| parse(entry))
            .map_err(|wrong| Wrong { entry: shown.then(|| quoted(entry)), ..wrong })
    };
    move |raw| match raw {
        Raw::Untyped(text) if text.trim().is_empty() => Ok(Vec::new()),
        Raw::Untyped(text) => text.split([',', '\n']).map(|entry| parse(entry.trim())).collect(),
        Raw::Typed(ValueKind::Array(items)) => items
            .iter()
            .map(|item| match &item.kind {
                ValueKind::String(entry) => parse(entry),
                _ => Err(Wrong::new("a list of texts", "write each entry in quotes")),
            })
            .collect(),
        Raw::Typed(_) => {
            Err(Wrong::new("a list", "write it as [\"…\", \"…\"], in the environment with commas"))
        }
    }
}

/// The longest duration that is accepted: ten years. Points in time have 32 bits of seconds.
const MAX_DURATION: Duration = Duration::from_hours(10 * 365 * 24);

/// A duration: a whole number and one of the units ms, s, m, h and d.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    let wrong = || {
        Wrong::new(
            "a duration of at most ten years",
            "write a whole number and a unit (ms, s, m, h or d), such as \"250ms\", \"15m\" or \"14d\"",
        )
    };
    let unit_at = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at_checked(unit_at).ok_or_else(wrong)?;
    let millis_each = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return Err(wrong()),
    };
    let millis =
        number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis_each)).ok_or_else(wrong)?;
    Some(Duration::from_millis(millis)).filter(|duration| *duration <= MAX_DURATION).ok_or_else(wrong)
}

/// A duration that is not zero.
pub(super) fn positive(text: &str) -> Result<Duration, Wrong> {
    duration(text).and_then(|duration| {
        let wrong = Wrong::new("longer than nothing", "write a duration of at least \"1ms\"");
        if duration.is_zero() { Err(wrong) } else { Ok(duration) }
    })
}

/// A lifetime: at least a second, and whole seconds, since tokens and records carry those.
pub(super) fn lifetime(text: &str) -> Result<Duration, Wrong> {
    duration(text).and_then(|duration| {
        let wrong =
            Wrong::new("one or more whole seconds", "write a lifetime such as \"90s\", \"15m\" or \"14d\"");
        if duration.is_zero() || duration.subsec_nanos() != 0 { Err(wrong) } else { Ok(duration) }
    })
}

/// A duration as it is written: in the largest unit in which it is a whole number.
pub(super) fn written(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(24 * 60 * 60 * 1000, "d"), (60 * 60 * 1000, "h"), (60 * 1000, "m"), (1000, "s"), (1, "ms")];
    let (each, unit) = units
        .into_iter()
        .find(|(each, _)| millis.is_multiple_of(*each) && millis >= *each)
        .unwrap_or((1000, "s"));
    format!("{}{unit}", millis / each)
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&str) -> Result<T, Wrong> {
    move |text| {
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| quoted(word)).collect();
            Wrong::new("one of the words that it can be", format!("write one of {}", words.join(", ")))
        })
    }
}

/// A text in quotes, its control characters escaped, shortened if it is long.
pub(super) fn quoted(text: &str) -> String {
    const MAX_SHOWN: usize = 80;
    let shown: String = text.chars().take(MAX_SHOWN).collect();
    if shown.len() < text.len() { format!("{shown:?}…") } else { format!("{shown:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        for (text, millis) in
            [("250ms", 250), ("0s", 0), ("10s", 10_000), ("15m", 900_000), ("2h", 7_200_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("3650d"), Ok(MAX_DURATION));
        for text in [
            "",
            "15",
            "m",
            "15 m",
            "-1s",
            "+1s",
            "1.5h",
            "1h30m",
            "15M",
            "15min",
            "3651d",
            "99999999999999999999d",
            "１s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_duration_reads_as_itself(millis in 0_u64..400_000_000_000, round in 0_usize..5) {
            let unit = [1, 1000, 60_000, 3_600_000, 86_400_000][round];
            let whole = Duration::from_millis((millis / unit * unit).min(315_360_000_000));
            prop_assert_eq!(duration(&written(whole)), Ok(whole));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,40}") {
            let raw = Raw::Untyped(&text);
            let _ = of_text(duration)(raw);
            let _ = integer::<u8>(0..=255)(raw);
            let _ = boolean(raw);
            let _ = list(duration)(raw);
        }
    }

    #[test]
    fn a_list_is_split_at_commas_and_line_breaks() {
        let untyped = |text: &str| list(|entry| Ok(entry.to_owned()))(Raw::Untyped(text));
        assert_eq!(untyped(" a , b\nc").unwrap(), ["a", "b", "c"]);
        assert_eq!(untyped("").unwrap(), Vec::<String>::new());
        assert_eq!(untyped("a,,b").unwrap_err().not, "a list without empty entries");
    }
}
