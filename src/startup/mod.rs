//! From settings to a running server. Tests come in by the same door as production: [`Server::build`].

mod background;
mod bootstrap;
mod doctor;
mod error;
mod examine;
mod handshakes;
mod io;
mod join;
mod keeper;
mod listen;
mod master_key;
mod offline;
mod owed;
mod parts;
mod serve;
mod stop;
mod supervisor;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App as HttpApp, web};

use crate::ambient::Clock;
use crate::app::App;
use crate::app::cutoff::sweep_when_ordered;
use crate::app::history::write_histories;
use crate::app::journal::tend_journal;
use crate::http::cross_site::Origins;
use crate::http::crowding::{AddressLimits, Crowding};
use crate::http::forwarded::TrustedProxies;
use crate::http::hosts::Hosts;
use crate::http::middleware::envelope::envelope;
use crate::http::routes;
use crate::operator::socket::AdminSocket;
use crate::settings::{Settings, WebOrigin};
use background::Background;
use keeper::Keeper;
use serve::Listener;
use stop::{asked_to_stop_twice, outlive_terminal};
use tls::Certificate;

pub use doctor::examine_store;
pub use error::{NotJoined, NotOurStore, StartError};
pub use listen::NoListener;
pub use master_key::NoMasterKey;
pub use offline::{OpenStore, copy_store, open_store};
pub use parts::{Backend, Parts};
pub use stop::Stop;

/// What the server is given besides its settings.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// The clock by which everything goes, Redis included; the machine's (and Redis' own) if there is none.
    pub clock: Option<Arc<dyn Clock>>,
    /// The server's own clock where it is to be another than Redis': for tests of clocks that are not in step.
    pub own_clock: Option<Arc<dyn Clock>>,
    /// Whom to tell what the operator must know and no log may hold.
    pub announce: Option<Announce>,
    /// Where to write the address once the server answers.
    pub ready_file: Option<PathBuf>,
    /// Whether to stop on SIGINT and SIGTERM.
    pub signals: bool,
}

/// Tells the operator something.
///
/// # Errors
/// If there is nobody to be told. A password that could not be shown does not become anybody's.
pub type Announce = Arc<dyn Fn(&Announcement) -> std::io::Result<()> + Send + Sync>;

/// What the operator is told.
#[derive(Debug)]
pub enum Announcement {
    /// There was no user at all: an administrator has been made.
    AdministratorMade {
        /// The name.
        username: String,
        /// The password, if it was made up and not configured. Shown this once.
        password: Option<secrecy::SecretString>,
    },
    /// The server listens.
    Listening {
        /// `http`, or `https` if the main listener speaks TLS.
        scheme: &'static str,
        /// The main listener's addresses.
        main: Vec<SocketAddr>,
        /// The operators' listener's addresses.
        ops: Vec<SocketAddr>,
    },
}

/// A server that is bound to its addresses and about to serve.
pub struct Server {
    main: actix_web::dev::Server,
    ops: actix_web::dev::Server,
    addresses: Vec<SocketAddr>,
    ops_addresses: Vec<SocketAddr>,
    background: Background,
    ready_file: Option<PathBuf>,
    signals: bool,
    app: App,
    stop_delay: Duration,
}

impl Server {
    /// Opens the store, binds the listeners, and joins the store.
    ///
    /// With Redis the store need not be there yet: the server answers 503 until it has joined it. What it finds there
    /// may still turn out not to be its own; it then stays unready and says why in the log.
    ///
    /// # Errors
    /// Why the server cannot start, in words for its operator.
    pub async fn build(settings: &Settings, surroundings: Surroundings) -> Result<Self, StartError> {
        let parts = Parts::open(settings, surroundings.clock).await?.with_own_clock(surroundings.own_clock);
        let parts = Arc::new(parts);
        let announce = surroundings.announce.clone();
        let certificate = settings.http.tls.as_ref().map(Certificate::load).transpose()?;
        let main_sockets = listen::bind("http.listen", settings.http.listen)?;
        let ops_sockets = listen::bind("ops.listen", settings.ops.listen)?;
        let addresses = listen::addresses(&main_sockets)?;
        let ops_addresses = listen::addresses(&ops_sockets)?;
        let admin_socket = bind_admin_socket(&parts).await?;
        // What can fail has been done: now the first administrator may be shown a password.
        let mut keeper = Keeper::new(parts.clone(), announce.clone());
        keeper.at_start().await?;
        if let Some(announce) = &announce {
            let scheme = if certificate.is_some() { "https" } else { "http" };
            let (main, ops) = (addresses.clone(), ops_addresses.clone());
            // Nothing depends on it.
            let _ = announce(&Announcement::Listening { scheme, main, ops });
        }

        let mut background = Background::default();
        background.spawn(keeper.keep());
        let following = parts.app();
        background.spawn(async move { join::follow_keys(&following).await });
        background.spawn(doctor::look_now_and_then(doctor::Patient::of(settings), parts.clone()));
        let writing = parts.app();
        background.spawn(async move { write_histories(&writing).await });
        let tending = parts.app();
        background.spawn(async move { tend_journal(&tending).await });
        let sweeping = parts.app();
        background.spawn(async move { sweep_when_ordered(&sweeping).await });
        if let Some(socket) = admin_socket {
            background.take_commands(socket, parts.app());
        }
        if let Some(certificate) = &certificate {
            background.spawn(certificate.clone().follow());
        }

        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let doorway = Doorway::of(settings);
        // No page has business with the operators' listener, and nobody else either.
        let ops_doorway = Doorway {
            origins: web::Data::default(),
            crowding: web::Data::default(),
            hosts: Some(web::Data::new(Hosts::new(&settings.ops.allowed_hosts))),
            ..doorway.clone()
        };
        let main = Listener { sockets: main_sockets, certificate, workers };
        let main = serve(&parts, doorway, main, routes::main_listener)?;
        let ops = Listener { sockets: ops_sockets, certificate: None, workers: 1 };
        let ops = serve(&parts, ops_doorway, ops, routes::ops_listener)?;
        Ok(Self {
            main,
            ops,
            addresses,
            ops_addresses,
            background,
            ready_file: surroundings.ready_file,
            signals: surroundings.signals,
            app: parts.app(),
            stop_delay: settings.http.stop_delay,
        })
    }

    /// The main listener's first address.
    pub fn address(&self) -> SocketAddr {
        first(&self.addresses)
    }

    /// The operators' listener's first address.
    pub fn ops_address(&self) -> SocketAddr {
        first(&self.ops_addresses)
    }

    /// A handle by which the server can be stopped.
    pub fn stop(&self) -> Stop {
        Stop::of(vec![self.main.handle(), self.ops.handle()])
    }

    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// If the ready file cannot be written, or the listeners break.
    pub async fn run(mut self) -> std::io::Result<()> {
        let (stop, address) = (self.stop(), self.address());
        let main = actix_web::rt::spawn(self.main);
        let ops = actix_web::rt::spawn(self.ops);
        if let Some(path) = &self.ready_file {
            listen::write_ready_file(path, address)?;
        }
        if self.signals {
            self.background.spawn(outlive_terminal());
            supervisor::listening();
        }
        let background = &mut self.background;
        let to_the_end = async {
            let ended = main.await.map_err(std::io::Error::other)?;
            stop.now();
            let _ = ops.await;
            background.finish_commands().await;
            ended
        };
        tokio::select! {
            ended = to_the_end => ended,
            // Whoever asks twice does not want to wait: what is under way ends with the process.
            () = asked_to_stop_twice(&stop, &self.app.node, self.stop_delay), if self.signals => Ok(()),
        }
    }
}

async fn bind_admin_socket(parts: &Parts) -> Result<Option<AdminSocket>, StartError> {
    let Some(path) = &parts.admin_socket else { return Ok(None) };
    let socket = AdminSocket::bind(path).await;
    socket.map(Some).map_err(|source| StartError::AdminSocket { path: path.clone(), source })
}

/// The first of the addresses of a listener: `listen::bind` gives at least one.
fn first(addresses: &[SocketAddr]) -> SocketAddr {
    addresses.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
}

/// What stands before the routes of a listener, in all its workers.
#[derive(Clone)]
pub struct Doorway {
    /// From which pages it is called.
    pub origins: web::Data<Origins>,
    /// Whose word counts about who is calling.
    pub proxies: web::Data<TrustedProxies>,
    /// How much one address may ask for.
    pub crowding: web::Data<Crowding>,
    /// By which names it may be asked; by any, if there are none.
    pub hosts: Option<web::Data<Hosts>>,
}

impl Doorway {
    /// That of the main listener.
    pub fn of(settings: &Settings) -> Self {
        let proxies = Arc::new(TrustedProxies::new(settings.http.trusted_proxies.clone()));
        let limits = &settings.rate_limit;
        let of_address = limits.enabled.then_some(AddressLimits {
            burst: limits.address_requests,
            interval: limits.address_request_interval,
            connections: settings.http.max_connections_per_address,
        });
        let listed = settings.http.allowed_origins.iter().map(WebOrigin::as_str);
        Self {
            origins: web::Data::new(Origins::new(settings.issuer.origin(), listed)),
            crowding: web::Data::new(Crowding::new(of_address, proxies.clone())),
            proxies: web::Data::from(proxies),
            hosts: None,
        }
    }
}

/// Serves the application's routes on a listener.
fn serve(
    parts: &Arc<Parts>,
    doorway: Doorway,
    listener: Listener,
    routes: fn(&mut web::ServiceConfig),
) -> Result<actix_web::dev::Server, StartError> {
    let (parts, crowding) = (parts.clone(), doorway.crowding.clone().into_inner());
    listener.serve(&crowding, move || application(parts.app(), doorway.clone(), routes))
}

/// An application that has joined its store, without listeners: for [`application`] in the same process.
///
/// # Errors
/// As [`Server::build`]; a Redis has to be there.
pub async fn joined_app(settings: &Settings) -> Result<App, StartError> {
    let parts = Arc::new(Parts::open(settings, None).await?);
    Keeper::new(parts.clone(), None).at_start().await?;
    Ok(parts.app())
}

/// What each worker serves: the routes, and what stands before them.
pub fn application(
    app: App,
    doorway: Doorway,
    routes: fn(&mut web::ServiceConfig),
) -> HttpApp<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let hosts = doorway.hosts;
    HttpApp::new()
        .configure(move |config| {
            if let Some(hosts) = hosts {
                config.app_data(hosts);
            }
        })
        .app_data(web::Data::new(app))
        .app_data(doorway.origins)
        .app_data(doorway.proxies)
        .app_data(doorway.crowding)
        .wrap(from_fn(envelope))
        .configure(routes)
}

/// Runs a future on a runtime that servers can live on, until it is done.
pub fn block_on<F: Future>(future: F) -> F::Output {
    actix_web::rt::System::new().block_on(future)
}
