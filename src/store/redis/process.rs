//! Who is at the other end of a connection, and who we are.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisResult, Value};
use relatch_domain::UnixMillis;

use super::trouble::of_mode;

/// What a connection must lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Any Redis that takes our requests.
    Any,
    /// A Redis that is primary: what was one may have been demoted since Sentinels named it, or since its address led there.
    Primary,
    /// A Sentinel, which has no data that it could have lost.
    Sentinel,
}

/// The process at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// Its `run_id`, another one after each start, and its `master_replid`, another one each time it is made primary, when it
    /// may lack what the primary before it had.
    pub(super) name: String,
    /// Whether it is what is wanted.
    pub(super) is_wanted: bool,
    /// What its clock showed when it answered, if it says so.
    pub(super) time: Option<UnixMillis>,
}

/// What is said of a connection to a process that is not the primary, where it must be.
pub(super) const IS_A_REPLICA: &str = "it is a replica, not the primary";

/// The first words on a connection.
pub(super) struct Introduction;

impl Introduction {
    /// Says who we are, for whoever reads `CLIENT LIST`, and asks which process is there, in one round trip.
    pub(super) async fn make(connection: &mut MultiplexedConnection, wanted: Wanted) -> RedisResult<Process> {
        let mut words = Pipeline::with_capacity(2);
        words.cmd("CLIENT").arg("SETNAME").arg(format!("relatch-{}", std::process::id())).add_command(info());
        // A server that forbids the name gets none.
        let answers = connection.send_packed_commands(&words, 0, 2).await?;
        told(answers.into_iter().last().unwrap_or(Value::Nil), wanted)
    }

    /// Asks which process is there by now.
    pub(super) async fn ask(connection: &mut MultiplexedConnection, wanted: Wanted) -> RedisResult<Process> {
        let answer = connection.send_packed_command(&info()).await?;
        told(answer, wanted)
    }
}

fn info() -> Cmd {
    let mut info = Cmd::new();
    info.arg("INFO").arg("server").arg("replication");
    info
}

fn told(answer: Value, wanted: Wanted) -> RedisResult<Process> {
    let told: String = redis::from_redis_value(answer.extract_error()?)?;
    let says = |what: &str| told.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    if let Some(error) = says("redis_mode").and_then(|mode| of_mode(mode, wanted)) {
        return Err(error);
    }
    let run_id = says("run_id").ok_or((ErrorKind::Parse, "INFO says no run_id"))?;
    let name = match says("master_replid") {
        Some(reign) if wanted != Wanted::Sentinel => format!("{run_id}/{reign}"),
        _ => run_id.to_owned(),
    };
    let micros = says("server_time_usec").and_then(|micros| micros.parse::<u64>().ok());
    Ok(Process {
        name,
        is_wanted: wanted != Wanted::Primary || says("role") != Some("slave"),
        time: micros.map(|micros| UnixMillis(micros / 1000)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_and_its_reign() {
        let text = "# Server\r\nrun_id:abc\r\n# Replication\r\nrole:slave\r\nmaster_replid:def\r\n";
        let info = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let process = |name: &str, is_wanted| Process { name: name.to_owned(), is_wanted, time: None };
        assert_eq!(told(info(text), Wanted::Any).unwrap(), process("abc/def", true));
        assert_eq!(told(info(text), Wanted::Primary).unwrap(), process("abc/def", false));
        assert_eq!(
            told(info(&text.replace("slave", "master")), Wanted::Primary).unwrap(),
            process("abc/def", true)
        );
        assert_eq!(told(info("run_id:abc\r\n"), Wanted::Sentinel).unwrap(), process("abc", true));
        assert!(told(info("role:master\r\n"), Wanted::Any).is_err());
        let text = "run_id:abc\r\nserver_time_usec:1796047025910579\r\n";
        assert_eq!(told(info(text), Wanted::Any).unwrap().time, Some(UnixMillis(1_796_047_025_910)));
    }
}
