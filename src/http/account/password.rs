//! `PUT /password`: the caller changes the own password.

use actix_web::{HttpResponse, web};
use relatch_domain::session::Delivery;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::app::change_password::{PasswordChange, change_password};
use crate::app::devices::DEVICE_TOKEN_TTL;
use crate::http::cookie::TokenCookie;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::{ClientOrigin, Cookies, Json, LiveSession, Then};
use crate::http::openapi::{problems, tag};

/// A change of password.
#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordChange)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// The password that holds so far.
    #[schema(value_type = String, format = Password, max_length = 1024, examples("correct horse battery staple"))]
    current_password: SecretString,
    /// At least `password.min_length` characters, and not one that everybody uses.
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 1024,
             examples("a long walk on the pier"))]
    new_password: SecretString,
}

/// What the caller's device is known by from now on.
#[derive(Serialize, ToSchema)]
#[schema(as = KnownDevice)]
pub struct KnownDevice<'a> {
    /// To be sent with the next sign-in of this user on this device, in the place of the one that it had.
    #[schema(
        pattern = "^rld1_[A-Za-z0-9_-]+$",
        examples("rld1_AQGh_atqB3hvmX7Q2g4mRrYXrBXrWK9ZmRs0v1bHfWkZZSqf0KQ1q7cPq0hV2nYw3o4uVwYpX2k7Jm8")
    )]
    device_token: &'a str,
}

problems!(ChangeProblems: LiveSession, Json<Body>;
    InvalidCredentials, InsufficientUserAuthentication, CrossSiteRequest, TooManyAttempts);

/// Answers 200 with a new device token, or 204 with one in its cookie: the password is changed, and the caller's other
/// sessions have ended.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    put, path = "/password", operation_id = "changePassword", tag = tag::ACCOUNT,
    summary = "Change the own password",
    description = "Ends all other sessions of the caller; this one goes on. All device tokens of the caller are void, and this \
        device gets a new one, by the delivery of the sign-in. A sign-in older than \
        `password.reauthentication_age` is answered 401 `insufficient_user_authentication`, with `max_age` in the \
        challenge (RFC 9470): sign in again, and repeat.",
    security(("bearer" = []), ("accessCookie" = [])), request_body = Body,
    responses(
        (status = 200, body = KnownDevice, description = "The password is changed, with delivery `body`"),
        (status = 204, description = "The password is changed, with delivery `hybrid` or `cookie`",
         headers(("Set-Cookie" = String, description = "The cookie `__Host-relatch-device` with the new device token"))),
        ChangeProblems,
    ),
)]
pub async fn change(
    app: web::Data<App>,
    origin: ClientOrigin,
    cookies: Cookies,
    request: Then<LiveSession, Json<Body>>,
) -> Answer<HttpResponse> {
    let Then(LiveSession(live), Json(body)) = request;
    let delivery = live.record.delivery;
    if delivery != Delivery::Body {
        cookies.may_be_set()?;
    }
    let origin = origin.0.by(live.actor());
    let (current, new) = (body.current_password.expose_secret(), body.new_password.expose_secret());
    match change_password(&app, &origin, &live, current, new).await? {
        PasswordChange::Done { device_token } => Ok(known(delivery, &device_token)),
        PasswordChange::NotDurable => Err(ApiError::not_durable().detail(
            "The password is changed, but the change is not known to survive a failover yet. Repeat the request, with \
             the new password as the current one.",
        )),
        PasswordChange::SignInTooOld(max_age) => Err(ApiError::sign_in_too_old(max_age)),
        PasswordChange::Refused(refused) => Err(ApiError::invalid_field("new_password", refused.to_string())),
        PasswordChange::WrongPassword => {
            Err(ApiError::new(Code::InvalidCredentials).detail("The current password is wrong."))
        }
        PasswordChange::TooMany(wait) => Err(ApiError::too_many_attempts(wait)),
        PasswordChange::TooOften(wait) => Err(ApiError::new(Code::TooManyRequests).wait(wait)),
        PasswordChange::UserGone => Err(ApiError::new(Code::UserDisabled)),
    }
}

/// The answer with a new device token, by the delivery of the caller's session.
fn known(delivery: Delivery, device_token: &str) -> HttpResponse {
    match delivery {
        Delivery::Body => HttpResponse::Ok().json(KnownDevice { device_token }),
        Delivery::Hybrid | Delivery::Cookie => {
            let cookie = TokenCookie::Device.with(device_token, DEVICE_TOKEN_TTL);
            HttpResponse::NoContent().cookie(cookie).finish()
        }
    }
}
