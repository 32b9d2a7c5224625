//! `GET /metrics`, on the operators' listener only.

use actix_web::{HttpResponse, web};

use crate::app::App;
use crate::http::error::{Answer, ApiError, Code};
use crate::telemetry::metrics::{CONTENT_TYPE, render};

/// Answers 200 with all metrics of this node as text (`OpenMetrics`). It asks nobody else, so it answers while the store is away.
///
/// # Errors
/// None that is known.
pub async fn metrics(app: web::Data<App>) -> Answer<HttpResponse> {
    let text = render(&app).map_err(|_| ApiError::new(Code::InternalError))?;
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(text))
}
