//! How Redis is reached: what an operator can set, and what can be wrong with it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::AsyncConnectionConfig;
use relatch_domain::UnixMillis;
use secrecy::SecretString;

use crate::ambient::Clock;

/// How Redis is reached.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// One server: `redis://[user:password@]host[:port][/database]`, `rediss://…` with TLS, or
    /// `redis+unix:///path[?db=…&user=…&pass=…]`. A primary and its replicas, watched by Sentinels:
    /// `redis+sentinel://[user:password@]host[:port],…/service[/database]`. A Cluster:
    /// `redis+cluster://[user:password@]host[:port],…`. With TLS the last two begin with `rediss+`. Kept as a secret for
    /// the password in it.
    pub url: SecretString,
    /// As whom to come to Redis. What is here wins over what is in the URL.
    pub login: Login,
    /// As whom to come to Sentinels. Nobody, if they demand nothing.
    pub sentinel_login: Login,
    /// First part of every key.
    pub key_prefix: String,
    /// Replicas that must acknowledge sign-ins and security-relevant writes.
    pub sync_replicas: u8,
    /// How long to wait for a connection, TLS and authentication included.
    pub connect_timeout: Duration,
    /// How long to wait for an answer.
    pub response_timeout: Duration,
    /// PEM file of the certificate authorities to trust with TLS, instead of the platform's.
    pub ca_file: Option<PathBuf>,
    /// What to show to a server that asks for certificates.
    pub client_certificate: Option<ClientCertificate>,
}

impl RedisSettings {
    /// The settings for this URL, all else as it is by default.
    pub fn at(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            login: Login::default(),
            sentinel_login: Login::default(),
            key_prefix: "relatch".to_owned(),
            sync_replicas: 0,
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_millis(500),
            ca_file: None,
            client_certificate: None,
        }
    }
}

/// As whom to come. Redis takes a password without a name for that of its user `default`.
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// The name of an ACL user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
}

/// A certificate of our own.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// PEM file of the certificate, with those between it and the authority.
    pub certificate_file: PathBuf,
    /// PEM file of its private key.
    pub key_file: PathBuf,
}

/// Whose clock the steps go by.
#[derive(Clone)]
pub enum TimeSource {
    /// The Redis server's, the same for all nodes.
    Store,
    /// This one: for tests.
    Handed(Arc<dyn Clock>),
}

impl TimeSource {
    /// The time, if it is handed in.
    pub(super) fn given(&self) -> Option<UnixMillis> {
        match self {
            Self::Store => None,
            Self::Handed(clock) => Some(clock.now()),
        }
    }

    /// The time as scripts take it: milliseconds, empty for the server's own.
    pub(super) fn argument(&self) -> String {
        self.given().map(|now| now.0.to_string()).unwrap_or_default()
    }
}

impl fmt::Debug for TimeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Store => "Store",
            Self::Handed(_) => "Handed(…)",
        })
    }
}

/// Settings with which no Redis can be reached. Never shows the URL: there may be a password in it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not a URL of a kind that is known.
    #[error(
        "the store's URL is none of redis://host:port/database, redis+unix:///path/to/socket, \
         redis+sentinel://host:port,…/service and redis+cluster://host:port,… (with TLS: rediss://, rediss+sentinel:// and \
         rediss+cluster://)"
    )]
    UnknownUrl,
    /// Something in the URL is not as it should be.
    #[error("the store's URL is not valid: {0}")]
    InvalidUrl(String),
    /// TLS without checking who is at the other end.
    #[error("the store's URL ends with #insecure; trust the server's authority by its CA file instead")]
    Insecure,
    /// Certificates, but no TLS.
    #[error("there are certificates for the store, but its URL does not begin with rediss")]
    NotTls,
    /// A file with a certificate or a key cannot be used.
    #[error("{path}, for the store's TLS, cannot be used: {reason}")]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A prefix that would move keys to other slots of a cluster, or is hard to read.
    #[error("the key prefix needs 1 to 64 visible ASCII characters without braces")]
    KeyPrefix,
    /// The pool of connections cannot be made.
    #[error("the pool of connections to the store: {0}")]
    Pool(String),
}

/// The timeouts of every connection.
pub(super) fn connection_config(settings: &RedisSettings) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(settings.connect_timeout))
        .set_response_timeout(Some(settings.response_timeout))
}
