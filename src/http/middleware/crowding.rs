//! Turns away what one address asks for too often.

use std::rc::Rc;
use std::time::Instant;

use actix_web::dev::ServiceRequest;
use actix_web::web;

use crate::http::crowding::Crowding;
use crate::http::error::{ApiError, Code};
use crate::http::exchange::Exchange;
use crate::http::extract::origin::client_of;

/// What may be asked without end: it costs next to nothing, and one gateway asks it for everybody.
const CHEAP: [&str; 4] = ["/auth/check", "/health/live", "/health/ready", "/.well-known/jwks.json"];

/// Whether the request came on a connection beyond what its address may have: it is answered 429 and the connection closed.
pub fn is_one_too_many(request: &ServiceRequest) -> bool {
    request.conn_data::<Rc<Exchange>>().is_some_and(|exchange| exchange.is_one_too_many())
}

/// Why a request is refused: it is beyond the budget of its address (429; RFC 6585, section 4).
pub fn refusal(request: &ServiceRequest) -> Option<ApiError> {
    if is_one_too_many(request) {
        return Some(ApiError::new(Code::TooManyRequests).retry_after(1));
    }
    budget(request).err()
}

fn budget(request: &ServiceRequest) -> Result<(), ApiError> {
    let Some(crowding) = request.app_data::<web::Data<Crowding>>() else { return Ok(()) };
    let Some(client) = client_of(request.request()) else { return Ok(()) };
    if client.is_shared && crowding.is_to_be_told() {
        let address = client.address;
        tracing::warn!(
            event = "proxy_not_named",
            %address,
            "requests come through a proxy that http.trusted_proxies does not name: all of them share its limits"
        );
    }
    if CHEAP.contains(&request.path()) {
        return Ok(());
    }
    let asked = crowding.asked(client, Instant::now());
    asked.map_err(|wait| ApiError::new(Code::TooManyRequests).wait(wait))
}
