//! The real binary, as an operator meets it.

mod access;
mod audit;
mod backup;
mod doctor;
mod explain;
mod first_administrator;
mod help;
mod keys;
mod misconfigured;
mod server;
mod sessions;
mod socket;
mod terminal;
mod tls;
mod transfer;
mod users;

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use relatch_testkit::{Node, On, TestApp};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A command of the binary in a directory, with nothing in its environment but these variables.
fn command(directory: &Path, variables: &[(String, String)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relatch"));
    command
        .args(arguments)
        .env_clear()
        .env("RELATCH__PASSWORD__BCRYPT_COST", "4")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command with something on standard input.
fn run(mut command: Command, input: &str) -> Output {
    let mut child = command.spawn().unwrap();
    // A command that reads nothing may be gone before this is written.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Runs `relatch` in a directory, with something on standard input.
fn relatch(directory: &Path, arguments: &[&str], input: &str) -> Output {
    run(command(directory, &[], arguments), input)
}

#[track_caller]
fn done(output: Output) -> String {
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{out}\n{err}");
    out
}

#[track_caller]
fn failed(output: Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    complaints(output.stderr)
}

/// Standard error without the warning that the settings of tests deserve.
fn complaints(stderr: Vec<u8>) -> String {
    let text = String::from_utf8(stderr).unwrap();
    let lines = text.split_inclusive('\n');
    lines.filter(|line| !line.starts_with("warning: password.bcrypt_cost ")).collect()
}

/// Settings of a server of its own in this directory, as variables.
fn serve(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relatch"));
    command
        .args(["serve", "--ready-file", "ready"])
        .env_clear()
        .env("RELATCH__PASSWORD__BCRYPT_COST", "4")
        .env("RELATCH__HTTP__LISTEN", "localhost:0")
        .env("RELATCH__OPS__LISTEN", "127.0.0.1:0")
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

async fn ready(directory: &Path) -> Node {
    let file = directory.join("ready");
    loop {
        if let Ok(text) = std::fs::read_to_string(&file) {
            let node = Node::at(format!("http://{}", text.lines().next().unwrap()));
            node.until_ready().await;
            return node;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// A server that we started. It ends with the test, however the test ends.
struct Running(Option<Child>);

impl Running {
    fn start(mut command: Command) -> Self {
        Self(Some(command.spawn().unwrap()))
    }

    /// Asks it to stop, as its operator would, and gives what it has said.
    fn stop(self) -> Output {
        self.signal(Signal::TERM);
        self.ended()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.0.as_ref().unwrap()), signal).unwrap();
    }

    /// How it has ended, though nobody has read what it said.
    fn ended_unread(mut self) -> ExitStatus {
        self.0.take().unwrap().wait().unwrap()
    }

    /// What it has said until its end.
    fn ended(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A place where an operator works: a running application, and how its commands reach the store.
struct Place {
    app: TestApp,
    variables: Vec<(String, String)>,
    dir: TempDir,
}

impl Place {
    /// The embedded store, through the socket of the server that owns it.
    async fn embedded() -> Self {
        Self::of(On::embedded(), TempDir::new().unwrap(), true).await
    }

    /// Redis, through the socket of a server.
    async fn redis_through_a_socket() -> Self {
        Self::of(On::redis(), TempDir::new().unwrap(), true).await
    }

    /// Redis itself, beside the running server.
    async fn redis_itself() -> Self {
        Self::of(On::redis(), TempDir::new().unwrap(), false).await
    }

    async fn of(on: On, dir: TempDir, socket: bool) -> Self {
        let path = dir.path().join("admin.sock");
        let app = on.set("admin.socket", path.to_str().unwrap()).start().await;
        let mut variables = app.environment();
        if !socket {
            variables.retain(|(name, _)| name != "RELATCH__ADMIN__SOCKET");
        }
        Self { app, variables, dir }
    }

    /// A command that is yet to be run.
    fn command(&self, arguments: &[&str]) -> Command {
        command(self.dir.path(), &self.variables, arguments)
    }

    /// Runs `relatch` with something on standard input.
    fn relatch(&self, arguments: &[&str], input: &str) -> Output {
        run(self.command(arguments), input)
    }

    /// What a command prints that does what it should.
    #[track_caller]
    fn does(&self, arguments: &[&str]) -> String {
        done(self.relatch(arguments, ""))
    }

    /// What a command says on standard error that ends with this code.
    #[track_caller]
    fn fails(&self, arguments: &[&str], code: i32) -> String {
        failed(self.relatch(arguments, ""), code)
    }

    /// The documents that a command prints, one on each line.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let text = self.does(&[arguments, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The one document that a command prints.
    #[track_caller]
    fn object(&self, arguments: &[&str]) -> Value {
        let mut all = self.json(arguments);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// A table's rows as cells, the headers first. Columns are two spaces or more apart.
    #[track_caller]
    fn table(&self, arguments: &[&str]) -> Vec<Vec<String>> {
        let text = self.does(arguments);
        let cells = text.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()));
        cells.map(|cells| cells.map(str::to_owned).collect()).collect()
    }
}

/// One test for each way on which commands reach the store.
macro_rules! on_each_way {
    ($($(#[$meta:meta])* async fn $name:ident($place:ident: Place) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn test($place: crate::cli::Place) $body

            #[tokio::test]
            async fn on_the_embedded_store() {
                test(crate::cli::Place::embedded().await).await;
            }

            #[tokio::test]
            async fn on_redis_through_a_socket() {
                test(crate::cli::Place::redis_through_a_socket().await).await;
            }

            #[tokio::test]
            async fn on_redis_itself() {
                test(crate::cli::Place::redis_itself().await).await;
            }
        }
    )*};
}
use on_each_way;
