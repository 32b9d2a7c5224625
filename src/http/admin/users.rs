//! `/admin/users`: users, created, found, changed and deleted.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use relatch_domain::attributes::{AttributeValue, Attributes, AttributesPatch, Named};
use relatch_domain::base64url;
use relatch_domain::user::{Role, Roles, User, Username};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::user_id;
use crate::app::App;
use crate::app::change_user::{AttributesChange, Changed, Changes, change_user};
use crate::app::delete_user::{Deleted, delete_user};
use crate::app::users::{NewAccount, create_user, find_user, new_password, search_users};
use crate::http::answer::{AdminUserAnswer, Page};
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::query::Limit;
use crate::http::extract::{Admin, ClientOrigin, Json, NoParams, Query, Then};
use crate::store::UserCreation;

/// What comes with a request that takes no query but a body.
type Body<T> = Then<Query<NoParams>, Json<T>>;

/// The body of a creation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct New {
    username: String,
    password: SecretString,
    roles: Option<BTreeSet<String>>,
    attributes: Option<Named<AttributeValue>>,
    #[serde(default)]
    disabled: bool,
}

/// The body of a change: a JSON merge patch (RFC 7396) of what can be changed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    #[serde(default, deserialize_with = "given")]
    roles: Option<BTreeSet<String>>,
    #[serde(default, deserialize_with = "given")]
    disabled: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    password: Option<SecretString>,
    /// `null` removes all of them.
    #[serde(default, deserialize_with = "attributes_change")]
    attributes: Option<AttributesChange>,
}

/// The query of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    #[serde(default)]
    query: String,
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
}

/// A field that, if it is there, has a value of its type: `null` is not "absent".
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

fn attributes_change<'de, D: Deserializer<'de>>(from: D) -> Result<Option<AttributesChange>, D::Error> {
    let patch = Option::<AttributesPatch>::deserialize(from)?;
    Ok(Some(patch.map_or(AttributesChange::Clear, AttributesChange::Patch)))
}

/// `POST /admin/users`: answers 201 with the user; 409 for a name that is taken.
///
/// # Errors
/// The documented problems.
pub async fn create(
    app: web::Data<App>,
    origin: ClientOrigin,
    request: Then<Admin, Body<New>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), Then(_, Json(body))) = request;
    let origin = origin.0.by(admin.actor());
    let username = body.username.parse::<Username>();
    let username = username.map_err(|error| ApiError::invalid_field("username", error.to_string()))?;
    let roles = roles(&body.roles.unwrap_or_else(|| BTreeSet::from([Role::USER.to_owned()])))?;
    let attributes = Attributes::try_from(body.attributes.unwrap_or(Named(BTreeMap::new())));
    let attributes = attributes.map_err(|error| ApiError::invalid_field("attributes", error.to_string()))?;
    let password = new_password(&app, body.password.expose_secret());
    let password = password.map_err(|error| ApiError::invalid_field("password", error.to_string()))?;
    let account = NewAccount { username, roles, attributes, disabled: body.disabled, password };
    match create_user(&app, &origin, account).await? {
        UserCreation::Created(user) => Ok(HttpResponse::Created()
            .insert_header((LOCATION, format!("/admin/users/{}", user.id)))
            .json(AdminUserAnswer::of(&user))),
        UserCreation::NameTaken => Err(ApiError::new(Code::UsernameTaken)),
    }
}

/// `GET /admin/users/{id}`: answers 200 with the user.
///
/// # Errors
/// The documented problems.
pub async fn get(
    app: web::Data<App>,
    request: HttpRequest,
    _: Then<Admin, Query<NoParams>>,
) -> Answer<HttpResponse> {
    match find_user(&app, user_id(&request)?).await? {
        Some(user) => Ok(HttpResponse::Ok().json(AdminUserAnswer::of(&user))),
        None => Err(ApiError::new(Code::NotFound)),
    }
}

/// `GET /admin/users`: answers 200 with users in the byte order of their names; with `query`, those whose name begins
/// with it, or the one whose id it is.
///
/// # Errors
/// The documented problems.
pub async fn list(app: web::Data<App>, request: Then<Admin, Query<Params>>) -> Answer<HttpResponse> {
    let Then(_, Query(params)) = request;
    let after = params.cursor.as_deref().map(read_cursor).transpose()?;
    let limit = params.limit.get();
    let users = search_users(&app, &params.query, after, limit + 1).await?;
    let page = Page::new(users, limit, cursor);
    let items: Vec<_> = page.items().iter().map(AdminUserAnswer::of).collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items, "next_cursor": page.next_cursor() })))
}

/// `PATCH /admin/users/{id}`: answers 200 with the user as it is now. What the body does not name stays.
///
/// # Errors
/// The documented problems.
pub async fn change(
    app: web::Data<App>,
    request: HttpRequest,
    origin: ClientOrigin,
    body: Then<Admin, Body<Patch>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), Then(_, Json(patch))) = body;
    let origin = origin.0.by(admin.actor());
    let changes = changes(patch)?;
    match change_user(&app, &origin, user_id(&request)?, changes).await? {
        Changed::Yes { user, .. } => Ok(HttpResponse::Ok().json(AdminUserAnswer::of(&user))),
        Changed::NotDurable => Err(ApiError::not_durable()),
        Changed::Unknown => Err(ApiError::new(Code::NotFound)),
        Changed::InvalidAttributes(error) => Err(ApiError::invalid_field("attributes", error.to_string())),
        Changed::PasswordRefused(error) => Err(ApiError::invalid_field("password", error.to_string())),
    }
}

/// `DELETE /admin/users/{id}`: answers 204; 404 for a user who does not exist, or no longer.
///
/// # Errors
/// The documented problems.
pub async fn delete(
    app: web::Data<App>,
    request: HttpRequest,
    origin: ClientOrigin,
    caller: Then<Admin, Query<NoParams>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), _) = caller;
    match delete_user(&app, &origin.0.by(admin.actor()), user_id(&request)?).await? {
        Deleted::Yes => Ok(HttpResponse::NoContent().finish()),
        Deleted::NotDurable => Err(ApiError::not_durable()),
        Deleted::Unknown => Err(ApiError::new(Code::NotFound)),
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
    Ok(Changes { roles, disabled, attributes, password })
}

fn roles(names: &BTreeSet<String>) -> Answer<Roles> {
    let roles = names.iter().map(|name| name.parse::<Role>()).collect::<Result<BTreeSet<_>, _>>();
    let roles = roles.map_err(|error| ApiError::invalid_field("roles", error.to_string()))?;
    Roles::try_from(roles).map_err(|error| ApiError::invalid_field("roles", error.to_string()))
}

fn cursor(last: &User) -> String {
    base64url::encode(last.profile.username.as_str().as_bytes())
}

fn read_cursor(cursor: &str) -> Answer<Username> {
    let name = base64url::decode(cursor).and_then(|bytes| String::from_utf8(bytes).ok());
    name.and_then(|name| name.parse().ok())
        .ok_or_else(|| ApiError::invalid_field("cursor", "is not one of ours"))
}
