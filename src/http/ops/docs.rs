//! `GET /openapi.json`: the description of this interface, and `GET /docs`: the same to look at. Nothing is loaded from
//! elsewhere.

use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, LOCATION};
use actix_web::{HttpRequest, HttpResponse};
use utoipa_swagger_ui::Config;

use crate::http::error::{Answer, ApiError, Code};
use crate::http::openapi;

const PAGE: &str = include_str!("docs.html");
const SCRIPT: &str = include_str!("docs.js");

/// Own files only. `data:` is for the icons in Swagger UI's style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Nothing personal, and the same until the next version is installed.
const FOR_A_WHILE: (actix_web::http::header::HeaderName, &str) = (CACHE_CONTROL, "public, max-age=300");

/// `GET /openapi.json`: answers 200 with the document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "getDocument", tag = openapi::tag::OPERATIONS,
    summary = "This document",
    description = "OpenAPI 3.1. `/docs` shows it to people.",
    security(()),
    responses((status = 200, description = "The document", body = Object, content_type = "application/json",
               example = json!({ "openapi": "3.1.0" })), DocumentProblems),
)]
pub async fn document() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(FOR_A_WHILE)
        .content_type("application/json")
        .body(openapi::document::json())
}

openapi::problems!(DocumentProblems:);

/// `GET /docs`: answers 200 with a page.
pub async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(FOR_A_WHILE)
        .insert_header(("Content-Security-Policy", POLICY))
        .insert_header(("Referrer-Policy", "no-referrer"))
        .content_type("text/html; charset=utf-8")
        .body(PAGE)
}

/// `GET /docs/{file}`: answers 200 with what the page needs. `/docs/` leads to the page.
///
/// # Errors
/// 404 for anything else.
pub async fn file(request: HttpRequest) -> Answer<HttpResponse> {
    match request.match_info().get("file").unwrap_or_default() {
        "" => Ok(HttpResponse::PermanentRedirect().insert_header((LOCATION, "../docs")).finish()),
        "docs.js" => Ok(HttpResponse::Ok()
            .insert_header(FOR_A_WHILE)
            .content_type("text/javascript; charset=utf-8")
            .body(SCRIPT)),
        name @ ("swagger-ui.css" | "swagger-ui-bundle.js") => vendored(name),
        _ => Err(ApiError::new(Code::NotFound)),
    }
}

/// A file of Swagger UI. It is kept compressed, and sent so: every browser takes it.
fn vendored(name: &str) -> Answer<HttpResponse> {
    let file = utoipa_swagger_ui::serve(name, Arc::new(Config::default())).ok().flatten();
    let file = file.ok_or_else(|| ApiError::new(Code::NotFound))?;
    let mut response = HttpResponse::Ok();
    if file.gzpipped {
        response.insert_header((CONTENT_ENCODING, "gzip"));
    }
    Ok(response.insert_header(FOR_A_WHILE).content_type(file.content_type).body(file.bytes.into_owned()))
}
