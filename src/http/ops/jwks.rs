//! `GET /.well-known/jwks.json`: the public keys (RFC 7517, section 5).

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};

use crate::app::{App, Failure};
use crate::http::error::Answer;

/// Answers 200 with the public keys, to be kept for five minutes.
///
/// # Errors
/// 503 if keys are not loaded yet.
pub async fn jwks(app: web::Data<App>) -> Answer<HttpResponse> {
    let ring = app.keys.snapshot().ok_or(Failure::NotReady)?;
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .content_type("application/jwk-set+json")
        .body(ring.jwks().to_vec()))
}
