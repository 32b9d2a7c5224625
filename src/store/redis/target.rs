//! From settings to what is to be reached: one server, a primary that Sentinels name, or a Cluster.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redis::io::tcp::TcpSettings;
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, RedisResult, TlsCertificates,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret;

use super::settings::{Login, OpenError, RedisSettings};
use crate::files;

/// Where Sentinels listen if nothing else is said.
const SENTINEL_PORT: u16 = 26379;
/// Most bytes of a file of certificates.
const MAX_PEM: u64 = 4 * 1024 * 1024;

/// Where one process listens.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Address {
    Tcp(Arc<str>, u16),
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl Address {
    /// Reads what [`Address`] is displayed as, if it is a host and a port.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Some(Self::Tcp(host.into(), port.parse().ok()?))
    }
}

/// What is to be reached.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) form: Form,
    pub(super) doors: Doors,
}

/// What stands at the other end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// One server.
    Single(Address),
    /// The primary that Sentinels name.
    Sentinel { sentinels: Vec<Address>, service: String },
    /// A Cluster, of which these are known to begin with.
    Cluster { seeds: Vec<Address> },
}

/// How to come in, wherever it is.
#[derive(Clone)]
pub(super) struct Doors {
    redis: RedisConnectionInfo,
    sentinel: RedisConnectionInfo,
    /// The certificates, with TLS.
    tls: Option<TlsCertificates>,
}

impl Doors {
    /// A client for the Redis at this address. Opens no connection.
    pub(super) fn redis(&self, address: &Address) -> RedisResult<Client> {
        self.client(address, &self.redis)
    }

    /// A client for the Sentinel at this address. Opens no connection.
    pub(super) fn sentinel(&self, address: &Address) -> RedisResult<Client> {
        self.client(address, &self.sentinel)
    }

    /// Whether a password is shown to Redis.
    pub(super) fn has_password(&self) -> bool {
        self.redis.password().is_some()
    }

    /// Whether it is by TLS.
    pub(super) const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    fn client(&self, address: &Address, login: &RedisConnectionInfo) -> RedisResult<Client> {
        let addr = match (address, &self.tls) {
            (Address::Unix(path), _) => ConnectionAddr::Unix(path.clone()),
            (Address::Tcp(host, port), None) => ConnectionAddr::Tcp(host.to_string(), *port),
            (Address::Tcp(host, port), Some(_)) => ConnectionAddr::TcpTls {
                host: host.to_string(),
                port: *port,
                insecure: false,
                tls_params: None,
            },
        };
        // Small requests are sent at once instead of waiting for the last one's acknowledgement.
        let info = addr.into_connection_info()?.set_redis_settings(login.clone());
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        match &self.tls {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    }
}

impl Target {
    /// Reads the settings. Opens no connection.
    pub(super) fn read(settings: &RedisSettings) -> Result<Self, OpenError> {
        let url = settings.url.expose_secret();
        let (form, info) = form(url)?;
        let is_tls = match info.addr() {
            ConnectionAddr::TcpTls { insecure: true, .. } => return Err(OpenError::Insecure),
            ConnectionAddr::TcpTls { .. } => true,
            _ => false,
        };
        Ok(Self {
            form,
            doors: Doors {
                redis: logged_in(info.redis_settings().clone(), &settings.login),
                sentinel: logged_in(RedisConnectionInfo::default(), &settings.sentinel_login),
                tls: tls(settings, is_tls)?,
            },
        })
    }
}

fn logged_in(info: RedisConnectionInfo, login: &Login) -> RedisConnectionInfo {
    // The third version of the protocol has the client told when a connection closes while it is idle. What the library
    // would say of itself is an error to Redis 7.0; connections are named by `Introduction`.
    let mut info = info.set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
    if let Some(username) = &login.username {
        info = info.set_username(username);
    }
    if let Some(password) = &login.password {
        info = info.set_password(password.expose_secret());
    }
    info
}

/// What the URL names, and the connection to the first of it.
fn form(url: &str) -> Result<(Form, ConnectionInfo), OpenError> {
    let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
    match scheme {
        "redis" | "rediss" => {}
        "redis+sentinel" | "rediss+sentinel" => {
            let scheme = scheme.trim_end_matches("+sentinel");
            let (hosts, path) = rest.split_once('/').ok_or_else(|| invalid("it names no service"))?;
            let (service, database) = path.split_once('/').unwrap_or((path, ""));
            if service.is_empty() {
                return Err(invalid("it names no service"));
            }
            let (sentinels, info) = several(scheme, hosts, database, SENTINEL_PORT)?;
            return Ok((Form::Sentinel { sentinels, service: service.to_owned() }, info));
        }
        "redis+cluster" | "rediss+cluster" => {
            let hosts = rest.strip_suffix('/').unwrap_or(rest);
            if hosts.contains('/') {
                return Err(invalid("a Cluster has no databases: nothing may follow the hosts"));
            }
            let (seeds, info) = several(scheme.trim_end_matches("+cluster"), hosts, "", 6379)?;
            return Ok((Form::Cluster { seeds }, info));
        }
        _ if url.starts_with("redis+unix:") || url.starts_with("unix:") => {}
        _ => return Err(OpenError::UnknownUrl),
    }
    let info = connection(url)?;
    Ok((Form::Single(address(info.addr())?), info))
}

/// Reads `[user:password@]host[:port],…`. Gives the addresses, and the connection to the first.
fn several(
    scheme: &str,
    hosts: &str,
    database: &str,
    port: u16,
) -> Result<(Vec<Address>, ConnectionInfo), OpenError> {
    let (login, hosts) = hosts.rsplit_once('@').unwrap_or(("", hosts));
    let at = if login.is_empty() { "" } else { "@" };
    let mut infos = Vec::new();
    for host in hosts.split(',') {
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let host = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        infos.push(connection(&format!("{scheme}://{login}{at}{host}/{database}"))?);
    }
    let addresses = infos.iter().map(|info| address(info.addr())).collect::<Result<_, _>>()?;
    let first = infos.into_iter().next().ok_or_else(|| invalid("it names no host"))?;
    Ok((addresses, first))
}

fn connection(url: &str) -> Result<ConnectionInfo, OpenError> {
    url.into_connection_info().map_err(|error| OpenError::InvalidUrl(error.to_string()))
}

fn invalid(why: &str) -> OpenError {
    OpenError::InvalidUrl(why.to_owned())
}

fn address(addr: &ConnectionAddr) -> Result<Address, OpenError> {
    match addr {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Ok(Address::Tcp(host.as_str().into(), *port))
        }
        ConnectionAddr::Unix(path) => Ok(Address::Unix(path.clone())),
        _ => Err(OpenError::UnknownUrl),
    }
}

fn tls(settings: &RedisSettings, is_tls: bool) -> Result<Option<TlsCertificates>, OpenError> {
    let (ca, own) = (&settings.ca_file, &settings.client_certificate);
    if !is_tls {
        return if ca.is_some() || own.is_some() { Err(OpenError::NotTls) } else { Ok(None) };
    }
    install_crypto();
    // The client library takes a file without any certificate for one that trusts nobody, and says so at no time.
    let is_certificate = |pem: &[u8]| matches!(CertificateDer::pem_slice_iter(pem).next(), Some(Ok(_)));
    let root_cert = match ca {
        Some(path) => Some(pem(path, "certificate", is_certificate)?),
        None => None,
    };
    let client_tls = match own {
        Some(own) => Some(ClientTlsConfig {
            client_cert: pem(&own.certificate_file, "certificate", is_certificate)?,
            client_key: pem(&own.key_file, "private key", |pem| PrivateKeyDer::from_pem_slice(pem).is_ok())?,
        }),
        None => None,
    };
    // Without a root the platform's are trusted.
    Ok(Some(TlsCertificates { client_tls, root_cert }))
}

fn pem(path: &Path, what: &str, is_one: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, OpenError> {
    let unusable = |reason: String| OpenError::TlsFile { path: path.to_owned(), reason };
    let pem = files::read(path, MAX_PEM).map_err(|error| unusable(error.to_string()))?.to_vec();
    if is_one(&pem) { Ok(pem) } else { Err(unusable(format!("there is no PEM {what} in it"))) }
}

/// rustls brings no cryptography of its own. Whoever was quicker has installed the same.
fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
