//! `POST /login` and `POST /token/refresh`, with the server's requests and answers and none of its reasoning.

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL};
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse, ResponseError, post};
use relatch_domain::attempt::AttemptKey;
use relatch_domain::ids::OriginTag;
use relatch_domain::mac::MacRing;
use relatch_domain::policy::RotationPolicy;
use relatch_domain::refresh_token::RefreshToken;
use relatch_domain::session::{Authentication, Delivery};
use relatch_domain::sign_in::{NewSession, first_record};
use relatch_domain::{ClientNumber, Nonce, SessionId, SessionRef, UnixMillis, UnixSeconds};
use serde::{Deserialize, Serialize};

use super::access_token::{AccessTokens, Claims};
use super::sessions::{Next, Sessions, user_id};
use super::{now, random};
use crate::Error;

const ISSUER: &str = "http://localhost:8080";
const ACCESS_TTL: u32 = 15 * 60;

/// What all workers share.
pub(super) struct Shared {
    /// Access tokens.
    pub(super) access_tokens: AccessTokens,
    /// Keys of the refresh tokens.
    pub(super) macs: MacRing,
    /// Lifetimes.
    pub(super) policy: RotationPolicy,
}

#[derive(Deserialize)]
struct Login {
    username: String,
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: String,
}

#[derive(Serialize)]
struct Pair<'a> {
    access_token: String,
    token_type: &'a str,
    expires_in: u32,
    refresh_token: &'a str,
    refresh_expires_in: u32,
    session_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
}

#[derive(Serialize)]
struct User<'a> {
    id: String,
    username: &'a str,
    roles: [&'a str; 1],
}

/// Why there is no pair.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("a token is missing")]
    Incomplete,
    #[error("a token is forged")]
    Forged,
    #[error("the refresh token is not the current one")]
    NotCurrent,
    #[error("the floor gave way: {0}")]
    Failed(#[from] Error),
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Incomplete => StatusCode::BAD_REQUEST,
            Self::Forged => StatusCode::UNAUTHORIZED,
            Self::NotCurrent => StatusCode::CONFLICT,
            Self::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Signs in whoever asks: the load generator needs sessions, not a password check.
#[post("/login")]
pub(super) async fn login(
    body: Json<Login>,
    shared: Data<Shared>,
    sessions: Data<Sessions>,
) -> Result<HttpResponse, Refused> {
    let now = now();
    let id = SessionId::from_bytes(random()?);
    let session = SessionRef { user: user_id(&body.username), session: id };
    let new = NewSession {
        nonce: Nonce(random()?),
        mac_key: shared.macs.minting_id(),
        delivery: Delivery::Body,
        authentication: Authentication::Password,
        client: ClientNumber::FIRST_PARTY,
        dpop_bound: false,
        origin: OriginTag::default(),
    };
    let first = first_record(&new, now, &shared.policy);
    sessions.begin(session, &first).await?;
    let user = User { id: session.user.to_string(), username: &body.username, roles: ["user"] };
    answer(&shared, &RefreshToken::current(session, &first), first.signed_in_at, now, Some(user))
}

#[post("/token/refresh")]
pub(super) async fn refresh(
    request: HttpRequest,
    body: Json<Refresh>,
    shared: Data<Shared>,
    sessions: Data<Sessions>,
) -> Result<HttpResponse, Refused> {
    let access_token = bearer(&request).ok_or(Refused::Incomplete)?;
    let presented = RefreshToken::open(&body.refresh_token, &shared.macs).map_err(|_| Refused::Forged)?;
    if !shared.access_tokens.is_genuine(access_token) {
        return Err(Refused::Forged);
    }
    let now = now();
    let next = Next {
        nonce: Nonce(random()?),
        attempt: attempt_key(&request).map(|key| key.hash(presented.session)),
        now,
        idle_deadline: now.seconds().plus(shared.policy.idle_ttl),
    };
    let seen = sessions.rotate(&presented, &next).await?.ok_or(Refused::NotCurrent)?;
    let successor = RefreshToken {
        session: presented.session,
        generation: presented.generation.next(),
        nonce: next.nonce,
        issued_at: now.seconds(),
    };
    answer(&shared, &successor, seen.signed_in_at, now, None)
}

fn answer(
    shared: &Shared,
    token: &RefreshToken,
    auth_time: UnixSeconds,
    now: UnixMillis,
    user: Option<User<'_>>,
) -> Result<HttpResponse, Refused> {
    let sid = token.session.to_string();
    let iat = now.seconds().0;
    let access_token = shared.access_tokens.mint(&Claims {
        iss: ISSUER,
        aud: ISSUER,
        sub: token.session.user.to_string(),
        sid: &sid,
        jti: SessionId::from_bytes(random()?).to_string(),
        client_id: "relatch",
        iat,
        exp: iat.saturating_add(ACCESS_TTL),
        auth_time: auth_time.0,
        roles: ["user"],
        preferred_username: "bench0",
    })?;
    let refresh_token =
        token.seal(shared.macs.minting_id(), &shared.macs).ok_or_else(|| Error::from("no MAC key"))?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Pair {
        access_token,
        token_type: "Bearer",
        expires_in: ACCESS_TTL,
        refresh_token: &refresh_token,
        refresh_expires_in: u32::try_from(shared.policy.idle_ttl.as_secs()).unwrap_or(u32::MAX),
        session_id: &sid,
        user,
    }))
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn attempt_key(request: &HttpRequest) -> Option<AttemptKey> {
    AttemptKey::parse(request.headers().get("Idempotency-Key")?.to_str().ok()?).ok()
}
