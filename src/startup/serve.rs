//! Listeners: from a socket to the application.
//!
//! As `actix_web::HttpServer` puts them together, but with a connection that is over when its last request is
//! ([`served`]).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::h1::{ExpectHandler, UpgradeHandler};
use actix_http::{Extensions, HttpServiceBuilder, Request, Response, TlsAcceptorConfig};
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, apply_fn_factory, map_config,
};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;

use super::StartError;
use super::tls::Certificate;
use crate::http::crowding::Crowding;
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
/// How long a client may take to agree upon how to encrypt.
const HANDSHAKE: Duration = Duration::from_secs(5);

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
        for socket in self.sockets {
            let (application, crowding) = (application.clone(), crowding.clone());
            let stopping = server.graceful_shutdown_signal();
            let answering = move || {
                let factory = application().into_factory();
                let factory = factory.map_err(|error: actix_web::Error| error.error_response());
                map_config(factory, |()| AppConfig::default())
            };
            server = match &self.certificate {
                None => listen(server, socket, move || {
                    let http = http(&stopping, &crowding, |stream: &TcpStream| stream.peer_addr().ok());
                    http.finish(answering()).tcp()
                }),
                Some(certificate) => {
                    let config = certificate.config()?;
                    listen(server, socket, move || {
                        let http = http(&stopping, &crowding, |stream: &TlsStream<TcpStream>| {
                            stream.get_ref().0.peer_addr().ok()
                        });
                        let accepting = TlsAcceptorConfig::default().handshake_timeout(HANDSHAKE);
                        http.finish(answering()).rustls_0_23_with_config(config.clone(), accepting)
                    })
                }
            }
            .map_err(StartError::Listen)?;
        }
        Ok(server.run())
    }
}

/// Has the service of each connection to a socket brought to its end.
fn listen<F, S>(server: ServerBuilder, socket: TcpListener, service: F) -> std::io::Result<ServerBuilder>
where
    F: Fn() -> S + Send + Clone + 'static,
    S: ServiceFactory<TcpStream, Config = (), InitError = ()> + 'static,
    S::Error: 'static,
    S::Response: 'static,
    <S::Service as Service<TcpStream>>::Future: 'static,
{
    let name = format!("{:?}", socket.local_addr()?);
    server.listen(name, socket, move || {
        apply_fn_factory(service(), |stream: TcpStream, service: &S::Service| served(service.call(stream)))
    })
}

/// How HTTP is spoken on a connection, and that it is counted for the address that it comes from.
fn http<T, S>(
    stopping: &GracefulShutdownSignal,
    crowding: &Arc<Crowding>,
    peer: fn(&T) -> Option<SocketAddr>,
) -> HttpServiceBuilder<T, S, ExpectHandler, UpgradeHandler>
where
    S: ServiceFactory<Request, Config = ()>,
    S::Error: Into<Response<BoxBody>> + 'static,
    S::InitError: std::fmt::Debug,
    <S::Service as Service<Request>>::Future: 'static,
    T: 'static,
{
    let (stopping, crowding) = (stopping.clone(), crowding.clone());
    HttpServiceBuilder::default()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD)
        .client_disconnect_timeout(DISCONNECT)
        .on_connect_ext(move |connection, extensions: &mut Extensions| {
            if let Some(counted) = peer(connection).and_then(|peer| crowding.connected(peer.ip())) {
                extensions.insert(counted);
            }
        })
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
