//! The parts of a server, opened once and shared by its workers: also what the command line needs when it works on a
//! store without a server.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use relatch_domain::mac::MacRing;
use relatch_domain::password_rules::Password;
use relatch_domain::user::Username;
use secrecy::{ExposeSecret as _, SecretString};

use super::error::StartError;
use super::master_key;
use crate::ambient::{Clock, Random, SystemClock};
use crate::app::node::{NodeState, StoreKind};
use crate::app::{App, Policy};
use crate::keys::lifetimes::Lifetimes;
use crate::keys::master::{MasterKey, MasterKeys};
use crate::keys::mint::AccessTokenIssuer;
use crate::keys::password::PasswordHasher;
use crate::keys::service::Keys;
use crate::settings::{RedisUrl, Settings, StoreLogin, StoreSettings, StoreUrl};
use crate::store::embedded::{EmbeddedStore, Housekeeping};
use crate::store::redis::{ClientCertificate, Gate, Login, RedisBackend, RedisSettings, TimeSource};
use crate::store::{Measured, Store};
use crate::telemetry::metrics::Metrics;

/// The store as it was configured, from which each worker takes a handle of its own.
#[derive(Clone)]
pub enum Backend {
    /// A file.
    Embedded(EmbeddedStore),
    /// A Redis.
    Redis(Box<RedisBackend>),
}

impl Backend {
    /// A handle for one worker, through the gate.
    pub fn gated_handle(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => store.handle(),
            Self::Redis(redis) => redis.gated_handle(),
        }
    }

    /// A handle for whoever examines the store, or is alone with it.
    pub fn plain_handle(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => store.handle(),
            Self::Redis(redis) => redis.handle(),
        }
    }

    /// A handle for whoever is alone with the store and only reads: of a replica as well.
    pub(super) fn reading_handle(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => store.handle(),
            Self::Redis(redis) => redis.reading_handle(),
        }
    }

    /// The same as [`Backend::plain_handle`], for whoever writes again what the store has lost.
    pub fn restoring_handle(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => store.handle(),
            Self::Redis(redis) => redis.restoring_handle(),
        }
    }

    /// What stands before a store that may be replaced by another.
    pub const fn gate(&self) -> Option<&Arc<Gate>> {
        match self {
            Self::Embedded(_) => None,
            Self::Redis(redis) => Some(redis.gate()),
        }
    }

    const fn kind(&self) -> StoreKind {
        match self {
            Self::Embedded(_) => StoreKind::Embedded,
            Self::Redis(_) => StoreKind::Redis,
        }
    }
}

/// The administrator who is made while there is no user at all.
pub(super) struct Bootstrap {
    pub(super) username: Username,
    pub(super) password: Option<Password>,
}

/// The parts of a server.
pub struct Parts {
    pub(super) backend: Backend,
    pub(super) keys: Arc<Keys>,
    pub(super) issuer: Arc<AccessTokenIssuer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Random,
    pub(super) bootstrap: Bootstrap,
    pub(super) admin_socket: Option<PathBuf>,
    macs: Arc<MacRing>,
    hasher: Arc<PasswordHasher>,
    node: Arc<NodeState>,
    policy: Policy,
}

impl Parts {
    /// Opens the store and prepares the keys. Redis need not be there yet.
    ///
    /// # Errors
    /// Why the parts do not fit together, in words for the operator.
    pub async fn open(settings: &Settings, clock: Option<Arc<dyn Clock>>) -> Result<Self, StartError> {
        let (backend, masters) = open_store(settings, clock.clone()).await?;
        let macs = Arc::new(masters.mac_ring()?);
        let access = &settings.access_token;
        let name = settings.issuer.as_str().to_owned();
        let issuer = AccessTokenIssuer::new(name, access.audience.clone(), access.ttl)?
            .with_claims(access.claims.clone());
        let hasher = PasswordHasher::start(settings.password.bcrypt_cost, settings.hasher_size(), Random);
        let hasher = Arc::new(hasher.map_err(StartError::Hasher)?);
        let clock = clock.unwrap_or_else(|| Arc::new(SystemClock));
        let lifetimes = Lifetimes { tokens: access.ttl, sessions: settings.refresh_token.absolute_ttl };
        let keys = Keys::new(masters, access.algorithm, lifetimes)
            .map_err(|error| StartError::Join(error.into()))?;
        Ok(Self {
            node: Arc::new(NodeState::started(clock.now(), backend.kind(), Metrics::of(&hasher))),
            backend,
            keys: Arc::new(keys),
            issuer: Arc::new(issuer),
            clock,
            random: Random,
            bootstrap: Bootstrap {
                username: settings.bootstrap.admin_username.clone(),
                password: settings.bootstrap.admin_password.clone(),
            },
            admin_socket: settings.admin.socket.clone(),
            macs,
            hasher,
            policy: Policy {
                rotation: settings.rotation_policy(),
                guesses: settings.rate_limit.guesses(),
                usage: settings.rate_limit.usage(),
                limits: settings.session_limits(),
                sliding: settings.access_token.sliding,
                rotate_keys_after: settings.access_token.rotate_key_after,
                require_access_token: settings.refresh_token.require_access_token,
                password_rules: settings.password_rules(),
                reset_ttl: settings.password.reset_ttl,
                reauthentication_age: settings.password.reauthentication_age,
                registration: settings.registration.enabled,
                audit_keep: settings.audit.max_records,
            },
        })
    }

    /// With a clock of the server's own, if there is one: another than its store's.
    pub(super) fn with_own_clock(self, clock: Option<Arc<dyn Clock>>) -> Self {
        let clock = clock.unwrap_or_else(|| self.clock.clone());
        Self { clock, ..self }
    }

    /// The application, with a store handle of its own.
    pub fn app(&self) -> App {
        self.app_on(self.backend.gated_handle())
    }

    /// The same, whatever the gate says.
    pub fn plain_app(&self) -> App {
        self.app_on(self.backend.plain_handle())
    }

    /// The same, for whoever writes again what the store has lost.
    pub(super) fn restoring_app(&self) -> App {
        self.app_on(self.backend.restoring_handle())
    }

    fn app_on(&self, store: Arc<dyn Store>) -> App {
        App {
            store: Arc::new(Measured::new(store, self.node.metrics.store.clone())),
            keys: self.keys.clone(),
            macs: self.macs.clone(),
            hasher: self.hasher.clone(),
            issuer: self.issuer.clone(),
            node: self.node.clone(),
            policy: self.policy.clone(),
            clock: self.clock.clone(),
            random: self.random,
        }
    }
}

async fn open_store(
    settings: &Settings,
    clock: Option<Arc<dyn Clock>>,
) -> Result<(Backend, MasterKeys), StartError> {
    let backend = open_backend(settings, &settings.store.url, clock).await?;
    let masters = match &settings.store.url {
        StoreUrl::Embedded(path) => master_keys(settings, || Ok(master_key::find_or_make(path)?))?,
        // The settings refuse it already; a key must never be made up here, each node would have its own.
        StoreUrl::Redis(_) => master_keys(settings, || Err(StartError::NoMasterKey))?,
    };
    Ok((backend, masters))
}

/// Opens the store at `url`, with all else that the settings say of stores.
pub(super) async fn open_backend(
    settings: &Settings,
    url: &StoreUrl,
    clock: Option<Arc<dyn Clock>>,
) -> Result<Backend, StartError> {
    match url {
        StoreUrl::Embedded(path) => {
            let path = path.clone();
            let clock = clock.unwrap_or_else(|| Arc::new(SystemClock));
            // Opening a file after a crash checks it first, which takes its time.
            let housekeeping = Housekeeping { policy: settings.rotation_policy(), ..Housekeeping::default() };
            let open = move || EmbeddedStore::open_with(&path, clock, housekeeping);
            let opening = tokio::task::spawn_blocking(open).await;
            let store = opening.map_err(|error| StartError::Opening(io::Error::other(error)))??;
            Ok(Backend::Embedded(store))
        }
        StoreUrl::Redis(url) => {
            let redis = redis_settings(&settings.store, url);
            let time = clock.map_or(TimeSource::Store, TimeSource::Handed);
            Ok(Backend::Redis(Box::new(RedisBackend::open(&redis, time)?)))
        }
    }
}

pub(super) fn redis_settings(store: &StoreSettings, url: &RedisUrl) -> RedisSettings {
    let login =
        |login: &StoreLogin| Login { username: login.username.clone(), password: login.password.clone() };
    RedisSettings {
        url: url.expose().into(),
        login: login(&store.login),
        sentinel_login: login(&store.sentinel_login),
        key_prefix: store.key_prefix.clone(),
        sync_replicas: store.sync_replicas,
        connect_timeout: store.connect_timeout,
        response_timeout: store.response_timeout,
        ca_file: store.ca_file.clone(),
        client_certificate: store
            .client_certificate
            .clone()
            .map(|tls| ClientCertificate { certificate_file: tls.certificate_file, key_file: tls.key_file }),
    }
}

fn master_keys(
    settings: &Settings,
    otherwise: impl FnOnce() -> Result<MasterKey, StartError>,
) -> Result<MasterKeys, StartError> {
    let read = |key, text: &SecretString| {
        MasterKey::from_base64(text.expose_secret()).map_err(|source| StartError::MasterKey { key, source })
    };
    let current = match &settings.master_key {
        Some(text) => read("master_key", text)?,
        None => otherwise()?,
    };
    let previous = settings.master_keys_previous.iter().map(|text| read("master_keys_previous", text));
    Ok(MasterKeys::new(&current, &previous.collect::<Result<Vec<_>, _>>()?)?)
}
