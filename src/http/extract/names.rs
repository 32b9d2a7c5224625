//! Names of fields and parameters in messages: which are known, and which one was probably meant.

use crate::near::nearest;

/// The name that serde quotes after `prefix`. In messages on unknown fields it comes from the client, otherwise from our
/// own types.
pub(super) fn quoted_after<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message.strip_prefix(prefix)?.strip_prefix('`')?.split('`').next()
}

/// As much of a client's name as is needed to find the typo: 64 characters, none of them a control.
pub(super) fn shorten(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// What to say of the unknown field or parameter at `path`. `message` is serde's, which ends with the names that are known.
pub(super) fn unknown_name(kind: &str, path: &str, message: &str) -> String {
    let known = known_names(message);
    let typed = shorten(path.rsplit('.').next().unwrap_or(path));
    let meant = nearest(&typed, &known).map(|name| format!("did you mean {name}? ")).unwrap_or_default();
    let known = match known.as_slice() {
        [] => return format!("is not a known {kind}; there are none here"),
        [one] => format!("the only one is {one}"),
        many => format!("known are {}", many.join(", ")),
    };
    format!("is not a known {kind}; {meant}{known}")
}

/// The names that serde's message lists after the unknown one. The unknown one may hold anything, so the list is looked for
/// from the end.
fn known_names(message: &str) -> Vec<&str> {
    let list = message.rsplit_once(", expected ").map(|(_, list)| list).unwrap_or_default();
    let list = list.split(" at line ").next().unwrap_or_default();
    list.split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_names_are_listed_and_a_near_one_is_suggested() {
        let two = "unknown field `x`, expected `username` or `password` at line 1 column 8";
        assert_eq!(unknown_name("field", "x", two), "is not a known field; known are username, password");
        let many = "unknown field `userName`, expected one of `username`, `password`, `delivery`";
        assert_eq!(
            unknown_name("field", "userName", many),
            "is not a known field; did you mean username? known are username, password, delivery"
        );
        let one = "unknown field `y`, expected `live`";
        assert_eq!(unknown_name("parameter", "y", one), "is not a known parameter; the only one is live");
        let none = "unknown field `y`, there are no fields";
        assert_eq!(unknown_name("parameter", "y", none), "is not a known parameter; there are none here");
    }

    #[test]
    fn a_name_of_the_client_does_not_pass_for_a_known_one() {
        let message = "unknown field `a`, expected `b`, expected `username` or `password`";
        assert_eq!(known_names(message), ["username", "password"]);
    }
}
