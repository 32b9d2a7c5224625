//! Why a Redis cannot be used as the settings have it: which of them is wrong, in words for the operator.
//!
//! What no waiting mends is [`StoreError::Misconfigured`], on which a server does not start. What may pass, such as a
//! refused connection, is [`StoreError::Unavailable`].

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};
use rustls::{AlertDescription, CertificateError};

use super::process::Wanted;
use crate::store::StoreError;

/// Most characters of a server's answer that are shown.
const SHOWN: usize = 200;

/// How a connection is opened, as far as it bears on what may be wrong with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// Host and port, or the path of a socket.
    pub(super) at: &'a str,
    pub(super) wanted: Wanted,
    pub(super) is_tls: bool,
}

impl Attempt<'_> {
    /// What the failure to connect means.
    pub(super) fn failed(self, error: &RedisError) -> StoreError {
        let Self { at, .. } = self;
        match misconfigured(error, self.wanted) {
            Some(why) => StoreError::Misconfigured(format!("{at} {why}")),
            None => StoreError::Unavailable(format!("cannot connect to {at}: {}", self.passing(error))),
        }
    }

    /// What may pass, with what to look at if it does not.
    fn passing(self, error: &RedisError) -> String {
        let (said, text) = (said(error), error.to_string());
        let hint = if text.contains("lookup address") {
            "the host name in store.url is not known here yet, or misspelt"
        } else if error.is_connection_refusal() {
            "nothing listens there, or not yet; look at host and port in store.url"
        } else if self.is_tls && (error.is_timeout() || error.is_connection_dropped()) {
            "if that port speaks no TLS, store.url has to begin with redis instead of rediss"
        } else if error.is_connection_dropped() {
            "if that port speaks TLS, store.url has to begin with rediss"
        } else {
            return said;
        };
        format!("{said} ({hint})")
    }
}

/// What is wrong with the settings, if it is they: as the rest of a sentence about the server.
pub(super) fn misconfigured(error: &RedisError, wanted: Wanted) -> Option<String> {
    if let Some(tls) = tls(error) {
        return of_tls(tls);
    }
    let (user, password) = match wanted {
        Wanted::Sentinel => ("store.sentinel_username", "store.sentinel_password"),
        Wanted::Any | Wanted::Primary => ("store.username", "store.password"),
    };
    let why = match (error.kind(), error.code(), error.detail().unwrap_or_default()) {
        (_, Some("NOAUTH"), _) => format!("demands a password: set {password}, and {user} if it has users"),
        (_, Some("WRONGPASS"), _) | (ErrorKind::AuthenticationFailed, ..) => {
            format!("refuses the user name or password: look at {user} and {password}, or those in store.url")
        }
        (ErrorKind::Server(ServerErrorKind::NoPerm), ..) => {
            format!("does not allow the user of {user} what is needed; `relatch doctor` tells what that is")
        }
        (_, _, detail) if detail.contains("DB index is out of range") => {
            "has no database of the number in store.url".to_owned()
        }
        (_, _, detail) if detail.contains("No such master") => {
            "watches no service of the name that store.url ends with".to_owned()
        }
        (_, _, detail) if detail.contains("SELECT is not allowed in cluster mode") => IS_A_NODE.to_owned(),
        (_, _, detail) if detail.contains("cluster support disabled") => {
            "is no node of a Cluster: store.url has to begin with redis:// or rediss://".to_owned()
        }
        (ErrorKind::InvalidClientConfig, _, detail) if !detail.is_empty() => return Some(detail.to_owned()),
        (ErrorKind::RESP3NotSupported, ..) => "is older than Redis 7.0, which is needed".to_owned(),
        // It is not a Redis, so what it says is not shown.
        (ErrorKind::Parse | ErrorKind::UnexpectedReturnType, ..) => {
            return Some("does not answer as a Redis does: look at host and port in store.url".to_owned());
        }
        _ => return None,
    };
    Some(format!("{why} (it says: {})", said(error)))
}

/// What is said of a server of a Cluster that is taken for one that stands alone.
pub(super) const IS_A_NODE: &str =
    "is a node of a Cluster: store.url has to begin with redis+cluster:// or rediss+cluster://";

/// What is wrong with a process by its mode (`redis_mode` of `INFO`), if it cannot be what is wanted.
pub(super) fn of_mode(mode: &str, wanted: Wanted) -> Option<RedisError> {
    let why = match (wanted, mode) {
        (Wanted::Sentinel, "standalone" | "cluster") => {
            "is no Sentinel: for one server store.url has to begin with redis:// or rediss://"
        }
        (Wanted::Any | Wanted::Primary, "sentinel") => {
            "is a Sentinel: store.url has to begin with redis+sentinel:// or rediss+sentinel:// and to end with the \
             name of the service"
        }
        _ => return None,
    };
    Some((ErrorKind::InvalidClientConfig, "another server than is expected", why.to_owned()).into())
}

/// What a server answered, short and without the arguments of the command: old ones repeat those, passwords included.
pub(super) fn said(error: &RedisError) -> String {
    let text = match (error.code(), error.detail()) {
        (Some("ERR"), Some(detail)) => detail.to_owned(),
        (Some(code), Some(detail)) if !detail.starts_with(code) => format!("{code} {detail}"),
        (Some(_), Some(detail)) => detail.to_owned(),
        _ => error.to_string(),
    };
    let text = text.split(", with args").next().unwrap_or_default();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect()
}

/// The error of TLS underneath, if it is one.
fn tls(error: &RedisError) -> Option<&rustls::Error> {
    let mut source = error.source();
    while let Some(mut error) = source {
        // What the client library did not make itself it shares.
        if let Some(shared) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
            error = shared.as_ref();
        }
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Some(tls);
        }
        source = error.source();
    }
    None
}

fn of_tls(error: &rustls::Error) -> Option<String> {
    let why = match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "has a certificate of an authority that is not trusted: name that authority's file in store.ca_file"
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "has a certificate for another name than the host in store.url",
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "has a certificate that has expired",
        rustls::Error::InvalidCertificate(_) => "has a certificate that cannot be trusted",
        rustls::Error::InvalidMessage(_) => {
            "does not speak TLS: store.url has to begin with redis instead of rediss"
        }
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => {
            "does not take us without another certificate: look at store.client_certificate_file and \
             store.client_key_file"
        }
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::AlertReceived(
            AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure,
        ) => "has no version or cipher of TLS in common with us",
        _ => return None,
    };
    Some(format!("{why} ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(line: &str) -> RedisError {
        let value = redis::Parser::new().parse_value(format!("-{line}\r\n").as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    }

    fn at_start(error: &RedisError, wanted: Wanted) -> StoreError {
        Attempt { at: "db:6379", wanted, is_tls: false }.failed(error)
    }

    #[test]
    fn what_no_waiting_mends_names_the_setting() {
        for (line, wanted, setting) in [
            ("NOAUTH Authentication required.", Wanted::Primary, "set store.password"),
            ("NOAUTH Authentication required.", Wanted::Sentinel, "set store.sentinel_password"),
            ("WRONGPASS invalid username-password pair", Wanted::Any, "store.username and store.password"),
            ("NOPERM this user has no permissions", Wanted::Primary, "store.username"),
            ("ERR DB index is out of range", Wanted::Primary, "store.url"),
            ("ERR This instance has cluster support disabled", Wanted::Any, "store.url"),
        ] {
            match at_start(&reply(line), wanted) {
                StoreError::Misconfigured(text) => {
                    assert!(text.starts_with("db:6379 ") && text.contains(setting), "{line}: {text}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_may_pass_is_waited_for() {
        for line in ["LOADING Redis is loading the dataset in memory", "ERR max number of clients reached"] {
            let error = at_start(&reply(line), Wanted::Primary);
            assert!(matches!(error, StoreError::Unavailable(_)), "{line}: {error:?}");
        }
        for kind in
            [io::ErrorKind::ConnectionRefused, io::ErrorKind::TimedOut, io::ErrorKind::ConnectionReset]
        {
            let error = at_start(&io::Error::from(kind).into(), Wanted::Primary);
            assert!(matches!(error, StoreError::Unavailable(_)), "{kind}: {error:?}");
        }
    }

    #[test]
    fn the_error_of_tls_is_found_underneath() {
        let tls = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let error = at_start(&io::Error::new(io::ErrorKind::InvalidData, tls).into(), Wanted::Primary);
        assert!(
            matches!(&error, StoreError::Misconfigured(text) if text.contains("store.ca_file")),
            "{error:?}"
        );
    }

    #[test]
    fn no_password_is_repeated() {
        let old = "ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `sesame`, ";
        let error = at_start(&reply(old), Wanted::Primary).to_string();
        assert!(!error.contains("sesame"), "{error}");
    }

    #[test]
    fn a_mode_fits_or_not() {
        assert!(of_mode("standalone", Wanted::Primary).is_none());
        assert!(of_mode("cluster", Wanted::Any).is_none());
        assert!(of_mode("sentinel", Wanted::Sentinel).is_none());
        for (mode, wanted) in [("sentinel", Wanted::Any), ("standalone", Wanted::Sentinel)] {
            let error = at_start(&of_mode(mode, wanted).unwrap(), wanted);
            assert!(
                matches!(&error, StoreError::Misconfigured(text) if text.contains("store.url")),
                "{error:?}"
            );
        }
    }
}
