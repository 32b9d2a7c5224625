//! What is sent to Redis: a command, or the run of a script.

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{Arg, Cmd, ErrorKind, Pipeline, RedisResult, ServerErrorKind, ToRedisArgs, Value};

use super::failure::Effect;
use crate::store::shard::slot_of_key;

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

    /// The commands that run it, by its hash and by its text. What only reads may run on a replica as well.
    const fn commands(&self) -> [&'static str; 2] {
        match self.effect {
            Effect::Writes => ["EVALSHA", "EVAL"],
            Effect::Reads => ["EVALSHA_RO", "EVAL_RO"],
        }
    }

    /// Begins a request that runs the script on these keys, which are all in one slot.
    pub(super) fn on<const N: usize>(&'static self, keys: [&str; N]) -> Request {
        let slot = keys.first().map_or(0, |key| slot_of_key(key));
        debug_assert!(keys.iter().all(|key| slot_of_key(key) == slot), "{keys:?} are in several slots");
        // Room for a refresh, the most frequent of them.
        let mut cmd = Cmd::with_capacity(N + 7, 400);
        let [by_hash, _] = self.commands();
        cmd.arg(by_hash).arg(self.sha.as_str()).arg(N);
        for key in keys {
            cmd.arg(key);
        }
        Request { slot, effect: self.effect, what: What::Script(self, cmd) }
    }
}

/// One request: one write to the connection, one answer.
pub(super) struct Request {
    /// The hash slot of its keys, by which a Cluster finds the process.
    pub(super) slot: u16,
    pub(super) effect: Effect,
    what: What,
}

enum What {
    Command(Cmd),
    Script(&'static Script, Cmd),
}

impl Request {
    /// A command that does not write, on this key.
    pub(super) fn read(name: &str, key: &str) -> Self {
        Self::command(Effect::Reads, name, key)
    }

    /// A command that writes, on this key.
    pub(super) fn write(name: &str, key: &str) -> Self {
        Self::command(Effect::Writes, name, key)
    }

    fn command(effect: Effect, name: &str, key: &str) -> Self {
        let mut cmd = Cmd::new();
        cmd.arg(name).arg(key);
        Self { slot: slot_of_key(key), effect, what: What::Command(cmd) }
    }

    /// A command on no key. It does not write.
    pub(super) fn keyless(words: &[&str]) -> Self {
        let mut cmd = Cmd::new();
        cmd.arg(words);
        Self { slot: 0, effect: Effect::Reads, what: What::Command(cmd) }
    }

    /// Adds an argument.
    pub(super) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        let (What::Command(cmd) | What::Script(_, cmd)) = &mut self.what;
        cmd.arg(argument);
        self
    }

    /// Sends the request. A script that the server does not know had no effect, and is sent once more in full.
    pub(super) async fn send(
        &self,
        connection: &mut MultiplexedConnection,
        way: Entry,
    ) -> RedisResult<Value> {
        match &self.what {
            What::Command(cmd) => ask(connection, cmd, way).await,
            What::Script(script, cmd) => match ask(connection, cmd, way).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    Box::pin(ask(connection, &in_full(script, cmd), way)).await
                }
                answer => answer,
            },
        }
    }

    /// Sends several requests at once, none of them a script. Gives their answers, errors among them.
    pub(super) async fn send_all(
        requests: &[&Self],
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<Vec<Value>> {
        let mut pipeline = Pipeline::with_capacity(requests.len());
        for request in requests {
            let (What::Command(cmd) | What::Script(_, cmd)) = &request.what;
            pipeline.add_command(cmd.clone());
        }
        connection.send_packed_commands(&pipeline, 0, requests.len()).await
    }
}

/// How a request comes in at a server of a Cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// By its keys.
    Plainly,
    /// Sent there by another server, which is giving up the keys' slot (`ASKING`).
    Asking,
}

async fn ask(connection: &mut MultiplexedConnection, cmd: &Cmd, way: Entry) -> RedisResult<Value> {
    match way {
        Entry::Plainly => connection.send_packed_command(cmd).await?.extract_error(),
        Entry::Asking => Box::pin(ask_there(connection, cmd)).await,
    }
}

async fn ask_there(connection: &mut MultiplexedConnection, cmd: &Cmd) -> RedisResult<Value> {
    // It holds for the command behind it, between which and itself nothing else may come.
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.cmd("ASKING").add_command(cmd.clone());
    let mut answers = connection.send_packed_commands(&pipeline, 1, 1).await?;
    answers.pop().unwrap_or(Value::Nil).extract_error()
}

/// The same run of a script, with its text in place of its hash.
fn in_full(script: &Script, by_hash: &Cmd) -> Cmd {
    let mut cmd = Cmd::new();
    let [_, in_full] = script.commands();
    cmd.arg(in_full).arg(script.code);
    for argument in by_hash.args_iter().skip(2) {
        if let Arg::Simple(bytes) = argument {
            cmd.arg(bytes);
        }
    }
    cmd
}
