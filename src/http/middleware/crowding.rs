//! Turns away what one address asks for too often.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::middleware::Next;
use actix_web::{Error, web};

use crate::http::crowding::{Connection, Crowding};
use crate::http::error::{ApiError, Code};
use crate::http::extract::origin::client_of;

/// What may be asked without end: it costs next to nothing, and one gateway asks it for everybody.
const CHEAP: [&str; 4] = ["/auth/check", "/health/live", "/health/ready", "/.well-known/jwks.json"];

/// Answers 429 to requests beyond the budget of their address (RFC 6585, section 4), and to those on connections beyond
/// what their address may have, which it closes.
///
/// # Errors
/// The refusal.
pub async fn crowding(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if request.conn_data::<Connection>().is_some_and(|connection| connection.is_one_too_many) {
        let mut refused = request.error_response(ApiError::new(Code::TooManyRequests).retry_after(1));
        refused.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        return Ok(refused.map_into_right_body());
    }
    match budget(&request) {
        Err(refused) => Ok(request.error_response(refused).map_into_right_body()),
        Ok(()) => Ok(next.call(request).await?.map_into_left_body()),
    }
}

fn budget(request: &ServiceRequest) -> Result<(), ApiError> {
    let Some(crowding) = request.app_data::<web::Data<Crowding>>() else { return Ok(()) };
    let Some(client) = client_of(request.request()) else { return Ok(()) };
    if client.is_shared {
        if crowding.is_to_be_told() {
            let address = client.address;
            tracing::warn!(
                event = "proxy_not_named",
                %address,
                "requests come through a proxy that http.trusted_proxies does not name: no limit by address holds"
            );
        }
        return Ok(());
    }
    if CHEAP.contains(&request.path()) {
        return Ok(());
    }
    let asked = crowding.asked(client.address, Instant::now());
    asked.map_err(|wait| ApiError::new(Code::TooManyRequests).wait(wait))
}
