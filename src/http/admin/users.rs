//! `/admin/users`: users, created, found and deleted.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use relatch_domain::attributes::{AttributeValue, Attributes, Named};
use relatch_domain::base64url;
use relatch_domain::user::{Role, Roles, User, Username};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::delete_user::{Deleted, delete_user};
use crate::app::users::{NewAccount, create_user, find_user, new_password, search_users};
use crate::http::answer::{AdminUserAnswer, Page};
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::query::{Limit, read_cursor};
use crate::http::extract::{Admin, ClientOrigin, Json, NoParams, Query, Then, named};
use crate::http::openapi::{problems, tag, types};
use crate::store::UserCreation;

/// A user to be created.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewUser)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// 1 to 128 bytes in the form in which names are compared; `Ada` and `ada` are one (RFC 8265).
    #[schema(min_length = 1, max_length = 128, examples("ada"))]
    username: String,
    /// At least `password.min_length` characters, and not one that everybody uses.
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 1024,
             examples("a long walk on the pier"))]
    password: SecretString,
    /// `["user"]` if nothing is said.
    #[schema(value_type = Option<Vec<types::Role>>, max_items = 32)]
    roles: Option<BTreeSet<String>>,
    /// What the application keeps with the user: at most 1,024 bytes of JSON.
    #[schema(required = false, schema_with = crate::http::openapi::attributes::all)]
    attributes: Option<Named<AttributeValue>>,
    /// Whether sign-in is refused until somebody changes that.
    #[serde(default)]
    #[schema(examples(false))]
    disabled: bool,
}

/// The query of the list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchParams {
    /// The beginning of a user name, whatever its case, or a whole user id.
    #[serde(default)]
    #[param(value_type = Option<String>, nullable = false, example = "ad")]
    query: String,
    /// How many items.
    #[serde(default)]
    #[param(value_type = Option<u8>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
}

problems!(CreateProblems: Admin, Query<NoParams>, Json<Body>; UsernameTaken, CrossSiteRequest);
problems!(GetProblems: Admin, Query<NoParams>; NotFound);
problems!(ListProblems: Admin, Query<SearchParams>);
problems!(DeleteProblems: Admin, Query<NoParams>; NotFound, LastAdministrator, CrossSiteRequest);

/// `POST /admin/users`: answers 201 with the user; 409 for a name that is taken.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    post, path = "/admin/users", operation_id = "createUser", tag = tag::ADMIN,
    summary = "Create a user",
    description = "The name must be free; it is compared without case.",
    security(("bearer" = []), ("accessCookie" = [])), request_body = Body,
    responses(
        (status = 201, description = "The user", body = AdminUserAnswer,
         headers(("Location" = String, description = "Where the user is found"))),
        CreateProblems,
    ),
)]
pub async fn create(
    app: web::Data<App>,
    origin: ClientOrigin,
    request: Then<Admin, Then<Query<NoParams>, Json<Body>>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), Then(_, Json(body))) = request;
    let origin = origin.0.by(admin.actor());
    let username = body.username.parse::<Username>();
    let username = username.map_err(|error| ApiError::invalid_field("username", error.to_string()))?;
    let roles = roles(&body.roles.unwrap_or_else(|| BTreeSet::from([Role::USER.to_owned()])))?;
    let attributes = Attributes::try_from(body.attributes.unwrap_or(Named(BTreeMap::new())));
    let attributes = attributes.map_err(|error| ApiError::invalid_field("attributes", error.to_string()))?;
    let password = new_password(&app, &username, body.password.expose_secret());
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
#[utoipa::path(
    get, path = "/admin/users/{id}", operation_id = "getUser", tag = tag::ADMIN,
    summary = "Show a user",
    description = "All about a user but the password.",
    security(("bearer" = []), ("accessCookie" = [])),
    params(("id" = String, Path, format = Uuid, description = "The user",
            example = "01a1fdab-6a07-786f-997e-d0ae0e2646b6")),
    responses((status = 200, description = "The user", body = AdminUserAnswer), GetProblems),
)]
pub async fn get(
    app: web::Data<App>,
    request: HttpRequest,
    _: Then<Admin, Query<NoParams>>,
) -> Answer<HttpResponse> {
    match find_user(&app, named(&request, "id")?).await? {
        Some(user) => Ok(HttpResponse::Ok().json(AdminUserAnswer::of(&user))),
        None => Err(ApiError::new(Code::NotFound)),
    }
}

/// `GET /admin/users`: answers 200 with users in the byte order of their names; with `query`, those whose name begins
/// with it, or the one whose id it is.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    get, path = "/admin/users", operation_id = "listUsers", tag = tag::ADMIN,
    summary = "List users",
    description = "In the byte order of their names: all, or those whose name begins with `query`, or the one whose id \
        it is.",
    security(("bearer" = []), ("accessCookie" = [])), params(SearchParams),
    responses((status = 200, description = "A page of users", body = Page<AdminUserAnswer>), ListProblems),
)]
pub async fn list(app: web::Data<App>, request: Then<Admin, Query<SearchParams>>) -> Answer<HttpResponse> {
    let Then(_, Query(params)) = request;
    let after = read_cursor(params.cursor.as_deref(), read_place)?;
    let limit = params.limit.get();
    let users = search_users(&app, &params.query, after, limit + 1).await?;
    let page = Page::new(users, limit, cursor);
    Ok(HttpResponse::Ok().json(page.view(AdminUserAnswer::of)))
}

/// `DELETE /admin/users/{id}`: answers 204; 404 for a user who does not exist, or no longer.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    delete, path = "/admin/users/{id}", operation_id = "deleteUser", tag = tag::ADMIN,
    summary = "Delete a user",
    description = "With all sessions. The name is free again; the id is never given to anybody else. The last administrator \
        who can sign in is not deleted.",
    security(("bearer" = []), ("accessCookie" = [])),
    params(("id" = String, Path, format = Uuid, description = "The user",
            example = "01a1fdab-6a07-786f-997e-d0ae0e2646b6")),
    responses((status = 204, description = "The user is gone"), DeleteProblems),
)]
pub async fn delete(
    app: web::Data<App>,
    request: HttpRequest,
    origin: ClientOrigin,
    caller: Then<Admin, Query<NoParams>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), _) = caller;
    match delete_user(&app, &origin.0.by(admin.actor()), named(&request, "id")?, false).await? {
        Deleted::Yes => Ok(HttpResponse::NoContent().finish()),
        Deleted::NotDurable => Err(ApiError::not_durable()),
        Deleted::Unknown => Err(ApiError::new(Code::NotFound)),
        Deleted::LastAdministrator => Err(ApiError::new(Code::LastAdministrator)),
    }
}

/// Reads the names of roles.
pub(super) fn roles(names: &BTreeSet<String>) -> Answer<Roles> {
    let roles = names.iter().map(|name| name.parse::<Role>()).collect::<Result<BTreeSet<_>, _>>();
    let roles = roles.map_err(|error| ApiError::invalid_field("roles", error.to_string()))?;
    Roles::try_from(roles).map_err(|error| ApiError::invalid_field("roles", error.to_string()))
}

fn cursor(last: &User) -> String {
    base64url::encode(last.profile.username.as_str().as_bytes())
}

fn read_place(cursor: &str) -> Option<Username> {
    let name = base64url::decode(cursor).and_then(|bytes| String::from_utf8(bytes).ok());
    name.and_then(|name| name.parse().ok())
}
