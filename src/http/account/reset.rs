//! `POST /password/reset`: a new password by the token that an administrator has issued.

use actix_web::{HttpResponse, web};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::reset_password::{PasswordReset, reset_password};
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::{ClientOrigin, Json};
use crate::http::openapi::{problems, tag};

/// A new password in the place of a lost one.
#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordReset)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// The token that an administrator has issued.
    #[schema(value_type = String,
             examples("rlp1_AQGh_atqB3hvmX7Q2uDiZGYiIiIiIiIiIiIiIiIiIiIiaUMrAKz1Zk0yQ8bTn4Jd2vXxw0p5uF3c"))]
    reset_token: SecretString,
    /// At least `password.min_length` characters, and not one that everybody uses.
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 1024,
             examples("a long walk on the pier"))]
    new_password: SecretString,
}

problems!(ResetProblems: Json<Body>, App; InvalidResetToken);

/// Answers 204: the password is set, and all sessions of the user have ended.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    post, path = "/password/reset", operation_id = "resetPassword", tag = tag::ACCOUNT,
    summary = "Set a password by a reset token",
    description = "The token comes from an administrator (`POST /admin/users/{id}/reset`, or `relatch user reset`). All sessions of the user \
        end, and all device tokens are void; sign in next. A password that is refused leaves the token good.",
    security(()), request_body = Body,
    responses((status = 204, description = "The password is set"), ResetProblems),
)]
pub async fn reset(app: web::Data<App>, origin: ClientOrigin, body: Json<Body>) -> Answer<HttpResponse> {
    let Json(body) = body;
    let (token, new) = (body.reset_token.expose_secret(), body.new_password.expose_secret());
    match reset_password(&app, &origin.0, token, new).await? {
        PasswordReset::Done => Ok(HttpResponse::NoContent().finish()),
        PasswordReset::NotDurable => Err(ApiError::not_durable().detail(
            "The password is set, but the change is not known to survive a failover yet. The token is used up: sign in, and \
             ask for another one if that fails.",
        )),
        PasswordReset::InvalidToken => Err(ApiError::new(Code::InvalidResetToken)),
        PasswordReset::Refused(refused) => {
            Err(ApiError::invalid_field("new_password", refused.to_string()))
        }
    }
}
