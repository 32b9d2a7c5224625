//! `GET /.well-known/jwks.json`: the public keys (RFC 7517, section 5).

use actix_web::http::header::{CACHE_CONTROL, CROSS_ORIGIN_RESOURCE_POLICY};
use actix_web::{HttpResponse, web};

use utoipa::ToSchema;

use crate::app::{App, Failure};
use crate::http::error::Answer;
use crate::http::openapi::{problems, tag};
use crate::keys::lifetimes::KEY_SET_CACHED;

/// Public keys (RFC 7517, section 5).
#[derive(ToSchema)]
pub struct JwkSet {
    /// The keys; those whose algorithm a verifier does not know are no concern of its.
    pub keys: Vec<Jwk>,
}

/// A public key (RFC 7517, section 4; RFC 7518, section 6): with `x` and `y`, with `x`, or with `n` and `e`.
#[derive(ToSchema)]
#[schema(examples(json!({
    "kty": "EC", "kid": "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U", "alg": "ES256", "use": "sig", "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
})))]
pub struct Jwk {
    /// `EC`, `OKP` or `RSA`.
    pub kty: String,
    /// The `kid` of the tokens that it verifies.
    pub kid: String,
    /// The one algorithm of the key.
    pub alg: String,
    /// Always `sig`.
    pub r#use: String,
    /// The curve.
    #[schema(nullable = false)]
    pub crv: Option<String>,
    /// A coordinate, or the whole key.
    #[schema(nullable = false)]
    pub x: Option<String>,
    /// The other coordinate.
    #[schema(nullable = false)]
    pub y: Option<String>,
    /// The modulus.
    #[schema(nullable = false)]
    pub n: Option<String>,
    /// The exponent.
    #[schema(nullable = false)]
    pub e: Option<String>,
}

problems!(JwksProblems: App);

/// Answers 200 with the public keys, to be kept for five minutes.
///
/// # Errors
/// 503 if keys are not loaded yet.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "getKeys", tag = tag::OPERATIONS,
    summary = "The public keys",
    description = "For API servers that verify access tokens by themselves. To be kept for five minutes.",
    security(()),
    responses(
        (status = 200, description = "A JWK Set", body = JwkSet, content_type = "application/jwk-set+json"),
        JwksProblems,
    ),
)]
pub async fn jwks(app: web::Data<App>) -> Answer<HttpResponse> {
    let ring = app.keys.snapshot().ok_or(Failure::NotReady)?;
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, format!("public, max-age={}", KEY_SET_CACHED.as_secs())))
        // Public keys are for everybody.
        .insert_header((CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin"))
        .content_type("application/jwk-set+json")
        .body(ring.jwks(app.clock.now())))
}
