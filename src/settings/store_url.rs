//! Where the store is.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::parse::Wrong;

/// Where the store is.
#[derive(Debug, Clone)]
pub enum StoreUrl {
    /// In one file of this machine.
    Embedded(PathBuf),
    /// In Redis.
    Redis(RedisUrl),
}

/// What stands at the other end of a [`RedisUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisForm {
    /// One server.
    Single,
    /// A primary that Sentinels name.
    Sentinel,
    /// A Cluster.
    Cluster,
}

/// The URL of a Redis. May hold a password, so it is a secret; [`fmt::Display`] masks it.
#[derive(Clone)]
pub struct RedisUrl {
    url: SecretString,
    shown: String,
    form: RedisForm,
    is_tls: bool,
    has_login: bool,
}

impl RedisUrl {
    /// The URL with its password.
    pub fn expose(&self) -> &str {
        self.url.expose_secret()
    }

    /// What stands at the other end.
    pub const fn form(&self) -> RedisForm {
        self.form
    }

    /// Whether the connection is protected by TLS.
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Whether it says as whom to come.
    pub const fn has_login(&self) -> bool {
        self.has_login
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(path) => write!(f, "redb:{}", path.display()),
            Self::Redis(url) => url.fmt(f),
        }
    }
}

const FORMS: &str = "write \"redb:PATH\", \"redis://HOST:PORT/DB\", \"redis+unix:///PATH\", \
     \"redis+sentinel://HOST:PORT,HOST:PORT/SERVICE\" or \"redis+cluster://HOST:PORT,HOST:PORT\"; with TLS they begin \
     with \"rediss\"";

impl StoreUrl {
    /// The store that a command is told of.
    ///
    /// # Errors
    /// What the text is not, without the text itself, in which a password may stand.
    pub fn told(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|wrong| format!("it is not {}; {}", wrong.not, wrong.right))
    }

    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some(path) = text.strip_prefix("redb:") {
            return if path.is_empty() || path.starts_with("//") {
                Err(Wrong::new(
                    "the path of a database",
                    "write \"redb:\" and the path, such as \"redb:/var/lib/relatch.redb\"",
                ))
            } else {
                Ok(Self::Embedded(PathBuf::from(path)))
            };
        }
        let (scheme, _) = text.split_once(':').ok_or_else(|| Wrong::new("the URL of a store", FORMS))?;
        match scheme {
            "redis" | "rediss" => redis_tcp(text),
            "redis+unix" => redis_unix(text),
            "redis+sentinel" | "rediss+sentinel" => redis_sentinel(text),
            "redis+cluster" | "rediss+cluster" => redis_cluster(text),
            _ => Err(Wrong::new("the URL of a store", FORMS)),
        }
        .map(Self::Redis)
    }

    /// How many replicas must acknowledge what must not be lost, unless something else is set: one, where a replica
    /// takes over by itself when the primary fails.
    pub const fn default_sync_replicas(&self) -> u8 {
        match self {
            Self::Redis(RedisUrl { form: RedisForm::Sentinel | RedisForm::Cluster, .. }) => 1,
            _ => 0,
        }
    }
}

/// `redis[s]://[user:password@]host[:port][/database]`.
fn redis_tcp(text: &str) -> Result<RedisUrl, Wrong> {
    let mut url = Url::parse(text).map_err(|_| Wrong::new("a URL", FORMS))?;
    let database = url.path().trim_start_matches('/');
    let is_number = database.len() <= 5 && database.bytes().all(|byte| byte.is_ascii_digit());
    if url.host_str().is_none_or(str::is_empty) || !is_number {
        return Err(Wrong::new(
            "a Redis server's URL",
            "write a host, and after it at most a port and a database number",
        ));
    }
    // The client would take `#insecure` as leave to check no certificate.
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Wrong::new("a Redis server's URL", "leave out everything from \"?\" or \"#\" on"));
    }
    let is_tls = url.scheme() == "rediss";
    let has_login = url.password().is_some() || !url.username().is_empty();
    // A lone user name may be a password in the wrong place.
    let masked = if url.password().is_some() {
        url.set_password(Some("***"))
    } else if has_login {
        url.set_username("***")
    } else {
        Ok(())
    };
    masked.map_err(|()| Wrong::new("a URL", FORMS))?;
    let secret = SecretString::from(text.to_owned());
    Ok(RedisUrl { url: secret, shown: url.into(), form: RedisForm::Single, is_tls, has_login })
}

/// `redis[s]+sentinel://[user:password@]host[:port],…/service[/database]`.
fn redis_sentinel(text: &str) -> Result<RedisUrl, Wrong> {
    const RIGHT: &str = "write \"redis+sentinel://HOST:PORT,HOST:PORT/SERVICE\", at most a database number after it, and \
         at most one login before the first host, with %40 for @ and %2F for / in it";
    let (hosts, path) = after_scheme(text).split_once('/').unwrap_or_default();
    let (service, database) = path.split_once('/').unwrap_or((path, ""));
    if service.is_empty() {
        let right = "write the name by which they know the primary after the hosts: \
             \"redis+sentinel://HOST:PORT,HOST:PORT/SERVICE\"";
        return Err(Wrong::new("the URL of Sentinels: it names no service", right));
    }
    // Sentinels have no other letters in names. Here they might be a part of a password with a slash in it.
    let is_name = service.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let url = if is_name { several(text, hosts, database, RedisForm::Sentinel) } else { None };
    let mut url = url.ok_or_else(|| Wrong::new("the URL of Sentinels", RIGHT))?;
    url.shown = format!("{}/{path}", url.shown);
    Ok(url)
}

/// `redis[s]+cluster://[user:password@]host[:port],…`.
fn redis_cluster(text: &str) -> Result<RedisUrl, Wrong> {
    const RIGHT: &str = "write \"redis+cluster://HOST:PORT,HOST:PORT\" and at most one login before the first host, with \
         %40 for @ and %2F for / in it; a Cluster has no database numbers";
    let rest = after_scheme(text);
    let hosts = rest.strip_suffix('/').unwrap_or(rest);
    several(text, hosts, "", RedisForm::Cluster).ok_or_else(|| Wrong::new("the URL of a Cluster", RIGHT))
}

fn after_scheme(text: &str) -> &str {
    text.split_once("://").unwrap_or_default().1
}

/// A URL with several hosts: each must be such that the URL with it alone is one. What is shown ends with the hosts.
fn several(text: &str, hosts: &str, database: &str, form: RedisForm) -> Option<RedisUrl> {
    let (scheme, _) = text.split_once("://")?;
    let (login, hosts) = hosts.rsplit_once('@').map_or(("", hosts), |(login, hosts)| (login, hosts));
    // With a login before each host, all but the last would be taken for one long password.
    if hosts.contains('/') || login.contains(['@', '/']) {
        return None;
    }
    let at = if login.is_empty() { "" } else { "@" };
    let is_tls = scheme.starts_with("rediss");
    let single = if is_tls { "rediss" } else { "redis" };
    let each = hosts.split(',').map(|host| redis_tcp(&format!("{single}://{login}{at}{host}/{database}")));
    let first = each.collect::<Result<Vec<_>, _>>().ok()?.into_iter().next()?;
    let masked = first.shown.rsplit_once('@').map_or("", |(masked, _)| after_scheme(masked));
    Some(RedisUrl {
        url: SecretString::from(text.to_owned()),
        shown: format!("{scheme}://{masked}{at}{hosts}"),
        form,
        is_tls,
        has_login: first.has_login,
    })
}

/// `redis+unix:///path[?db=…&user=…&pass=…]`.
fn redis_unix(text: &str) -> Result<RedisUrl, Wrong> {
    let url = Url::parse(text).map_err(|_| Wrong::new("a URL", FORMS))?;
    let known = url.query_pairs().all(|(name, _)| matches!(&*name, "db" | "user" | "pass"));
    if url.host().is_some()
        || !url.path().starts_with('/')
        || url.path().len() < 2
        || url.fragment().is_some()
        || !known
    {
        return Err(Wrong::new(
            "a Redis socket's URL",
            "write \"redis+unix:///PATH\", and after it at most \"?db=…&user=…&pass=…\"",
        ));
    }
    let has_login = url.query_pairs().any(|(name, _)| matches!(&*name, "user" | "pass"));
    let parameters: Vec<_> = url
        .query_pairs()
        .map(|(name, value)| format!("{name}={}", if name == "pass" { "***" } else { &*value }))
        .collect();
    let separator = if parameters.is_empty() { "" } else { "?" };
    let shown = format!("redis+unix://{}{separator}{}", url.path(), parameters.join("&"));
    let secret = SecretString::from(text.to_owned());
    Ok(RedisUrl { url: secret, shown, form: RedisForm::Single, is_tls: false, has_login })
}

#[cfg(test)]
#[path = "store_url_tests.rs"]
mod tests;
