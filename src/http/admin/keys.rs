//! `/admin/keys`: the signing keys.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::app::keys::{KeyInfo, NotRotated, list_keys, rotate_keys};
use crate::http::answer::{Page, rfc3339};
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::query::{NoParams, Query};
use crate::http::extract::{Admin, ClientOrigin, OptionalJson, Then};
use crate::http::openapi::{problems, tag};
use crate::keys::ring::KeyState;
use crate::keys::signing::Algorithm;

/// What may be said about a rotation.
#[derive(Deserialize, Default, ToSchema)]
#[schema(as = KeyRotation, examples(json!({})))]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// The id of a key that has leaked: what it signed is good no more.
    #[schema(examples("k2Jt0cYzFZx3mXfWm1yQqv0m8m8Ck3o1N0cS8Jm9uXE"))]
    revoke: Option<String>,
}

/// A signing key, without its private part.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyAnswer {
    /// Its id, which the tokens name that it has signed.
    #[schema(examples("k2Jt0cYzFZx3mXfWm1yQqv0m8m8Ck3o1N0cS8Jm9uXE"))]
    kid: String,
    /// The algorithm by which it signs.
    #[schema(value_type = String, examples("ES256"))]
    algorithm: Algorithm,
    /// `next`: published, signs from the next rotation on; `active`: may sign; `retired`: signs no more, what it signed is good; `revoked`: what it signed is good no more.
    #[schema(value_type = String, pattern = "^(next|active|retired|revoked)$", examples("active"))]
    state: KeyState,
    /// When it was made.
    #[schema(format = DateTime, examples("2026-11-21T10:33:51Z"))]
    created_at: String,
    /// When it stopped signing; left out for a key that has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    retired_at: Option<String>,
    /// Whether the answering node signs with it.
    #[schema(examples(true))]
    signs: bool,
}

impl KeyAnswer {
    fn of(key: KeyInfo) -> Self {
        Self {
            kid: key.kid,
            algorithm: key.algorithm,
            state: key.state,
            created_at: rfc3339(key.created_at.seconds()),
            retired_at: key.retired_at.map(|at| rfc3339(at.seconds())),
            signs: key.signs,
        }
    }
}

problems!(ListProblems: Admin, Query<NoParams>);
problems!(RotateProblems: Admin, OptionalJson<Body>; CrossSiteRequest, TooManyRequests);

const NO_ROOM: &str = "So many keys were retired lately that one more would make the key set too long. Retry-After says when \
    there is room. A key that has leaked can be revoked at any time.";

/// `GET /admin/keys`: answers 200 with all signing keys: the newest first, and last the one that is to sign next.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    get, path = "/admin/keys", operation_id = "listKeys", tag = tag::ADMIN,
    summary = "List the signing keys",
    description = "All of them on one page, the newest first, and last the one that is to sign next; private parts are never shown.",
    security(("bearer" = []), ("accessCookie" = [])),
    responses((status = 200, description = "The keys", body = Page<KeyAnswer>), ListProblems),
)]
pub async fn list(app: web::Data<App>, _: Then<Admin, Query<NoParams>>) -> Answer<HttpResponse> {
    let keys = list_keys(&app).await?;
    Ok(HttpResponse::Ok().json(Page::whole(keys).map(KeyAnswer::of)))
}

/// `POST /admin/keys/rotate`: answers 201 with the key that signs now. The former one is retired: what it signed stays good.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    post, path = "/admin/keys/rotate", operation_id = "rotateKeys", tag = tag::ADMIN,
    summary = "Sign with the next key",
    description = "The key that is published to be next signs from now on: at once on the answering node, within seconds \
        on the others. The former one is retired: what it signed stays good. Another one is published to be next. Rotations \
        at the same time are one. While 16 retired keys are published, there is no room for another: 429. If a key has leaked, \
        name it in `revoke`: access tokens by it are refused within seconds, and it is gone from the key set; clients refresh and go on.",
    security(("bearer" = []), ("accessCookie" = [])), request_body = Option<Body>,
    responses((status = 201, description = "The key that signs now", body = KeyAnswer), RotateProblems),
)]
pub async fn rotate(
    app: web::Data<App>,
    origin: ClientOrigin,
    request: Then<Admin, OptionalJson<Body>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), OptionalJson(body)) = request;
    let revoke = body.revoke.as_deref();
    let key = rotate_keys(&app, &origin.0.by(admin.actor()), revoke).await?;
    let key = key.map_err(|refused| match refused {
        NotRotated::NoSuchKey => ApiError::invalid_field("revoke", "there is no such key"),
        NotRotated::NoRoom(wait) => ApiError::new(Code::TooManyRequests).detail(NO_ROOM).wait(wait),
    })?;
    Ok(HttpResponse::Created().json(KeyAnswer::of(key)))
}
