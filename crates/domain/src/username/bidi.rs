//! Names of scripts that are written from right to left (RFC 5893, section 2).

use icu_properties::CodePointMapData;
use icu_properties::props::BidiClass;

use super::InvalidUsername;

/// Refuses a name whose characters would be displayed in another order than they have.
pub(super) fn check(text: &str) -> Result<(), InvalidUsername> {
    let classes = || text.chars().map(|c| CodePointMapData::<BidiClass>::new().get(c));
    if classes().any(is_right_to_left) && !obeys_the_rule(classes) {
        return Err(InvalidUsername::Direction);
    }
    Ok(())
}

fn is_right_to_left(class: BidiClass) -> bool {
    matches!(class, BidiClass::RightToLeft | BidiClass::ArabicLetter | BidiClass::ArabicNumber)
}

/// The rule for a name in which something runs from right to left. One that begins with a letter of the other direction
/// breaks condition 5.
fn obeys_the_rule<I: DoubleEndedIterator<Item = BidiClass>>(classes: impl Fn() -> I) -> bool {
    let has = |wanted| classes().any(|class| class == wanted);
    let first = classes().next();
    let last = classes().rfind(|class| *class != BidiClass::NonspacingMark);
    // Conditions 1, 3, 2 and 4.
    matches!(first, Some(BidiClass::RightToLeft | BidiClass::ArabicLetter))
        && last.is_some_and(|last| is_right_to_left(last) || last == BidiClass::EuropeanNumber)
        && classes().all(is_of_both)
        && !(has(BidiClass::EuropeanNumber) && has(BidiClass::ArabicNumber))
}

fn is_of_both(class: BidiClass) -> bool {
    is_right_to_left(class)
        || matches!(
            class,
            BidiClass::EuropeanNumber
                | BidiClass::EuropeanSeparator
                | BidiClass::CommonSeparator
                | BidiClass::EuropeanTerminator
                | BidiClass::OtherNeutral
                | BidiClass::BoundaryNeutral
                | BidiClass::NonspacingMark
        )
}
