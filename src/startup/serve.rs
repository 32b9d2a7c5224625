//! Listeners: from a socket to the application.
//!
//! As `actix_web::HttpServer` puts them together, but with a connection that is over when its last request is
//! ([`served`]).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::h1::{ExpectHandler, UpgradeHandler};
use actix_http::{Extensions, HttpServiceBuilder, Protocol, Request, Response};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, apply_fn_factory, fn_service,
    map_config,
};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::StartError;
use super::handshakes::Handshakes;
use super::io::Io;
use super::tls::Certificate;
use crate::http::crowding::Crowding;
use crate::http::exchange::Exchange;
use crate::http::guarded::Guarded;
use crate::http::middleware::to_its_end::served;

/// How long an idle connection stays open: longer than proxies keep theirs, which would otherwise send a request on a
/// connection that is just being closed.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long what is under way when the server is to stop may take.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a client may take to send a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// How long a client may take to go when the server has closed its side.
const DISCONNECT: Duration = Duration::from_secs(1);

/// Where to listen, and how.
pub(super) struct Listener {
    pub(super) sockets: Vec<TcpListener>,
    /// With one the listener speaks TLS and nothing else.
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) workers: usize,
}

impl Listener {
    /// Serves an application, of which each worker makes its own.
    pub(super) fn serve<F, A, S, B>(
        self,
        crowding: &Arc<Crowding>,
        application: F,
    ) -> Result<Server, StartError>
    where
        F: Fn() -> A + Send + Clone + 'static,
        A: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig, Error = actix_web::Error, InitError = ()> + 'static,
        S::Response: Into<Response<B>> + 'static,
        S::Future: 'static,
        <S::Service as Service<Request>>::Future: 'static,
        B: MessageBody + 'static,
    {
        let mut server = Server::build()
            .workers(self.workers)
            .shutdown_timeout(DRAIN.as_secs())
            // Each of the two listeners would end the process, whatever the other one is at.
            .disable_signals();
        let tls = self.certificate.as_ref().map(Certificate::config).transpose()?;
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let door = Door { tls, crowding: crowding.clone(), handshakes: Handshakes::default() };
        for socket in self.sockets {
            let (application, door) = (application.clone(), door.clone());
            let stopping = server.graceful_shutdown_signal();
            let name = format!("{:?}", socket.local_addr().map_err(StartError::Listen)?);
            let connections = move || {
                let factory = application().into_factory();
                let factory = factory.map_err(|error: actix_web::Error| error.error_response());
                let answering = http(&stopping).finish(map_config(factory, |()| AppConfig::default()));
                let door = door.clone();
                let entering = fn_service(move |stream: TcpStream| {
                    let door = door.clone();
                    async move { door.enter(stream).await.ok_or(()) }
                });
                let connected = entering.and_then(answering.map_err(|_| ()));
                apply_fn_factory(connected, |stream: TcpStream, service| served(service.call(stream)))
            };
            server = server.listen(name, socket, connections).map_err(StartError::Listen)?;
        }
        Ok(server.run())
    }
}

/// What a connection has to pass before HTTP is spoken on it.
#[derive(Clone)]
struct Door {
    tls: Option<TlsAcceptor>,
    crowding: Arc<Crowding>,
    handshakes: Handshakes,
}

impl Door {
    /// The connection as HTTP is spoken on it. Nothing if it comes to an end before that.
    ///
    /// One beyond what its address may have is told so by the first answer, but not by TLS: that would cost more than it
    /// deserves.
    async fn enter(self, stream: TcpStream) -> Option<(Guarded<Io>, Protocol, Option<SocketAddr>)> {
        let peer = stream.peer_addr().ok();
        // Answers are written whole.
        let _ = stream.set_nodelay(true);
        let exchange = Exchange::new(peer.and_then(|peer| self.crowding.connected(peer.ip())));
        let io = match &self.tls {
            None => Io::Plain(stream),
            Some(_) if exchange.is_one_too_many() => return None,
            Some(acceptor) => Io::Tls(Box::new(self.handshakes.shake(acceptor, stream).await?)),
        };
        Some((Guarded::new(io, exchange, HEAD), Protocol::Http1, peer))
    }
}

/// How HTTP is spoken on a connection.
fn http<S>(
    stopping: &GracefulShutdownSignal,
) -> HttpServiceBuilder<Guarded<Io>, S, ExpectHandler, UpgradeHandler>
where
    S: ServiceFactory<Request, Config = ()>,
    S::Error: Into<Response<BoxBody>> + 'static,
    S::InitError: std::fmt::Debug,
    <S::Service as Service<Request>>::Future: 'static,
{
    let stopping = stopping.clone();
    HttpServiceBuilder::default()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD)
        .client_disconnect_timeout(DISCONNECT)
        .on_connect_ext(|connection: &Guarded<Io>, extensions: &mut Extensions| {
            extensions.insert(connection.exchange().clone());
        })
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
