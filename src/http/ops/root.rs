//! `GET /`: what this is and where to go.

use std::collections::BTreeMap;

use actix_web::http::header::{ACCEPT, VARY};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::openapi::{problems, tag};

const PAGE: &str = include_str!("root.html");

/// What this is and where to go.
#[derive(Serialize, ToSchema)]
#[schema(as = Root)]
pub struct RootAnswer {
    /// The program.
    #[schema(examples("Relatch"))]
    name: &'static str,
    /// Its version.
    #[schema(examples("0.1.0"))]
    version: &'static str,
    /// What it does.
    #[schema(examples("Issues, rotates and revokes access and refresh tokens."))]
    about: &'static str,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    places: BTreeMap<&'static str, &'static str>,
}

const PLACES: [(&str, &str); 11] = [
    ("sign_in", "POST /login"),
    ("refresh", "POST /token/refresh"),
    ("sign_out", "POST /logout"),
    ("check", "GET /auth/check"),
    ("sessions", "GET /sessions"),
    ("users", "GET /admin/users"),
    ("revoke", "POST /admin/revoke"),
    ("public_keys", "GET /.well-known/jwks.json"),
    ("health", "GET /health/ready"),
    ("api", "GET /openapi.json"),
    ("api_to_look_at", "GET /docs"),
];

problems!(RootProblems:);

/// Answers 200, to browsers with a page and to everyone else with JSON.
#[utoipa::path(
    get, path = "/", operation_id = "root", tag = tag::OPERATIONS,
    summary = "What this is and where to go",
    description = "A page for browsers, JSON for everyone else.",
    security(()),
    responses(
        (status = 200, description = "Where to go",
         content((RootAnswer = "application/json"), (String = "text/html"))),
        RootProblems,
    ),
)]
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
    response.json(RootAnswer {
        name: "Relatch",
        version: env!("CARGO_PKG_VERSION"),
        about: "Issues, rotates and revokes access and refresh tokens.",
        places: BTreeMap::from(PLACES),
    })
}
