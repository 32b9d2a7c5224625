//! `PATCH /admin/users/{id}`: an administrator changes a user.

use std::collections::BTreeSet;

use actix_web::{HttpRequest, HttpResponse, web};
use relatch_domain::attributes::AttributesPatch;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::users::roles;
use crate::app::App;
use crate::app::change_user::{AttributesChange, Changed, Changes, change_user};
use crate::http::answer::AdminUserAnswer;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::{Admin, ClientOrigin, Json, NoParams, Query, Then, named};
use crate::http::openapi::{problems, tag, types};

/// What changes about a user: a JSON merge patch (RFC 7396) with at least one of these.
#[derive(Deserialize, ToSchema)]
#[schema(as = UserPatch, min_properties = 1)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// All roles from now on.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<types::Role>, required = false, max_items = 32)]
    roles: Option<BTreeSet<String>>,
    /// Whether sign-in and refresh are refused. `true` ends all sessions.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = bool, required = false, examples(false))]
    disabled: Option<bool>,
    /// The new password. It ends all sessions.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false, format = Password, min_length = 1, max_length = 1024,
             examples("a long walk on the pier"))]
    password: Option<SecretString>,
    /// Sets attributes, and removes those that are `null` here; the others stay. `null` for all of them removes all.
    #[serde(default, deserialize_with = "attributes_change")]
    #[schema(required = false, schema_with = crate::http::openapi::attributes::patch)]
    attributes: Option<AttributesChange>,
}

/// A field that, if it is there, has a value of its type: `null` is not "absent".
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

fn attributes_change<'de, D: Deserializer<'de>>(from: D) -> Result<Option<AttributesChange>, D::Error> {
    let patch = Option::<AttributesPatch>::deserialize(from)?;
    Ok(Some(patch.map_or(AttributesChange::Clear, AttributesChange::Patch)))
}

problems!(EditProblems: Admin, Query<NoParams>, Json<Patch>; NotFound, LastAdministrator, CrossSiteRequest);

/// Answers 200 with the user as it is now. What the body does not name stays.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    patch, path = "/admin/users/{id}", operation_id = "changeUser", tag = tag::ADMIN,
    summary = "Change a user",
    description = "What the body does not name stays. Everything is in force when the answer comes: sign-in, refresh and \
        `/admin` go by it. Access tokens have new roles and attributes from the next refresh on. Of two changes at the \
        same time each holds in what it names; where both name the same field or attribute, the later one. The last \
        administrator who can sign in keeps the role `admin` and stays enabled.",
    security(("bearer" = []), ("accessCookie" = [])),
    params(("id" = String, Path, format = Uuid, description = "The user",
            example = "01a1fdab-6a07-786f-997e-d0ae0e2646b6")),
    request_body = Patch,
    responses((status = 200, description = "The user as it is now", body = AdminUserAnswer), EditProblems),
)]
pub async fn edit(
    app: web::Data<App>,
    request: HttpRequest,
    origin: ClientOrigin,
    body: Then<Admin, Then<Query<NoParams>, Json<Patch>>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), Then(_, Json(patch))) = body;
    let origin = origin.0.by(admin.actor());
    let changes = changes(patch)?;
    match change_user(&app, &origin, named(&request, "id")?, changes).await? {
        Changed::Yes { user, .. } => Ok(HttpResponse::Ok().json(AdminUserAnswer::of(&user))),
        Changed::NotDurable => Err(ApiError::not_durable()),
        Changed::Unknown => Err(ApiError::new(Code::NotFound)),
        Changed::LastAdministrator => Err(ApiError::new(Code::LastAdministrator)),
        Changed::InvalidAttributes(error) => Err(ApiError::invalid_field("attributes", error.to_string())),
        Changed::PasswordRefused(error) => Err(ApiError::invalid_field("password", error.to_string())),
    }
}

fn changes(patch: Patch) -> Answer<Changes> {
    let Patch { roles: names, disabled, password, attributes } = patch;
    if names.is_none() && disabled.is_none() && password.is_none() && attributes.is_none() {
        return Err(ApiError::invalid_request(
            "name at least one of roles, disabled, password and attributes",
        ));
    }
    let roles = names.as_ref().map(roles).transpose()?;
    Ok(Changes { roles, disabled, attributes, password, force: false })
}
