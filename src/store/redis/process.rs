//! Who is at the other end of a connection, and who we are.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisResult, Value};

/// What a connection must lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Any Redis that takes our requests.
    Any,
    /// A Redis that is primary: what was one may have been demoted since Sentinels named it.
    Primary,
    /// A Sentinel, which has no data that it could have lost.
    Sentinel,
}

/// The first words on a connection.
pub(super) struct Introduction;

impl Introduction {
    /// Says who we are, for whoever reads `CLIENT LIST`, and asks which process is there, in one round trip.
    pub(super) async fn make(connection: &mut MultiplexedConnection, wanted: Wanted) -> RedisResult<String> {
        let mut words = Pipeline::with_capacity(2);
        words.cmd("CLIENT").arg("SETNAME").arg(format!("relatch-{}", std::process::id())).add_command(info());
        // A server that forbids the name gets none.
        let answers = connection.send_packed_commands(&words, 0, 2).await?;
        told(answers.into_iter().last().unwrap_or(Value::Nil), wanted)
    }

    /// Asks which process is there: by its `run_id`, another one after each start, and by `master_replid`, another one
    /// each time it is made primary, when it may lack what the primary before it had.
    pub(super) async fn ask(connection: &mut MultiplexedConnection, wanted: Wanted) -> RedisResult<String> {
        let answer = connection.send_packed_command(&info()).await?;
        told(answer, wanted)
    }
}

fn info() -> Cmd {
    let mut info = Cmd::new();
    info.arg("INFO").arg("server").arg("replication");
    info
}

fn told(answer: Value, wanted: Wanted) -> RedisResult<String> {
    let told: String = redis::from_redis_value(answer.extract_error()?)?;
    let says = |what: &str| told.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    let missing = || redis::RedisError::from((ErrorKind::Parse, "INFO says no run_id"));
    let run_id = says("run_id").ok_or_else(missing)?;
    if wanted == Wanted::Primary && says("role") != Some("master") {
        return Err((ErrorKind::Io, "it is a replica, not the primary").into());
    }
    Ok(match says("master_replid") {
        Some(reign) if wanted != Wanted::Sentinel => format!("{run_id}/{reign}"),
        _ => run_id.to_owned(),
    })
}
