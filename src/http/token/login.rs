//! `POST /login`: a session for a user name and a password.

use actix_web::{HttpResponse, web};
use relatch_domain::session::Delivery;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::sign_in::{SignIn, SignedIn, sign_in};
use crate::http::answer::TokenAnswer;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::{ClientOrigin, Json};
use crate::http::openapi::{problems, tag};

/// Longest device name, in characters.
const MAX_DEVICE_NAME: usize = 100;

/// A sign-in.
#[derive(Deserialize, ToSchema)]
#[schema(as = SignIn)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// The name; `Ada` and `ada` are one (RFC 8265).
    #[schema(examples("ada"))]
    username: String,
    /// The password.
    #[schema(value_type = String, format = Password, examples("a long walk on the pier"))]
    password: SecretString,
    /// What the user calls the device, for the list of sessions.
    #[schema(max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$", examples("phone"))]
    device_name: Option<String>,
    /// How the tokens reach the client.
    #[serde(default)]
    #[schema(value_type = String, default = "body", pattern = "^body$", examples("body"))]
    delivery: Delivery,
    /// Reserved for known devices; accepted, and without effect until there is such a thing.
    #[serde(rename = "device_token")]
    _device_token: Option<String>,
}

problems!(SignInProblems: Json<Body>, App; InvalidCredentials);

/// Answers 200 with the pair and the user, 401 `invalid_credentials`.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    post, path = "/login", operation_id = "signIn", tag = tag::TOKENS,
    summary = "Sign in",
    description = "Begins a session on a device, with a pair of tokens. Wrong password, unknown user and disabled user \
        are one answer.",
    security(()), request_body = Body,
    responses((status = 200, description = "The pair, and who signed in", body = TokenAnswer), SignInProblems),
)]
pub async fn login(app: web::Data<App>, origin: ClientOrigin, body: Json<Body>) -> Answer<HttpResponse> {
    let Json(body) = body;
    if body.delivery != Delivery::Body {
        return Err(ApiError::invalid_field("delivery", "this version delivers tokens in the body only"));
    }
    let request = SignIn {
        username: &body.username,
        password: body.password.expose_secret(),
        device_name: device_name(body.device_name)?,
        delivery: body.delivery,
        origin: origin.0,
    };
    match sign_in(&app, request).await? {
        SignedIn::Yes(signed_in) => {
            let (user, pair) = *signed_in;
            Ok(HttpResponse::Ok().json(TokenAnswer::new(&pair, Some(&user))))
        }
        SignedIn::No => Err(ApiError::new(Code::InvalidCredentials)),
    }
}

fn device_name(name: Option<String>) -> Answer<Option<String>> {
    let fits = |name: &String| name.chars().count() <= MAX_DEVICE_NAME && !name.chars().any(char::is_control);
    match name {
        Some(name) if !fits(&name) => {
            Err(ApiError::invalid_field("device_name", "has more than 100 characters, or control characters"))
        }
        name => Ok(name.filter(|name| !name.is_empty())),
    }
}
