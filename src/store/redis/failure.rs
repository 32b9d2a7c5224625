//! What an error of the Redis client means for the caller, and for the connection it came over.

use redis::{ErrorKind, RedisError, ServerErrorKind};

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
}

/// A request that was sent over an open connection and failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: StoreError,
    pub(super) connection: Connection,
}

impl Failure {
    pub(super) fn of(error: &RedisError, effect: Effect) -> Self {
        match error.kind() {
            ErrorKind::Server(kind) => Self::of_reply(error, effect, kind),
            ErrorKind::Extension => Self::of_code(error),
            // The connection broke, the time ran out, or what came was no answer.
            _ => Self { error: unanswered(error, effect), connection: Connection::Discard },
        }
    }

    /// Error replies whose code the client library knows.
    fn of_reply(error: &RedisError, effect: Effect, kind: ServerErrorKind) -> Self {
        match kind {
            ServerErrorKind::ReadOnly | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown => {
                Self { error: refused(error), connection: Connection::WrongServer }
            }
            // `ERR` says nothing of where it arose. Our scripts do all their reading first, but what broke off
            // midway cannot be taken back.
            ServerErrorKind::ResponseError => {
                Self { error: unanswered(error, effect), connection: Connection::Keep }
            }
            _ => Self { error: refused(error), connection: Connection::Keep },
        }
    }

    /// Other error replies: `OOM`, `BUSY`, `MISCONF`, `NOREPLICAS` and so on, all of them said before anything is
    /// written.
    fn of_code(error: &RedisError) -> Self {
        match error.code() {
            Some("WRONGTYPE") => {
                Self { error: StoreError::Corrupt(error.to_string()), connection: Connection::Keep }
            }
            Some("NOAUTH") => Self { error: refused(error), connection: Connection::WrongServer },
            _ => Self { error: refused(error), connection: Connection::Keep },
        }
    }
}

fn refused(error: &RedisError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

fn unanswered(error: &RedisError, effect: Effect) -> StoreError {
    match effect {
        Effect::Reads => StoreError::Unavailable(error.to_string()),
        Effect::Writes => StoreError::Indeterminate(error.to_string()),
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
            assert!(matches!(failure.error, StoreError::Unavailable(_)), "{code}: {failure:?}");
            let wrong_server = ["READONLY", "LOADING", "MASTERDOWN", "NOAUTH"].contains(&code);
            assert_eq!(failure.connection == Connection::WrongServer, wrong_server, "{code}");
        }
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
