//! `POST /register`: a stranger makes an account.

use actix_web::{HttpResponse, web};
use relatch_domain::user::Username;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::register::{Registration, register as register_user};
use crate::app::users::new_password;
use crate::http::answer::UserAnswer;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::{ClientOrigin, Json, OpenRegistration, Then};
use crate::http::openapi::{problems, tag};

/// An account to be.
#[derive(Deserialize, ToSchema)]
#[schema(as = Registration)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// 1 to 128 bytes in the form in which names are compared; `Ada` and `ada` are one (RFC 8265).
    #[schema(min_length = 1, max_length = 128, examples("ada"))]
    username: String,
    /// At least `password.min_length` characters, and not one that everybody uses.
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 1024,
             examples("a long walk on the pier"))]
    password: SecretString,
}

problems!(RegisterProblems: OpenRegistration, Json<Body>, App; UsernameTaken);

/// Answers 201 with the user, who is not signed in by it; 409 for a name that is taken.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    post, path = "/register", operation_id = "register", tag = tag::ACCOUNT,
    summary = "Make an account",
    description = "Off unless `registration.enabled` is set. The account has the role `user`; sign in with it next.",
    security(()), request_body = Body,
    responses((status = 201, description = "The user", body = UserAnswer), RegisterProblems),
)]
pub async fn register(
    app: web::Data<App>,
    origin: ClientOrigin,
    request: Then<OpenRegistration, Json<Body>>,
) -> Answer<HttpResponse> {
    let Then(_, Json(body)) = request;
    let username = body.username.parse::<Username>();
    let username = username.map_err(|error| ApiError::invalid_field("username", error.to_string()))?;
    let password = new_password(&app, &username, body.password.expose_secret());
    let password = password.map_err(|error| ApiError::invalid_field("password", error.to_string()))?;
    match register_user(&app, &origin.0, username, password).await? {
        Err(wait) => Err(ApiError::new(Code::TooManyRequests).wait(wait)),
        Ok(Registration::Created(user)) => Ok(HttpResponse::Created().json(UserAnswer::of(&user))),
        Ok(Registration::NameTaken) => Err(ApiError::new(Code::UsernameTaken)),
        Ok(Registration::LooksTaken) => {
            Err(ApiError::new(Code::UsernameTaken).detail("This name looks like that of another user."))
        }
    }
}
