//! Every problem that the JSON API can answer with. One place, so that nothing is answered that is not documented.

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is described by its entry")]
pub enum Code {
    InvalidRequest,
    AttemptKeyReused,
    WrongDelivery,
    TokenTooLarge,
    InvalidResetToken,
    AuthenticationRequired,
    InvalidCredentials,
    InsufficientUserAuthentication,
    InvalidToken,
    TokenExpired,
    InvalidRefreshToken,
    RefreshTokenReused,
    SessionRevoked,
    SessionExpired,
    UserDisabled,
    CrossSiteRequest,
    InsufficientScope,
    RegistrationDisabled,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    UsernameTaken,
    LastAdministrator,
    RefreshSuperseded,
    PayloadTooLarge,
    UriTooLong,
    UnsupportedMediaType,
    TooManyRequests,
    TooManyAttempts,
    HeadersTooLarge,
    InternalError,
    TemporarilyUnavailable,
}

/// What is the same for every problem of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// HTTP status.
    pub status: u16,
    /// The stable machine code.
    pub error: &'static str,
    /// A short summary.
    pub title: &'static str,
    /// What it means, if the occurrence has nothing more to say.
    pub detail: &'static str,
    /// `WWW-Authenticate` (RFC 9110, section 11.6.1; RFC 6750, section 3): every 401 has one.
    pub challenge: Option<&'static str>,
}

const BEARER: Option<&str> = Some("Bearer");
const INVALID: Option<&str> = Some(r#"Bearer error="invalid_token""#);
const EXPIRED: Option<&str> =
    Some(r#"Bearer error="invalid_token", error_description="The access token expired""#);
// RFC 9470, section 3; `max_age` is added where it is known.
const TOO_OLD: Option<&str> = Some(r#"Bearer error="insufficient_user_authentication""#);
const SCOPE: Option<&str> = Some(r#"Bearer error="insufficient_scope", scope="admin""#);

impl Code {
    /// All kinds, for documentation and tests.
    pub const ALL: [Self; 32] = [
        Self::InvalidRequest,
        Self::AttemptKeyReused,
        Self::WrongDelivery,
        Self::TokenTooLarge,
        Self::InvalidResetToken,
        Self::AuthenticationRequired,
        Self::InvalidCredentials,
        Self::InsufficientUserAuthentication,
        Self::InvalidToken,
        Self::TokenExpired,
        Self::InvalidRefreshToken,
        Self::RefreshTokenReused,
        Self::SessionRevoked,
        Self::SessionExpired,
        Self::UserDisabled,
        Self::CrossSiteRequest,
        Self::InsufficientScope,
        Self::RegistrationDisabled,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::UsernameTaken,
        Self::LastAdministrator,
        Self::RefreshSuperseded,
        Self::PayloadTooLarge,
        Self::UriTooLong,
        Self::UnsupportedMediaType,
        Self::TooManyRequests,
        Self::TooManyAttempts,
        Self::HeadersTooLarge,
        Self::InternalError,
        Self::TemporarilyUnavailable,
    ];

    /// What is the same for every problem of this kind.
    pub const fn entry(self) -> Entry {
        let (status, error, title, detail, challenge) = self.words();
        Entry { status, error, title, detail, challenge }
    }

    #[rustfmt::skip]
    #[expect(clippy::too_many_lines, reason = "a table")]
    const fn words(self) -> (u16, &'static str, &'static str, &'static str, Option<&'static str>) {
        match self {
            Self::InvalidRequest => (400, "invalid_request", "Invalid request",
                "The request is malformed.", None),
            Self::AttemptKeyReused => (400, "attempt_key_reused", "Attempt key reused",
                "Idempotency-Key must be fresh for each refresh and repeated only on retries of that refresh. \
                 Nothing was consumed.", None),
            Self::WrongDelivery => (400, "wrong_delivery", "Wrong delivery",
                "The tokens must come back the way that was chosen at sign-in. Nothing was consumed.", None),
            Self::TokenTooLarge => (400, "token_too_large", "Token too large",
                "The access token does not fit a cookie, which has at most 4,096 bytes: the user has too many or too \
                 long roles or attributes, or the audience is too long. The delivery body has no such limit.", None),
            Self::InvalidResetToken => (400, "invalid_reset_token", "Invalid reset token",
                "The token was not issued by this server, has expired, or the password was changed since.", None),
            Self::AuthenticationRequired => (401, "authentication_required", "Authentication required",
                "Send an access token in the Authorization header or its cookie.", BEARER),
            Self::InvalidCredentials => (401, "invalid_credentials", "Invalid credentials",
                "User name or password is wrong.", BEARER),
            Self::InsufficientUserAuthentication => (401, "insufficient_user_authentication",
                "More recent sign-in required", "This needs a sign-in that is not so long ago: sign in again.", TOO_OLD),
            Self::InvalidToken => (401, "invalid_token", "Invalid access token",
                "The access token was not issued by this server for this use.", INVALID),
            Self::TokenExpired => (401, "token_expired", "Access token expired",
                "Refresh the tokens and try again.", EXPIRED),
            Self::InvalidRefreshToken => (401, "invalid_refresh_token", "Invalid refresh token",
                "The refresh token was not issued by this server.", INVALID),
            Self::RefreshTokenReused => (401, "refresh_token_reused", "Refresh token reused",
                "The refresh token was rotated out before: somebody else may have a copy. The session has been \
                 ended; sign in again.", INVALID),
            Self::SessionRevoked => (401, "session_revoked", "Session revoked",
                "The session has ended; sign in again.", INVALID),
            Self::SessionExpired => (401, "session_expired", "Session expired",
                "The session was not used for too long or has reached its end; sign in again.", INVALID),
            Self::UserDisabled => (401, "user_disabled", "User disabled",
                "The account is disabled.", INVALID),
            Self::CrossSiteRequest => (403, "cross_site_request", "Cross-site request",
                "Another site may have made the browser send this: with cookies, Sec-Fetch-Site must be same-origin, or \
                 Origin must be one that the server lists. Nothing was done.", None),
            Self::InsufficientScope => (403, "insufficient_scope", "Insufficient scope",
                "This needs the role admin.", SCOPE),
            Self::RegistrationDisabled => (403, "registration_disabled", "Registration disabled",
                "Accounts are made by administrators here.", None),
            Self::NotFound => (404, "not_found", "Not found",
                "There is nothing here.", None),
            Self::MethodNotAllowed => (405, "method_not_allowed", "Method not allowed",
                "The header Allow lists the methods that this path supports.", None),
            Self::RequestTimeout => (408, "request_timeout", "Request timeout",
                "A body arrives within ten seconds.", None),
            Self::UsernameTaken => (409, "username_taken", "User name taken",
                "Another user has this name.", None),
            Self::LastAdministrator => (409, "last_administrator", "Last administrator",
                "No administrator who can sign in would be left. Nothing was changed; make another user an administrator \
                 first.", None),
            Self::RefreshSuperseded => (409, "refresh_superseded", "Refresh superseded",
                "Somebody with the same storage was quicker. Nothing is lost: read the storage again and go on \
                 with the tokens found there.", None),
            Self::PayloadTooLarge => (413, "payload_too_large", "Payload too large",
                "A body has at most 64 KiB.", None),
            Self::UriTooLong => (414, "uri_too_long", "URI too long",
                "Path and query have at most 8 KiB.", None),
            Self::UnsupportedMediaType => (415, "unsupported_media_type", "Unsupported media type",
                "Send the body as application/json.", None),
            Self::TooManyRequests => (429, "too_many_requests", "Too many requests",
                "This session refreshes too often, this account signs in too often, or this address asks for too much, makes \
                 too many accounts or has too many connections. Nothing was consumed; Retry-After says when to try again.", None),
            Self::TooManyAttempts => (429, "too_many_attempts", "Too many attempts",
                "There were too many failed sign-ins. The password was not looked at; Retry-After says when to try \
                 again.", None),
            Self::HeadersTooLarge => (431, "headers_too_large", "Header fields too large",
                "A header field has at most 16 KiB.", None),
            Self::InternalError => (500, "internal_error", "Internal error",
                "Something is broken on the server. Its log knows more under the request id.", None),
            Self::TemporarilyUnavailable => (503, "temporarily_unavailable", "Temporarily unavailable",
                "The server cannot answer at the moment. Nothing was decided about the tokens; try again after \
                 Retry-After.", None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_every_401_has_a_challenge() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            let entry = code.entry();
            assert!(seen.insert(entry.error), "{} twice", entry.error);
            assert!(entry.status != 401 || entry.challenge.is_some(), "{}", entry.error);
        }
    }
}
