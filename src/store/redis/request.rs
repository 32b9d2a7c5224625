//! What is sent to Redis: a command, or the run of a script.

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{Arg, Cmd, ErrorKind, Pipeline, RedisResult, ServerErrorKind, ToRedisArgs, Value};

use super::failure::Effect;

/// A script of ours. Its contract stands in the head of its file.
pub(super) struct Script {
    code: &'static str,
    effect: Effect,
    sha: LazyLock<String>,
}

/// Names a script: either one file, or a line of flags and several files, of which the last is the script itself and the
/// others are what it shares with others.
macro_rules! script {
    ($name:literal, $effect:expr) => {
        script!(@ include_str!(concat!("scripts/", $name, ".lua")), $effect)
    };
    ($flags:literal, [$($name:literal),+], $effect:expr) => {
        script!(@ concat!($flags, "\n", $(include_str!(concat!("scripts/", $name, ".lua"))),+), $effect)
    };
    (@ $code:expr, $effect:expr) => {{
        const CODE: &str = $code;
        $crate::store::redis::request::Script::new(CODE, $effect, || {
            redis::Script::new(CODE).get_hash().to_owned()
        })
    }};
}
pub(super) use script;

impl Script {
    pub(super) const fn new(code: &'static str, effect: Effect, sha: fn() -> String) -> Self {
        Self { code, effect, sha: LazyLock::new(sha) }
    }

    /// Begins a request that runs the script on these keys.
    pub(super) fn on<const N: usize>(&'static self, keys: [&str; N]) -> Request {
        let mut cmd = Cmd::new();
        cmd.arg("EVALSHA").arg(self.sha.as_str()).arg(N);
        for key in keys {
            cmd.arg(key);
        }
        Request { effect: self.effect, what: What::Script(self, cmd) }
    }
}

/// One request: one write to the connection, one answer.
pub(super) struct Request {
    pub(super) effect: Effect,
    what: What,
}

enum What {
    Command(Cmd),
    Commands(Pipeline),
    Script(&'static Script, Cmd),
}

impl Request {
    /// A command that does not write.
    pub(super) fn read(cmd: Cmd) -> Self {
        Self { effect: Effect::Reads, what: What::Command(cmd) }
    }

    /// A command that writes.
    pub(super) fn write(cmd: Cmd) -> Self {
        Self { effect: Effect::Writes, what: What::Command(cmd) }
    }

    /// Several commands that do not write, answered by a list.
    pub(super) fn reads(commands: Pipeline) -> Self {
        Self { effect: Effect::Reads, what: What::Commands(commands) }
    }

    /// Adds an argument.
    pub(super) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        if let What::Command(cmd) | What::Script(_, cmd) = &mut self.what {
            cmd.arg(argument);
        }
        self
    }

    /// Sends the request. A script that the server does not know had no effect, and is sent once more in full.
    pub(super) async fn send(&self, connection: &mut MultiplexedConnection) -> RedisResult<Value> {
        match &self.what {
            What::Command(cmd) => ask(connection, cmd).await,
            What::Commands(commands) => commands.query_async(connection).await,
            What::Script(script, cmd) => match ask(connection, cmd).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    ask(connection, &in_full(script, cmd)).await
                }
                answer => answer,
            },
        }
    }
}

async fn ask(connection: &mut MultiplexedConnection, cmd: &Cmd) -> RedisResult<Value> {
    connection.send_packed_command(cmd).await?.extract_error()
}

/// The same run of a script, with its text in place of its hash.
fn in_full(script: &Script, by_hash: &Cmd) -> Cmd {
    let mut cmd = Cmd::new();
    cmd.arg("EVAL").arg(script.code);
    for argument in by_hash.args_iter().skip(2) {
        if let Arg::Simple(bytes) = argument {
            cmd.arg(bytes);
        }
    }
    cmd
}
