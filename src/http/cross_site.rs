//! Cross-site protection: whether a request that changes something may use, set or clear cookies.
//!
//! A browser sends cookies with requests that other sites made it send. It also says where a request comes from:
//! `Sec-Fetch-Site` (Fetch Metadata) cannot be set by pages, and `Origin` (RFC 6454, section 7) cannot either.

/// The origins of web pages that may act for their users with cookies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    own: String,
    listed: Vec<String>,
}

/// What the rule says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// Cookies count, and may be set and cleared.
    Free,
    /// No browser sent this. A sign-in may set cookies: whoever gets them has shown a password. Cookies that came
    /// count for nothing, or an old browser that says nothing about itself could be made to act for its user.
    NotABrowser,
    /// Another site may be behind it.
    Barred,
}

impl Origins {
    /// The server's own origin, and those that the operator lists. All as browsers write them.
    pub fn new<'a>(own: &str, listed: impl IntoIterator<Item = &'a str>) -> Self {
        Self { own: own.to_owned(), listed: listed.into_iter().map(str::to_owned).collect() }
    }

    /// Whether any origin is listed.
    pub const fn lists_some(&self) -> bool {
        !self.listed.is_empty()
    }

    /// Whether an origin is listed. Compared byte by byte: `null`, prefixes and suffixes of a listed one are not.
    pub fn lists(&self, origin: &[u8]) -> bool {
        self.listed.iter().any(|listed| listed.as_bytes() == origin)
    }

    /// Judges a request by its headers `Sec-Fetch-Site` and `Origin`. One that came more than once has no value that
    /// anything could be equal to, such as an empty one.
    pub fn judge(&self, fetch_site: Option<&[u8]>, origin: Option<&[u8]>) -> Passage {
        let free = match (fetch_site, origin) {
            (Some(b"same-origin"), _) => true,
            (Some(b"same-site"), Some(origin)) => self.lists(origin),
            // `none` is typed by the user, who types no POST. `cross-site`, and what is not known yet.
            (Some(_), _) => false,
            (None, Some(origin)) => self.lists(origin) || self.own.as_bytes() == origin,
            (None, None) => return Passage::NotABrowser,
        };
        if free { Passage::Free } else { Passage::Barred }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWN: &str = "https://id.example.com";
    const LISTED: &str = "https://app.example.com";

    fn judge(fetch_site: Option<&str>, origin: Option<&str>) -> Passage {
        let origins = Origins::new(OWN, [LISTED]);
        origins.judge(fetch_site.map(str::as_bytes), origin.map(str::as_bytes))
    }

    #[test]
    fn the_rule_in_full() {
        use Passage::{Barred, Free, NotABrowser};
        let origins = [None, Some(OWN), Some(LISTED), Some("https://evil.example"), Some("null"), Some("")];
        for (fetch_site, expected) in [
            (Some("same-origin"), [Free; 6]),
            (Some("same-site"), [Barred, Barred, Free, Barred, Barred, Barred]),
            (Some("cross-site"), [Barred; 6]),
            (Some("none"), [Barred; 6]),
            (Some(""), [Barred; 6]),
            (Some("Same-Origin"), [Barred; 6]),
            (Some("same-origin, same-origin"), [Barred; 6]),
            (None, [NotABrowser, Free, Free, Barred, Barred, Barred]),
        ] {
            let found = origins.map(|origin| judge(fetch_site, origin));
            assert_eq!(found, expected, "Sec-Fetch-Site: {fetch_site:?}, Origin: {origins:?}");
        }
    }

    #[test]
    fn without_a_list_only_the_servers_own_pages_pass() {
        let origins = Origins::new(OWN, []);
        assert_eq!(origins.judge(None, Some(OWN.as_bytes())), Passage::Free);
        assert_eq!(origins.judge(None, Some(b"")), Passage::Barred);
        assert!(!origins.lists_some() && !origins.lists(b"") && !origins.lists(OWN.as_bytes()));
    }

    proptest! {
        #[test]
        fn only_a_known_site_or_a_known_origin_is_free(
            fetch_site in proptest::option::of("same-origin|same-site|cross-site|none|[a-z-]{0,12}"),
            origin in proptest::option::of(prop_oneof![
                Just(OWN.to_owned()), Just(LISTED.to_owned()), Just("null".to_owned()),
                "https?://[a-z.]{0,20}(:[0-9]{1,5})?",
            ]),
        ) {
            let found = judge(fetch_site.as_deref(), origin.as_deref());
            let listed = origin.as_deref() == Some(LISTED);
            let own = origin.as_deref() == Some(OWN);
            let free = match fetch_site.as_deref() {
                Some("same-origin") => true,
                Some("same-site") => listed,
                Some(_) => false,
                None => listed || own,
            };
            prop_assert_eq!(found == Passage::Free, free);
            prop_assert_eq!(found == Passage::NotABrowser, fetch_site.is_none() && origin.is_none());
        }

        #[test]
        fn what_only_resembles_a_listed_origin_is_not_listed(
            before in "[a-z./:@]{0,4}", after in "[a-z./:?#]{0,4}", cut in 0..LISTED.len(), upper in any::<bool>(),
        ) {
            let mut near = format!("{before}{LISTED}{after}");
            if upper {
                near = near.to_uppercase();
            }
            prop_assert_eq!(judge(None, Some(&near)) == Passage::Free, near == LISTED);
            prop_assert_eq!(judge(Some("same-site"), Some(&LISTED[..cut])), Passage::Barred);
        }
    }
}
