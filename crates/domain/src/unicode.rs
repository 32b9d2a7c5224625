//! Which Unicode the text rules follow, and which names look alike.

use unicode_security::confusable_detection;

use crate::user::Username;

/// The version of Unicode whose tables names and passwords are read by. A later one may assign what this one has not:
/// names with such characters are refused until then, passwords with them are taken as they are.
pub const UNICODE_VERSION: (u8, u8, u8) = (18, 0, 0);

/// What all names have in common that look like each other: the skeleton of UTS 39, section 4. Never shown, and no
/// name itself: `m` and `rn` are both `rn`, `1` and `l` both `l`, a Cyrillic `а` is a Latin one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Skeleton(String);

impl Skeleton {
    /// The skeleton of this name.
    pub fn of(name: &Username) -> Self {
        Self(confusable_detection::skeleton(name.as_str()).collect())
    }

    /// The text. It is no name, and it is not for showing.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn skeleton(name: &str) -> Skeleton {
        Skeleton::of(&name.parse().unwrap())
    }

    #[test]
    fn all_tables_are_of_one_unicode() {
        use icu_properties::CodePointMapData;
        use icu_properties::props::GeneralCategory;

        assert_eq!(unicode_normalization::UNICODE_VERSION, UNICODE_VERSION);
        let (major, minor, patch) = UNICODE_VERSION;
        let theirs = unicode_security::UNICODE_VERSION;
        assert_eq!(theirs, (major.into(), minor.into(), patch.into()));
        // ICU4X does not tell. Seal script came with 18.0, Sidetic with 17.0; the other crates have the same letters.
        let categories = CodePointMapData::<GeneralCategory>::new();
        assert_eq!(categories.get('\u{3d000}'), GeneralCategory::OtherLetter);
        assert_eq!(categories.get('\u{10940}'), GeneralCategory::OtherLetter);
    }

    #[test]
    fn names_that_look_alike_have_one_skeleton() {
        for (one, other) in [
            ("admin", "\u{430}dmin"),
            ("admin", "\u{430}dm\u{456}n"),
            ("modern", "modem"),
            ("ada1", "adal"),
            ("paypal", "раураl"),
            ("scope", "ѕсоре"),
        ] {
            assert_eq!(skeleton(one), skeleton(other), "{one} {other}");
        }
        for (one, other) in [("ada", "ad\u{e0}"), ("ada", "adb"), ("женя", "жена")] {
            assert_ne!(skeleton(one), skeleton(other), "{one} {other}");
        }
    }
}
