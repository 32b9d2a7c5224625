//! How things look in JSON answers.

use relatch_domain::attributes::Attributes;
use relatch_domain::session::SessionRecord;
use relatch_domain::user::User;
use relatch_domain::{SessionRef, UnixSeconds, UserId};
use serde::Serialize;

use crate::app::issue::IssuedPair;
use crate::store::StoredSession;

/// A point in time as clients read it: RFC 3339, UTC, whole seconds.
pub fn rfc3339(at: UnixSeconds) -> String {
    crate::rfc3339::seconds(at)
}

/// A pair of tokens (RFC 6749, section 5.1, with the session's id and the refresh token's lifetime).
#[derive(Serialize)]
pub struct TokenAnswer<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    refresh_token: &'a str,
    refresh_expires_in: u32,
    session_id: SessionRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserAnswer<'a>>,
}

impl<'a> TokenAnswer<'a> {
    /// The answer to a sign-in or a refresh. Only a sign-in tells who the user is.
    pub fn new(pair: &'a IssuedPair, user: Option<&'a User>) -> Self {
        Self {
            access_token: &pair.access.token,
            token_type: "Bearer",
            expires_in: pair.access.expires_in.as_secs(),
            refresh_token: &pair.refresh,
            refresh_expires_in: pair.refresh_expires_in,
            session_id: pair.session,
            user: user.map(UserAnswer::of),
        }
    }
}

/// Who somebody is.
#[derive(Serialize)]
pub struct UserAnswer<'a> {
    id: UserId,
    username: &'a str,
    roles: Vec<&'a str>,
}

impl<'a> UserAnswer<'a> {
    /// A user with these roles.
    pub fn new(id: UserId, username: &'a str, roles: Vec<&'a str>) -> Self {
        Self { id, username, roles }
    }

    fn of(user: &'a User) -> Self {
        Self::new(user.id, user.profile.username.as_str(), user.profile.roles.iter().collect())
    }
}

/// A user as administrators see it.
#[derive(Serialize)]
pub struct AdminUserAnswer<'a> {
    #[serde(flatten)]
    user: UserAnswer<'a>,
    disabled: bool,
    attributes: &'a Attributes,
    created_at: String,
}

impl<'a> AdminUserAnswer<'a> {
    /// All about a user but the password.
    pub fn of(user: &'a User) -> Self {
        Self {
            user: UserAnswer::of(user),
            disabled: user.disabled,
            attributes: &user.profile.attributes,
            created_at: rfc3339(user.created_at.seconds()),
        }
    }
}

/// A device on which a user is signed in.
#[derive(Serialize)]
pub struct SessionAnswer {
    session_id: SessionRef,
    device_name: Option<String>,
    user_agent: Option<String>,
    address: Option<String>,
    signed_in_at: String,
    last_seen_at: String,
    current: bool,
}

impl SessionAnswer {
    /// A session of `user`; `current` is the caller's own.
    pub fn of(session: StoredSession, user: UserId, current: SessionRef) -> Self {
        let session_id = SessionRef { user, session: session.id };
        Self {
            session_id,
            device_name: session.details.device_name,
            user_agent: session.details.user_agent,
            address: session.details.address,
            signed_in_at: rfc3339(session.record.signed_in_at),
            last_seen_at: rfc3339(last_seen(&session.record)),
            current: session_id == current,
        }
    }
}

/// The time of the last rotation, to five minutes: users see when a device was used, not what it did.
fn last_seen(record: &SessionRecord) -> UnixSeconds {
    let seconds = record.rotated_at.seconds().0;
    UnixSeconds(seconds - seconds % 300)
}

/// One page of a list.
#[derive(Serialize)]
pub struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The first `limit` of `items`; if there are more, a cursor made from the last one on the page.
    pub fn new(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = if more { items.last().map(cursor) } else { None };
        Self { items, next_cursor }
    }

    /// The same page with other items.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next_cursor: self.next_cursor }
    }
}

impl<T> Page<T> {
    /// The page's items.
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// The cursor of the next page.
    pub fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}
