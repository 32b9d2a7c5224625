//! Where a request comes from.

use std::convert::Infallible;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderValue, USER_AGENT, X_FORWARDED_FOR};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};

use crate::app::origin::{Origin, Told};
use crate::http::forwarded::{Client, TrustedProxies};
use crate::http::middleware::envelope::RequestId;

/// The client's address and agent. `X-Forwarded-For` counts from trusted proxies only: anybody can make it up.
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
    let client = client_of(request);
    let (address, is_shared) =
        (client.map(|client| client.address), client.is_some_and(|client| client.is_shared));
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    let known = request.extensions().get::<Told>().cloned();
    let told = known.unwrap_or_else(|| {
        let told = Told::default();
        request.extensions_mut().insert(told.clone());
        told
    });
    Origin { address, is_shared, user_agent, request_id, told, ..Origin::default() }
}

/// Who is at the other end, if it is an address at all.
pub fn client_of(request: &HttpRequest) -> Option<Client> {
    let peer = request.peer_addr()?.ip();
    let fields: Vec<_> = request.headers().get_all(X_FORWARDED_FOR).map(HeaderValue::as_bytes).collect();
    match request.app_data::<web::Data<TrustedProxies>>() {
        Some(proxies) => Some(proxies.client(peer, fields.into_iter())),
        None => Some(TrustedProxies::default().client(peer, fields.into_iter())),
    }
}
