//! `POST /admin/revoke`: an administrator ends sessions.

use actix_web::{HttpResponse, web};
use relatch_domain::UnixSeconds;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::app::revoke::{Revoked, Target, revoke as revoke_target};
use crate::http::answer::rfc3339;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::extract::{Admin, ClientOrigin, Json, Then};

/// Longest free-text reason, in characters.
const MAX_REASON: usize = 256;

/// The body of a revocation: exactly one of the first seven.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    session_id: Option<String>,
    user_id: Option<String>,
    username: Option<String>,
    refresh_token: Option<SecretString>,
    access_token: Option<SecretString>,
    client_id: Option<String>,
    /// RFC 3339, in whole seconds: a fraction is cut.
    signed_in_before: Option<String>,
    reason: Option<String>,
}

/// Answers 200 with the number of live sessions that have ended; 404 for whom or what does not exist. For
/// `signed_in_before` it answers 202 with the cutoff that is in force now, which may be later than the one asked for.
///
/// # Errors
/// The documented problems.
pub async fn revoke(
    app: web::Data<App>,
    origin: ClientOrigin,
    request: Then<Admin, Json<Body>>,
) -> Answer<HttpResponse> {
    let Then(Admin(admin), Json(mut body)) = request;
    let origin = origin.0.by(admin.actor());
    let reason = reason(body.reason.take())?;
    match revoke_target(&app, &origin, target(&body)?, reason).await? {
        Revoked::Ended(count) => Ok(HttpResponse::Ok().json(json!({ "revoked_sessions": count }))),
        Revoked::Cutoff(cutoff) => Ok(HttpResponse::Accepted().json(json!({ "cutoff": rfc3339(cutoff) }))),
        Revoked::InFuture => Err(ApiError::invalid_field(SIGNED_IN_BEFORE, "lies in the future")),
        Revoked::NotDurable => Err(ApiError::not_durable()),
        Revoked::Unknown => Err(ApiError::new(Code::NotFound)),
    }
}

const SIGNED_IN_BEFORE: &str = "signed_in_before";

fn target(body: &Body) -> Answer<Target<'_>> {
    let signed_in_before = body.signed_in_before.as_deref().map(point_in_time).transpose();
    let targets = [
        body.session_id.as_deref().map(Target::Session),
        body.user_id.as_deref().map(Target::User),
        body.username.as_deref().map(Target::Username),
        body.refresh_token.as_ref().map(|token| Target::RefreshToken(token.expose_secret())),
        body.access_token.as_ref().map(|token| Target::AccessToken(token.expose_secret())),
        body.client_id.as_deref().map(Target::Client),
        signed_in_before?.map(Target::SignedInBefore),
    ];
    let mut named = targets.into_iter().flatten();
    match (named.next(), named.next()) {
        (Some(target), None) => Ok(target),
        _ => Err(ApiError::invalid_request(
            "name exactly one of session_id, user_id, username, refresh_token, access_token, client_id and \
             signed_in_before",
        )),
    }
}

fn point_in_time(text: &str) -> Answer<UnixSeconds> {
    let at = crate::rfc3339::parse(text);
    let at = at.ok_or_else(|| ApiError::invalid_field(SIGNED_IN_BEFORE, "is not a time in RFC 3339"))?;
    // What 32 bits cannot hold comes out as the last second that they can: that lies in the future as well.
    Ok(at.seconds())
}

fn reason(reason: Option<String>) -> Answer<Option<String>> {
    match reason {
        Some(reason) if reason.chars().count() > MAX_REASON => {
            Err(ApiError::invalid_field("reason", "has more than 256 characters"))
        }
        reason => Ok(reason),
    }
}
