//! `GET /health/live` and `GET /health/ready`.

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::app::App;
use crate::http::error::Answer;

/// Answers 200 as long as the process can answer at all.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "live" }))
}

/// Answers 200 if keys are loaded and the store answers.
///
/// # Errors
/// 503 if not.
pub async fn ready(app: web::Data<App>) -> Answer<HttpResponse> {
    app.ready().await?;
    Ok(HttpResponse::Ok().json(json!({ "status": "ready" })))
}
