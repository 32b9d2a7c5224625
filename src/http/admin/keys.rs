//! `/admin/keys`: the signing keys.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::App;
use crate::app::keys::{KeyInfo, list_keys, rotate_keys};
use crate::http::answer::rfc3339;
use crate::http::error::Answer;
use crate::http::extract::query::{NoParams, Query};
use crate::http::extract::{Admin, ClientOrigin, OptionalJson, Then};
use crate::keys::ring::KeyState;
use crate::keys::signing::Algorithm;

/// The body of a rotation: nothing, or an object without fields.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Body {}

#[derive(Serialize)]
struct KeyAnswer {
    kid: String,
    algorithm: Algorithm,
    state: KeyState,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_at: Option<String>,
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

/// `GET /admin/keys`: answers 200 with all signing keys, the newest first.
///
/// # Errors
/// The documented problems.
pub async fn list(app: web::Data<App>, _: Then<Admin, Query<NoParams>>) -> Answer<HttpResponse> {
    let items: Vec<_> = list_keys(&app).await?.into_iter().map(KeyAnswer::of).collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items })))
}

/// `POST /admin/keys/rotate`: answers 201 with the new key. The former one is retired: what it signed stays good.
///
/// # Errors
/// The documented problems.
pub async fn rotate(
    app: web::Data<App>,
    origin: ClientOrigin,
    request: Then<Admin, OptionalJson<Body>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), _) = request;
    let key = rotate_keys(&app, &origin.0.by(admin.actor())).await?;
    Ok(HttpResponse::Created().json(KeyAnswer::of(key)))
}
