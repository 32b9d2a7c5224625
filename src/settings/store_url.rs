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

/// A Redis server's URL. May hold a password, so it is a secret; [`fmt::Display`] masks it.
#[derive(Clone)]
pub struct RedisUrl {
    url: SecretString,
    shown: String,
    is_tls: bool,
}

impl RedisUrl {
    /// The URL with its password.
    pub fn expose(&self) -> &str {
        self.url.expose_secret()
    }

    /// Whether the connection is protected by TLS.
    pub const fn is_tls(&self) -> bool {
        self.is_tls
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

const FORMS: &str =
    "write \"redb:PATH\", \"redis://HOST:PORT/DB\", \"rediss://HOST:PORT/DB\" or \"redis+unix:///PATH\"";

impl StoreUrl {
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
            "redis+sentinel" | "redis+cluster" => {
                Err(Wrong::new("supported yet", "write the URL of a single Redis server, or \"redb:PATH\""))
            }
            _ => Err(Wrong::new("the URL of a store", FORMS)),
        }
        .map(Self::Redis)
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
    // A lone user name may be a password in the wrong place.
    let masked = if url.password().is_some() {
        url.set_password(Some("***"))
    } else if url.username().is_empty() {
        Ok(())
    } else {
        url.set_username("***")
    };
    masked.map_err(|()| Wrong::new("a URL", FORMS))?;
    Ok(RedisUrl { url: SecretString::from(text.to_owned()), shown: url.into(), is_tls })
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
    let parameters: Vec<_> = url
        .query_pairs()
        .map(|(name, value)| format!("{name}={}", if name == "pass" { "***" } else { &*value }))
        .collect();
    let separator = if parameters.is_empty() { "" } else { "?" };
    let shown = format!("redis+unix://{}{separator}{}", url.path(), parameters.join("&"));
    Ok(RedisUrl { url: SecretString::from(text.to_owned()), shown, is_tls: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_masked_wherever_the_url_is_shown() {
        for (text, shown) in [
            ("redis://localhost:6379/0", "redis://localhost:6379/0"),
            ("rediss://ada:hunter2@redis.example/1", "rediss://ada:***@redis.example/1"),
            ("redis://:hunter2@[::1]:6379", "redis://:***@[::1]:6379"),
            ("redis://hunter2@localhost", "redis://***@localhost"),
            ("redis+unix:///run/redis.sock", "redis+unix:///run/redis.sock"),
            (
                "redis+unix:///run/redis.sock?db=2&user=ada&pass=hunter2",
                "redis+unix:///run/redis.sock?db=2&user=ada&pass=***",
            ),
        ] {
            let url = StoreUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("hunter2"));
            assert!(matches!(url, StoreUrl::Redis(url) if url.expose() == text));
        }
    }

    #[test]
    fn an_embedded_store_is_a_path() {
        assert!(
            matches!(StoreUrl::parse("redb:data/x.redb").unwrap(), StoreUrl::Embedded(path) if path.as_os_str() == "data/x.redb")
        );
    }

    #[test]
    fn what_is_no_store_is_refused() {
        for bad in [
            "",
            "redb:",
            "redb:///x",
            "data/x.redb",
            "postgres://localhost",
            "redis://",
            "redis:///1",
            "redis://h/x",
            "redis://h/1/2",
            "rediss://h#insecure",
            "redis://h?protocol=resp3",
            "redis+unix:run/x",
            "redis+unix://host/x",
            "redis+unix:///x?password=y",
        ] {
            assert!(StoreUrl::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(StoreUrl::parse("redis+sentinel://a:1,b:2/s").unwrap_err().not, "supported yet");
        assert_eq!(StoreUrl::parse("redis+cluster://a:1,b:2").unwrap_err().not, "supported yet");
    }
}
