//! Where a request comes from.

use std::convert::Infallible;

use actix_web::dev::Payload;
use actix_web::http::header::USER_AGENT;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use crate::app::origin::{Origin, Told};
use crate::http::middleware::envelope::RequestId;

/// The client's address and agent. Forwarding headers count for nothing: they can be made up.
pub struct ClientOrigin(pub Origin);

impl FromRequest for ClientOrigin {
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Ok(Self(origin_of(request))))
    }
}

/// Where a request comes from; the same each time that it is asked.
pub fn origin_of(request: &HttpRequest) -> Origin {
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let user_agent = agent.map(|agent| agent.chars().take(Origin::MAX_AGENT).collect());
    let address = request.peer_addr().map(|address| address.ip());
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    let known = request.extensions().get::<Told>().cloned();
    let told = known.unwrap_or_else(|| {
        let told = Told::default();
        request.extensions_mut().insert(told.clone());
        told
    });
    Origin { address, user_agent, request_id, told, ..Origin::default() }
}
