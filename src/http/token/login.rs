//! `POST /login`: a session for a user name and a password.

use actix_web::{HttpResponse, web};
use relatch_domain::session::Delivery;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::deliver::{access_cookie, deliver};
use super::described::SignedInPair;
use crate::app::App;
use crate::app::sign_in::{SignIn, SignedIn, sign_in};
use crate::http::answer::Welcome;
use crate::http::cookie::TokenCookie;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::{ClientOrigin, Cookies, Json};
use crate::http::openapi::{problems, tag, types};

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
    #[schema(required = false, schema_with = types::delivery)]
    delivery: Delivery,
    /// What an earlier sign-in of the same user on this device was given: it has a budget of failures of its own then. One that is
    /// not genuine counts for nothing.
    #[schema(examples(
        "rld1_AQGh_atqB3hvmX7Q2g4mRrYXrBXrWK9ZmRs0v1bHfWkZZSqf0KQ1q7cPq0hV2nYw3o4uVwYpX2k7Jm8"
    ))]
    device_token: Option<String>,
}

problems!(SignInProblems: Json<Body>, App; InvalidCredentials, CrossSiteRequest, TokenTooLarge,
    TooManyAttempts);

/// Answers 200 with the pair, by the delivery that was asked for, and the user; 401 `invalid_credentials`.
///
/// # Errors
/// The documented problems.
#[utoipa::path(
    post, path = "/login", operation_id = "signIn", tag = tag::TOKENS,
    summary = "Sign in",
    description = "Begins a session on a device, with a pair of tokens. Wrong password, unknown user and disabled user \
        are one answer. After too many failures the next try has to wait (429), whoever's name it is; a device on \
        which the user has signed in before has a budget of its own. With delivery `hybrid` or `cookie` the refresh token goes into an `HttpOnly` cookie. The \
        session of a refresh cookie that came with the request is replaced.",
    security(()),
    request_body(content = Body, examples(
        ("body" = (summary = "An app", value = json!({
            "username": "ada", "password": "a long walk on the pier", "device_name": "phone",
        }))),
        ("hybrid" = (summary = "A page that calls APIs with Bearer", value = json!({
            "username": "ada", "password": "a long walk on the pier", "delivery": "hybrid",
        }))),
        ("cookie" = (summary = "A site of the same server", value = json!({
            "username": "ada", "password": "a long walk on the pier", "delivery": "cookie",
        }))),
    )),
    responses(SignedInPair, SignInProblems),
)]
pub async fn login(
    app: web::Data<App>,
    origin: ClientOrigin,
    cookies: Cookies,
    body: Json<Body>,
) -> Answer<HttpResponse> {
    let Json(body) = body;
    let Earlier { refresh_token, left_over } = earlier(&cookies, body.delivery)?;
    let request = SignIn {
        username: &body.username,
        password: body.password.expose_secret(),
        device_name: device_name(body.device_name)?,
        delivery: body.delivery,
        cookie_room: access_cookie(body.delivery).map(TokenCookie::max_value),
        device_token: body.device_token.as_deref().or_else(|| device_cookie(&cookies, body.delivery)),
        earlier: refresh_token,
        origin: origin.0,
    };
    match sign_in(&app, request).await? {
        SignedIn::Yes(signed_in) => {
            let (user, pair, device_token) = *signed_in;
            let welcome = Welcome { user: &user, device_token: &device_token };
            deliver(&pair, Some(&welcome), &left_over)
        }
        SignedIn::TooMany(wait) => Err(ApiError::too_many_attempts(wait)),
        SignedIn::TooOften(wait) => Err(ApiError::new(Code::TooManyRequests).wait(wait)),
        SignedIn::TooLarge => Err(ApiError::new(Code::TokenTooLarge)),
        SignedIn::No => Err(ApiError::new(Code::InvalidCredentials)),
    }
}

fn device_cookie(cookies: &Cookies, delivery: Delivery) -> Option<&str> {
    cookies.device_token().filter(|_| delivery != Delivery::Body)
}

/// What an earlier sign-in has left in the browser.
struct Earlier<'a> {
    refresh_token: Option<&'a str>,
    /// The access cookie of the other delivery.
    left_over: Vec<TokenCookie>,
}

/// What a sign-in by cookies replaces. Asked before anything else: another site must not sign anybody in, or out.
fn earlier(cookies: &Cookies, delivery: Delivery) -> Answer<Earlier<'_>> {
    let other = match delivery {
        Delivery::Body => return Ok(Earlier { refresh_token: None, left_over: Vec::new() }),
        Delivery::Hybrid => TokenCookie::Access,
        Delivery::Cookie => TokenCookie::Pair,
    };
    cookies.may_be_set()?;
    let refresh_token = cookies.credential(TokenCookie::Refresh)?;
    Ok(Earlier { refresh_token, left_over: cookies.to_clear(&[other])? })
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
