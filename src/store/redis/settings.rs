//! Where Redis is and how it is reached.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, TlsCertificates,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};

use crate::ambient::Clock;

/// How Redis is reached.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `redis://[user:password@]host[:port][/database]`, `rediss://…` with TLS, or
    /// `redis+unix:///path[?db=…&user=…&pass=…]`. Kept as a secret for the password in it.
    pub url: SecretString,
    /// First part of every key.
    pub key_prefix: String,
    /// Replicas that must acknowledge sign-ins and security-relevant writes.
    pub sync_replicas: u8,
    /// How long to wait for a connection, TLS and authentication included.
    pub connect_timeout: Duration,
    /// How long to wait for an answer.
    pub response_timeout: Duration,
    /// PEM file of the certificate authorities to trust with `rediss://`, instead of the platform's.
    pub ca_file: Option<PathBuf>,
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
    /// The time as scripts take it: milliseconds, empty for the server's own.
    pub(super) fn argument(&self) -> String {
        match self {
            Self::Store => String::new(),
            Self::Handed(clock) => clock.now().0.to_string(),
        }
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
        "the store's URL is none of redis://host:port/database, rediss://host:port/database and \
         redis+unix:///path/to/socket"
    )]
    UnknownUrl,
    /// Something in the URL is not as it should be.
    #[error("the store's URL is not valid: {0}")]
    InvalidUrl(String),
    /// TLS without checking who is at the other end.
    #[error("the store's URL ends with #insecure; trust the server's authority by its CA file instead")]
    Insecure,
    /// A CA file, but no TLS.
    #[error("there is a CA file for the store, but its URL does not begin with rediss://")]
    NotTls,
    /// The CA file cannot be used.
    #[error("the store's CA file {path} cannot be used: {reason}")]
    CaFile {
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

/// Reads the settings into a client. Opens no connection.
pub(super) fn client(settings: &RedisSettings) -> Result<Client, OpenError> {
    let url = settings.url.expose_secret();
    let known = ["redis://", "rediss://", "redis+unix:", "unix:"];
    if !known.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(OpenError::UnknownUrl);
    }
    let invalid = |error: redis::RedisError| OpenError::InvalidUrl(error.to_string());
    let info = url.into_connection_info().map_err(invalid)?;
    let tls = match info.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => return Err(OpenError::Insecure),
        ConnectionAddr::TcpTls { .. } => true,
        _ => false,
    };
    // Small requests are sent at once instead of waiting for the last one's acknowledgement. The third version of
    // the protocol has the client told when a connection closes while it is idle.
    let protocol = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true)).set_redis_settings(protocol);
    match &settings.ca_file {
        Some(_) if !tls => Err(OpenError::NotTls),
        Some(path) => {
            let unusable = |reason: String| OpenError::CaFile { path: path.clone(), reason };
            let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
            // The client library takes a file without any for one that trusts nobody, and says so at no time.
            if CertificateDer::pem_slice_iter(&pem).next().is_none() {
                return Err(unusable("there is no PEM certificate in it".to_owned()));
            }
            install_crypto();
            let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem) };
            Client::build_with_tls(info, certificates).map_err(|error| unusable(error.to_string()))
        }
        None => {
            if tls {
                install_crypto();
            }
            Client::open(info).map_err(invalid)
        }
    }
}

/// The timeouts of every connection.
pub(super) fn connection_config(settings: &RedisSettings) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(settings.connect_timeout))
        .set_response_timeout(Some(settings.response_timeout))
}

/// rustls brings no cryptography of its own. Whoever was quicker has installed the same.
fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> RedisSettings {
        RedisSettings {
            url: url.into(),
            key_prefix: "relatch".into(),
            sync_replicas: 0,
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
            ca_file: None,
        }
    }

    #[test]
    fn reads_every_kind_of_url() {
        let tcp = client(&settings("redis://ada:p%40ss@redis.example:7000/3")).unwrap();
        let info = tcp.get_connection_info();
        assert_eq!(info.addr(), &ConnectionAddr::Tcp("redis.example".into(), 7000));
        assert_eq!(info.redis_settings().username(), Some("ada"));
        assert_eq!(info.redis_settings().password(), Some("p@ss"));
        assert_eq!(info.redis_settings().db(), 3);

        let tls = client(&settings("rediss://redis.example")).unwrap();
        assert!(matches!(tls.get_connection_info().addr(), ConnectionAddr::TcpTls { insecure: false, .. }));

        for url in [
            "redis+unix:///run/redis.sock?db=2",
            "unix:///run/redis.sock?db=2",
            "redis+unix:/run/redis.sock?db=2",
        ] {
            let unix = client(&settings(url)).unwrap();
            let info = unix.get_connection_info();
            assert_eq!(info.addr(), &ConnectionAddr::Unix("/run/redis.sock".into()), "{url}");
            assert_eq!(info.redis_settings().db(), 2);
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_url_and_never_shows_it() {
        let wrong = [
            "",
            "hunter2",
            "http://:hunter2@redis.example",
            "redis+cluster://:hunter2@redis.example",
            "redis://:hunter2@",
            "redis://:hunter2@redis.example:port",
            "redis://:hunter2@redis.example/name",
            "redis://:hunter2@0.0.0.0",
            "rediss://:hunter2@redis.example#insecure",
            "rediss://:hunter2@redis.example#nonsense",
        ];
        for url in wrong {
            let settings = settings(url);
            let error = client(&settings).err().unwrap_or_else(|| panic!("{url} was accepted"));
            assert!(!format!("{error} {error:?} {settings:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn a_ca_file_must_be_one_and_needs_tls() {
        let with = |url: &str, path: &str| RedisSettings { ca_file: Some(path.into()), ..settings(url) };
        assert!(matches!(client(&with("redis://localhost", "/dev/null")), Err(OpenError::NotTls)));
        let missing = client(&with("rediss://localhost", "/nonexistent/ca.pem"));
        assert!(matches!(missing, Err(OpenError::CaFile { .. })));
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(matches!(client(&with("rediss://localhost", manifest)), Err(OpenError::CaFile { .. })));
    }
}
