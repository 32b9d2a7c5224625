//! How things look in JSON answers.

use relatch_domain::attributes::Attributes;
use relatch_domain::session::{Delivery, SessionRecord};
use relatch_domain::user::User;
use relatch_domain::{SessionRef, UnixSeconds, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::issue::IssuedPair;
use crate::http::openapi::types;
use crate::store::StoredSession;

/// A point in time as clients read it: RFC 3339, UTC, whole seconds.
pub fn rfc3339(at: UnixSeconds) -> String {
    crate::rfc3339::seconds(at)
}

/// A pair of tokens (RFC 6749, section 5.1, with the session's id and the refresh token's lifetime). A token that travels
/// in a cookie is not here, where scripts could read it; only the access token of delivery `hybrid` is in both.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenPair)]
pub struct TokenAnswer<'a> {
    /// A JWT (RFC 9068), for the header `Authorization`. With delivery `cookie` it is in its cookie only.
    #[schema(examples("eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIwMWEx….c2lnbmF0dXJl"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<&'a str>,
    /// Always `Bearer`.
    #[schema(examples("Bearer"))]
    token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(examples(900))]
    expires_in: u64,
    /// For one refresh. Opaque to clients. With deliveries `hybrid` and `cookie` it is in its cookie only.
    #[schema(
        pattern = "^rlt1_[A-Za-z0-9_-]+$",
        examples("rlt1_AaH9q2oHeG-ZftCuDiZGtvX0zhGwWUnUkyz7Cg9mQCQ")
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    /// Seconds until the session ends if it is not refreshed.
    #[schema(examples(1_209_600))]
    refresh_expires_in: u32,
    /// The session, for lists and revocations.
    #[schema(value_type = types::SessionId)]
    session_id: SessionRef,
    /// Who signed in; after a refresh it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserAnswer<'a>>,
    /// After a sign-in with delivery `body`: to be sent with the next sign-in of this user on this device, which then has a budget of
    /// failures of its own. No credential. With the other deliveries it is in a cookie.
    #[schema(
        pattern = "^rld1_[A-Za-z0-9_-]+$",
        examples("rld1_AQGh_atqB3hvmX7Q2g4mRrYXrBXrWK9ZmRs0v1bHfWkZZSqf0KQ1q7cPq0hV2nYw3o4uVwYpX2k7Jm8")
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    device_token: Option<&'a str>,
}

/// Who has signed in.
pub struct Welcome<'a> {
    /// The user.
    pub user: &'a User,
    /// The token by which the device will be known.
    pub device_token: &'a str,
}

impl<'a> TokenAnswer<'a> {
    /// The answer to a sign-in or a refresh. Only a sign-in tells who the user is.
    pub fn new(pair: &'a IssuedPair, welcome: Option<&Welcome<'a>>) -> Self {
        let in_body = pair.delivery == Delivery::Body;
        Self {
            access_token: (pair.delivery != Delivery::Cookie).then_some(&pair.access.token),
            token_type: "Bearer",
            expires_in: pair.access.expires_in.as_secs(),
            refresh_token: in_body.then_some(&pair.refresh),
            refresh_expires_in: pair.refresh_expires_in,
            session_id: pair.session,
            user: welcome.map(|welcome| UserAnswer::of(welcome.user)),
            device_token: welcome.filter(|_| in_body).map(|welcome| welcome.device_token),
        }
    }
}

/// Who somebody is.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserAnswer<'a> {
    /// Never given to anybody else.
    #[schema(value_type = String, format = Uuid, examples("01a1fdab-6a07-786f-997e-d0ae0e2646b6"))]
    id: UserId,
    /// The name in the form in which names are compared (RFC 8265).
    #[schema(examples("ada"))]
    username: &'a str,
    /// In alphabetical order.
    #[schema(value_type = Vec<types::Role>)]
    roles: Vec<&'a str>,
}

impl<'a> UserAnswer<'a> {
    /// A user with these roles.
    pub fn new(id: UserId, username: &'a str, roles: Vec<&'a str>) -> Self {
        Self { id, username, roles }
    }

    /// This user.
    pub fn of(user: &'a User) -> Self {
        Self::new(user.id, user.profile.username.as_str(), user.profile.roles.iter().collect())
    }
}

/// A user as administrators see it.
#[derive(Serialize, ToSchema)]
#[schema(as = AdminUser)]
pub struct AdminUserAnswer<'a> {
    #[serde(flatten)]
    user: UserAnswer<'a>,
    /// Whether sign-in and refresh are refused.
    #[schema(examples(false))]
    disabled: bool,
    /// What the application keeps with the user. Never null.
    #[schema(schema_with = crate::http::openapi::attributes::all)]
    attributes: &'a Attributes,
    /// When the user was created.
    #[schema(format = DateTime, examples("2026-11-21T10:33:51Z"))]
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
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionAnswer {
    /// The session, for revocations.
    #[schema(value_type = types::SessionId)]
    session_id: SessionRef,
    /// What the client called its device.
    #[schema(required, examples("phone"))]
    device_name: Option<String>,
    /// `User-Agent` of the sign-in.
    #[schema(required, examples("okhttp/5.1"))]
    user_agent: Option<String>,
    /// Where the sign-in came from.
    #[schema(required, examples("192.0.2.7"))]
    address: Option<String>,
    /// When the session began.
    #[schema(format = DateTime, examples("2026-11-21T10:33:52Z"))]
    signed_in_at: String,
    /// When it was last refreshed, to five minutes; never before `signed_in_at`.
    #[schema(format = DateTime, examples("2026-11-21T12:05:00Z"))]
    last_seen_at: String,
    /// Whether it is the caller's own.
    #[schema(examples(true))]
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

/// When a device was last used, to five minutes: users see when it was, not what it did. Not before the sign-in, which
/// they see to the second.
fn last_seen(record: &SessionRecord) -> UnixSeconds {
    let seconds = record.last_seen_at().0;
    UnixSeconds(seconds - seconds % 300).max(record.signed_in_at)
}

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    items: Vec<T>,
    /// For the next page; null on the last.
    #[schema(required, examples(json!(null)))]
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

    /// All items on one page.
    pub const fn whole(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }

    /// A page that was put together elsewhere.
    pub const fn of(items: Vec<T>, next_cursor: Option<String>) -> Self {
        Self { items, next_cursor }
    }

    /// The same page with other items.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next_cursor: self.next_cursor }
    }

    /// The same page with items made of references to these.
    pub fn view<'a, U>(&'a self, f: impl FnMut(&'a T) -> U) -> Page<U> {
        Page { items: self.items.iter().map(f).collect(), next_cursor: self.next_cursor.clone() }
    }
}
