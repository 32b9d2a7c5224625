//! What an error of the Redis client means for the caller, and for the connection it came over.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::process::Wanted;
use super::trouble::{misconfigured, said};
use crate::store::StoreError;

/// Whether a request may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Reads,
    Writes,
}

/// What becomes of the connection after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    /// It is as good as before.
    Keep,
    /// It is broken, or nobody knows which answer comes next: the next request opens another.
    Discard,
    /// The server behind it cannot serve at the moment: as above, though not in a hurry.
    WrongServer,
    /// The same, for the server is a replica.
    Replica,
}

/// What a server of a Cluster says instead of carrying a request out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Redirect {
    /// The slot is at this address, for good. An empty host means the server's own.
    Moved(String),
    /// Ask at this address, for this request.
    Ask(String),
    /// The keys are on their way.
    TryAgain,
    /// Nobody serves the slot as far as this server knows.
    Nowhere,
}

/// A request that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: StoreError,
    pub(super) connection: Connection,
    pub(super) redirect: Option<Redirect>,
}

impl From<StoreError> for Failure {
    /// Nothing has been sent, or the connection has answered in good order.
    fn from(error: StoreError) -> Self {
        Self { error, connection: Connection::Keep, redirect: None }
    }
}

impl Failure {
    pub(super) const fn new(error: StoreError, connection: Connection) -> Self {
        Self { error, connection, redirect: None }
    }

    pub(super) fn of(error: &RedisError, effect: Effect) -> Self {
        match error.kind() {
            ErrorKind::Server(kind) => Self::of_reply(error, effect, kind),
            ErrorKind::Extension => Self::of_code(error),
            // The connection broke, the time ran out, or what came was no answer.
            _ => Self::new(unanswered(error, effect), Connection::Discard),
        }
    }

    /// Error replies whose code the client library knows.
    fn of_reply(error: &RedisError, effect: Effect, kind: ServerErrorKind) -> Self {
        match kind {
            ServerErrorKind::ReadOnly | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown => {
                Self::new(refused(error), Connection::WrongServer)
            }
            ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown => {
                Self { redirect: redirect(error, kind), ..Self::from(refused(error)) }
            }
            ServerErrorKind::ResponseError if misconfigured(error, Wanted::Any).is_some() => {
                Self::from(misfit(error))
            }
            // `ERR` says nothing of where it arose. Our scripts do all their reading first, but what broke off
            // midway cannot be taken back.
            ServerErrorKind::ResponseError => Self::from(unanswered(error, effect)),
            ServerErrorKind::NoPerm => Self::from(misfit(error)),
            _ => Self::from(refused(error)),
        }
    }

    /// Other error replies: `OOM`, `BUSY`, `MISCONF`, `NOREPLICAS` and so on, all of them said before anything is
    /// written.
    fn of_code(error: &RedisError) -> Self {
        match error.code() {
            Some("WRONGTYPE") => Self::from(StoreError::Corrupt(error.to_string())),
            Some("NOAUTH") => Self::new(misfit(error), Connection::WrongServer),
            _ => Self::from(refused(error)),
        }
    }
}

fn redirect(error: &RedisError, kind: ServerErrorKind) -> Option<Redirect> {
    match (kind, error.redirect_node()) {
        (ServerErrorKind::TryAgain, _) => Some(Redirect::TryAgain),
        (ServerErrorKind::ClusterDown, _) => Some(Redirect::Nowhere),
        (ServerErrorKind::Moved, Some((to, _))) => Some(Redirect::Moved(to.to_owned())),
        (ServerErrorKind::Ask, Some((to, _))) => Some(Redirect::Ask(to.to_owned())),
        _ => None,
    }
}

/// What the settings are to blame for.
fn misfit(error: &RedisError) -> StoreError {
    let why = misconfigured(error, Wanted::Any).unwrap_or_else(|| said(error));
    StoreError::Misconfigured(format!("the store {why}"))
}

fn refused(error: &RedisError) -> StoreError {
    StoreError::Unavailable(said(error))
}

fn unanswered(error: &RedisError, effect: Effect) -> StoreError {
    match effect {
        Effect::Reads => StoreError::Unavailable(said(error)),
        Effect::Writes => StoreError::Indeterminate(said(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::make_extension_error;

    fn reply(code: &str) -> RedisError {
        let mut parser = redis::Parser::new();
        let line = format!("-{code} some text\r\n");
        let value = parser.parse_value(line.as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    }

    #[test]
    fn an_error_reply_was_not_applied() {
        let codes = [
            "READONLY",
            "LOADING",
            "OOM",
            "BUSY",
            "NOAUTH",
            "NOPERM",
            "MASTERDOWN",
            "CLUSTERDOWN",
            "TRYAGAIN",
            "MISCONF",
            "NOREPLICAS",
            "MOVED",
            "NOSCRIPT",
            "CROSSSLOT",
        ];
        for code in codes {
            let failure = Failure::of(&reply(code), Effect::Writes);
            let by_settings = ["NOAUTH", "NOPERM"].contains(&code);
            assert_eq!(
                matches!(failure.error, StoreError::Misconfigured(_)),
                by_settings,
                "{code}: {failure:?}"
            );
            assert_eq!(
                matches!(failure.error, StoreError::Unavailable(_)),
                !by_settings,
                "{code}: {failure:?}"
            );
            let wrong_server = ["READONLY", "LOADING", "MASTERDOWN", "NOAUTH"].contains(&code);
            assert_eq!(failure.connection == Connection::WrongServer, wrong_server, "{code}");
        }
    }

    #[test]
    fn a_redirection_says_where_to() {
        let parser = |line: &str| {
            let value = redis::Parser::new().parse_value(line.as_bytes()).unwrap();
            Failure::of(&value.extract_error().unwrap_err(), Effect::Writes).redirect
        };
        let moved = |to: &str| Some(Redirect::Moved(to.to_owned()));
        assert_eq!(parser("-MOVED 3999 127.0.0.1:6381\r\n"), moved("127.0.0.1:6381"));
        assert_eq!(parser("-MOVED 3999 :6381\r\n"), moved(":6381"));
        assert_eq!(parser("-ASK 3999 ::1:6381\r\n"), Some(Redirect::Ask("::1:6381".to_owned())));
        assert_eq!(parser("-TRYAGAIN Multiple keys request\r\n"), Some(Redirect::TryAgain));
        assert_eq!(parser("-CLUSTERDOWN The cluster is down\r\n"), Some(Redirect::Nowhere));
        assert_eq!(parser("-OOM no memory\r\n"), None);
    }

    #[test]
    fn a_broken_connection_leaves_a_write_open_and_a_read_undone() {
        let broken = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        let timeout = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        let garbage = RedisError::from((ErrorKind::Parse, "not an answer"));
        for error in [broken, timeout, garbage] {
            let write = Failure::of(&error, Effect::Writes);
            assert!(matches!(write.error, StoreError::Indeterminate(_)), "{write:?}");
            assert_eq!(write.connection, Connection::Discard);
            let read = Failure::of(&error, Effect::Reads);
            assert!(matches!(read.error, StoreError::Unavailable(_)), "{read:?}");
        }
    }

    #[test]
    fn a_script_that_broke_off_may_have_written() {
        let failure = Failure::of(&reply("ERR"), Effect::Writes);
        assert!(matches!(failure.error, StoreError::Indeterminate(_)), "{failure:?}");
        assert_eq!(failure.connection, Connection::Keep);
    }

    #[test]
    fn a_key_of_the_wrong_type_is_corrupt() {
        let error = make_extension_error("WRONGTYPE".into(), None);
        assert!(matches!(Failure::of(&error, Effect::Writes).error, StoreError::Corrupt(_)));
    }
}
