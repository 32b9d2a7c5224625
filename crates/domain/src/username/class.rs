//! The characters of names: PRECIS `IdentifierClass`, derived from the properties of each as RFC 8264, section 8, says.

use icu_properties::props::{
    DefaultIgnorableCodePoint, GeneralCategory, HangulSyllableType, NoncharacterCodePoint,
};
use icu_properties::{CodePointMapData, CodePointSetData};
use unicode_normalization::UnicodeNormalization;

use super::InvalidUsername;

/// Why a character is in no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Unfit {
    /// General category `Zs`, `Zl` or `Zp`.
    #[error("it is a space or a line break")]
    Space,
    /// General category `Cc`.
    #[error("it is a control character")]
    Control,
    /// `Default_Ignorable_Code_Point`, or general category `Cf`.
    #[error("it cannot be seen")]
    Invisible,
    /// General category `Sm`, `Sc`, `Sk` or `So`, outside of ASCII.
    #[error("it is a symbol")]
    Symbol,
    /// General category `Pc`, `Pd`, `Ps`, `Pe`, `Pi`, `Pf` or `Po`, outside of ASCII.
    #[error("it is a punctuation mark")]
    Punctuation,
    /// Not the same in form NFKC.
    #[error("it is a variant of other characters; write those")]
    Compatibility,
    /// A Hangul letter that is not composed to a syllable.
    #[error("it is a part of a Hangul syllable")]
    Jamo,
    /// General category `Lt`, `Nl`, `No` or `Me`.
    #[error("it is neither a letter nor a digit of names")]
    OtherLetterOrDigit,
    /// Disallowed by name (RFC 8264, section 9.6).
    #[error("it is an exception that no name has (RFC 8264, section 9.6)")]
    Exception,
    /// General category `Co`, or a noncharacter.
    #[error("it is reserved for private use")]
    Private,
    /// Not assigned in this version of Unicode.
    #[error("it is not assigned in Unicode 18.0")]
    Unassigned,
}

/// What a character is to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Derived {
    Valid,
    /// Allowed in certain places: see [`super::context`].
    Context,
    Unfit(Unfit),
}

/// Refuses what no name has. Hangul letters are left to [`check_letters`].
pub(super) fn check(text: &str) -> Result<(), InvalidUsername> {
    check_each(text, |unfit| unfit != Unfit::Jamo)
}

/// Refuses Hangul letters that have not become syllables.
pub(super) fn check_letters(composed: &str) -> Result<(), InvalidUsername> {
    check_each(composed, |unfit| unfit == Unfit::Jamo)
}

fn check_each(text: &str, counts: impl Fn(Unfit) -> bool) -> Result<(), InvalidUsername> {
    let found = text.chars().find_map(|c| match derived(c) {
        Derived::Unfit(unfit) if counts(unfit) => Some(InvalidUsername::Character(c, unfit)),
        _ => None,
    });
    found.map_or(Ok(()), Err)
}

/// The derived property value. The order is that of RFC 8264, section 8, where it makes a difference to what is allowed.
fn derived(c: char) -> Derived {
    if let Some(exception) = exception(c) {
        return exception;
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c);
    match category {
        _ if CodePointSetData::new::<NoncharacterCodePoint>().contains(c) => Derived::Unfit(Unfit::Private),
        GeneralCategory::Unassigned => Derived::Unfit(Unfit::Unassigned),
        _ if c.is_ascii_graphic() => Derived::Valid,
        _ if matches!(c, '\u{200c}' | '\u{200d}') => Derived::Context,
        _ if is_jamo(c) => Derived::Unfit(Unfit::Jamo),
        _ if ignorable => Derived::Unfit(Unfit::Invisible),
        GeneralCategory::Control => Derived::Unfit(Unfit::Control),
        GeneralCategory::SpaceSeparator
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator => Derived::Unfit(Unfit::Space),
        _ if !std::iter::once(c).nfkc().eq([c]) => Derived::Unfit(Unfit::Compatibility),
        other => of_category(other),
    }
}

/// RFC 8264, sections 9.1 and 9.14 to 9.18.
fn of_category(category: GeneralCategory) -> Derived {
    use GeneralCategory as Is;

    match category {
        Is::LowercaseLetter
        | Is::UppercaseLetter
        | Is::OtherLetter
        | Is::ModifierLetter
        | Is::DecimalNumber
        | Is::NonspacingMark
        | Is::SpacingMark => Derived::Valid,
        Is::TitlecaseLetter | Is::LetterNumber | Is::OtherNumber | Is::EnclosingMark => {
            Derived::Unfit(Unfit::OtherLetterOrDigit)
        }
        Is::MathSymbol | Is::CurrencySymbol | Is::ModifierSymbol | Is::OtherSymbol => {
            Derived::Unfit(Unfit::Symbol)
        }
        Is::ConnectorPunctuation
        | Is::DashPunctuation
        | Is::OpenPunctuation
        | Is::ClosePunctuation
        | Is::InitialPunctuation
        | Is::FinalPunctuation
        | Is::OtherPunctuation => Derived::Unfit(Unfit::Punctuation),
        Is::Format => Derived::Unfit(Unfit::Invisible),
        _ => Derived::Unfit(Unfit::Private),
    }
}

/// RFC 8264, section 9.6.
fn exception(c: char) -> Option<Derived> {
    match c {
        '\u{df}' | '\u{3c2}' | '\u{6fd}' | '\u{6fe}' | '\u{f0b}' | '\u{3007}' => Some(Derived::Valid),
        '\u{b7}'
        | '\u{375}'
        | '\u{5f3}'
        | '\u{5f4}'
        | '\u{30fb}'
        | '\u{660}'..='\u{669}'
        | '\u{6f0}'..='\u{6f9}' => Some(Derived::Context),
        '\u{640}' | '\u{7fa}' | '\u{302e}' | '\u{302f}' | '\u{3031}'..='\u{3035}' | '\u{303b}' => {
            Some(Derived::Unfit(Unfit::Exception))
        }
        _ => None,
    }
}

/// RFC 8264, section 9.9.
fn is_jamo(c: char) -> bool {
    matches!(
        CodePointMapData::<HangulSyllableType>::new().get(c),
        HangulSyllableType::LeadingJamo | HangulSyllableType::VowelJamo | HangulSyllableType::TrailingJamo
    )
}
