//! `GET /`: what this is and where to go.

use actix_web::http::header::{ACCEPT, VARY};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

const PAGE: &str = include_str!("root.html");

/// Answers 200, to browsers with a page and to everyone else with JSON.
pub async fn root(request: HttpRequest) -> HttpResponse {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let mut response = HttpResponse::Ok();
    response.insert_header((VARY, "Accept"));
    if accept.contains("text/html") {
        return response
            .content_type("text/html; charset=utf-8")
            .insert_header((
                "Content-Security-Policy",
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            ))
            .insert_header(("Referrer-Policy", "no-referrer"))
            .body(PAGE);
    }
    response.json(json!({
        "name": "Relatch",
        "version": env!("CARGO_PKG_VERSION"),
        "about": "Issues, rotates and revokes access and refresh tokens.",
        "sign_in": "POST /login",
        "refresh": "POST /token/refresh",
        "sign_out": "POST /logout",
        "check": "GET /auth/check",
        "sessions": "GET /sessions",
        "users": "GET /admin/users",
        "revoke": "POST /admin/revoke",
        "public_keys": "GET /.well-known/jwks.json",
        "health": "GET /health/ready",
    }))
}
