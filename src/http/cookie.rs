//! The cookies by which tokens travel: their names and attributes (RFC 6265bis, section 4.1; OAuth 2.0 for
//! Browser-Based Applications, section 6.1.3.2).

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};

/// A cookie of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenCookie {
    /// The access token, with delivery `cookie`.
    Access,
    /// A copy of the access token, with delivery `hybrid`: a page that is loaded anew can refresh with it. Nothing but
    /// a refresh reads it, so it signs nobody in elsewhere.
    Pair,
    /// The refresh token.
    Refresh,
    /// The device token, which stays when the user signs out.
    Device,
}

impl TokenCookie {
    /// Those that sign somebody in.
    pub const ALL: [Self; 3] = [Self::Access, Self::Pair, Self::Refresh];

    /// The most that a browser keeps, in bytes of `name=value`: a longer cookie is dropped without a word.
    const MAX_LEN: usize = 4096;

    /// The name. `__Host-` has browsers refuse it from other hosts and unprotected connections.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Access => "__Host-relatch-at",
            Self::Pair => "__Host-relatch-pair",
            Self::Refresh => "__Host-relatch-rt",
            Self::Device => "__Host-relatch-device",
        }
    }

    /// The longest value, in bytes.
    pub const fn max_value(self) -> usize {
        Self::MAX_LEN - self.name().len() - 1
    }

    /// The cookie with a token, for so many seconds.
    pub fn with(self, token: &str, max_age: u32) -> Cookie<'static> {
        Cookie::build(self.name(), token.to_owned())
            .path("/")
            .secure(true)
            .http_only(true)
            .same_site(self.same_site())
            .max_age(Duration::seconds(max_age.into()))
            .finish()
    }

    /// The same cookie, which the browser drops at once.
    pub fn cleared(self) -> Cookie<'static> {
        self.with("", 0)
    }

    /// `Lax` where a link from elsewhere shall find its reader signed in. No `POST` carries it from another site.
    const fn same_site(self) -> SameSite {
        match self {
            Self::Access => SameSite::Lax,
            Self::Pair | Self::Refresh | Self::Device => SameSite::Strict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attributes_are_those_that_the_prefix_demands() {
        let set = |cookie: TokenCookie| cookie.with("t", 60).to_string();
        assert_eq!(
            set(TokenCookie::Access),
            "__Host-relatch-at=t; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
        );
        assert_eq!(
            set(TokenCookie::Refresh),
            "__Host-relatch-rt=t; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=60"
        );
        assert_eq!(
            TokenCookie::Pair.cleared().to_string(),
            "__Host-relatch-pair=; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=0"
        );
    }

    #[test]
    fn name_and_longest_value_are_4096_bytes() {
        for cookie in TokenCookie::ALL {
            let longest = cookie.with(&"x".repeat(cookie.max_value()), 1);
            assert_eq!(longest.stripped().to_string().len(), 4096);
        }
    }
}
