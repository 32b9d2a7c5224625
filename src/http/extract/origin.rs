//! Where a request comes from.

use std::convert::Infallible;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderValue, USER_AGENT, X_FORWARDED_FOR};
use actix_web::{FromRequest, HttpRequest, web};

use crate::app::origin::Origin;
use crate::http::forwarded::{Client, TrustedProxies};
use crate::telemetry::request::UnderWay;

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
    // Visible ASCII: cut anywhere.
    let user_agent = agent.map(|agent| agent.get(..Origin::MAX_AGENT).unwrap_or(agent).to_owned());
    let client = client_of(request);
    let (address, is_shared) =
        (client.map(|client| client.address), client.is_some_and(|client| client.is_shared));
    let under_way = UnderWay::now().map(|UnderWay { id, told }| (Some(id), told));
    let (request_id, told) = under_way.unwrap_or_default();
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
