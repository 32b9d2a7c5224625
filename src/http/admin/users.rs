//! `/admin/users`: users, created, shown and listed.

use std::collections::BTreeSet;

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use relatch_domain::attributes::Attributes;
use relatch_domain::base64url;
use relatch_domain::user::{Role, Roles, User, Username};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::users::{create_user, find_user, list_users, new_password};
use crate::http::answer::{AdminUserAnswer, Page};
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::query::{ListParams, Query};
use crate::http::extract::{Admin, ClientOrigin, Json, Then};
use crate::http::openapi::{problems, tag};
use crate::store::{UserCreation, UserQuery};

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
    #[schema(value_type = Option<Vec<String>>, max_items = 32, examples("user"))]
    roles: Option<BTreeSet<String>>,
}

problems!(CreateProblems: Admin, Json<Body>; UsernameTaken);
problems!(GetProblems: Admin; NotFound);
problems!(ListProblems: Admin, Query<ListParams>);

/// `POST /admin/users`: answers 201 with the user; 409 for a name that is taken.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    post, path = "/admin/users", operation_id = "createUser", tag = tag::ADMIN,
    summary = "Create a user",
    description = "The name must be free; it is compared without case.",
    security(("bearer" = [])), request_body = Body,
    responses(
        (status = 201, description = "The user", body = AdminUserAnswer,
         headers(("Location" = String, description = "Where the user is found"))),
        CreateProblems,
    ),
)]
pub async fn create(
    app: web::Data<App>,
    origin: ClientOrigin,
    request: Then<Admin, Json<Body>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), Json(body)) = request;
    let origin = origin.0.by(admin.actor());
    let username = body.username.parse::<Username>();
    let username = username.map_err(|error| ApiError::invalid_field("username", error.to_string()))?;
    let roles = roles(body.roles)?;
    let password = new_password(&app, body.password.expose_secret());
    let password = password.map_err(|error| ApiError::invalid_field("password", error.to_string()))?;
    match create_user(&app, &origin, username, roles, Attributes::default(), password).await? {
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
    security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid, description = "The user",
            example = "01a1fdab-6a07-786f-997e-d0ae0e2646b6")),
    responses((status = 200, description = "The user", body = AdminUserAnswer), GetProblems),
)]
pub async fn get(app: web::Data<App>, request: HttpRequest, _: Admin) -> Answer<HttpResponse> {
    let id = request.match_info().get("id").and_then(|id| id.parse().ok());
    let Some(id) = id else { return Err(ApiError::new(Code::NotFound)) };
    match find_user(&app, id).await? {
        Some(user) => Ok(HttpResponse::Ok().json(AdminUserAnswer::of(&user))),
        None => Err(ApiError::new(Code::NotFound)),
    }
}

/// `GET /admin/users`: answers 200 with users in the byte order of their names.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    get, path = "/admin/users", operation_id = "listUsers", tag = tag::ADMIN,
    summary = "List users",
    description = "In the byte order of their names.",
    security(("bearer" = [])), params(ListParams),
    responses((status = 200, description = "A page of users", body = Page<AdminUserAnswer>), ListProblems),
)]
pub async fn list(app: web::Data<App>, request: Then<Admin, Query<ListParams>>) -> Answer<HttpResponse> {
    let Then(_, Query(params)) = request;
    let after = params.cursor.as_deref().map(read_cursor).transpose()?;
    let limit = params.limit.get();
    let users = list_users(&app, &UserQuery { after, limit: limit + 1, ..UserQuery::default() }).await?;
    let page = Page::new(users, limit, cursor);
    Ok(HttpResponse::Ok().json(page.view(AdminUserAnswer::of)))
}

fn roles(names: Option<BTreeSet<String>>) -> Answer<Roles> {
    let names = names.unwrap_or_else(|| BTreeSet::from([Role::USER.to_owned()]));
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
