//! The real binary, as an operator meets it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use relatch_testkit::{Node, On, PASSWORD};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Runs `relatch` in a directory, with something on standard input.
fn relatch(directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_relatch"))
        .args(arguments)
        .env_clear()
        .env("RELATCH__PASSWORD__BCRYPT_COST", "4")
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
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
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn users_are_managed_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let said =
        done(relatch(dir.path(), &["user", "add", "Ada", "--role", "admin"], "correct horse battery\n"));
    assert!(said.starts_with("ada added ("), "{said}");
    let again = failed(relatch(dir.path(), &["user", "add", "ADA"], "correct horse battery\n"), 1);
    assert!(again.contains("another user has this name"), "{again}");
    let weak = failed(relatch(dir.path(), &["user", "add", "bob"], "short\n"), 1);
    assert!(weak.contains("at least 8 characters"), "{weak}");
    done(relatch(dir.path(), &["user", "add", "bob"], "correct horse battery\n"));
    let table = done(relatch(dir.path(), &["user", "list"], ""));
    let names: Vec<_> = table.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(names, ["NAME", "ada", "bob"]);
    let json: Vec<Value> = done(relatch(dir.path(), &["user", "list", "--json"], ""))
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(json[0]["roles"], json!(["admin"]));
    assert_eq!(json[1]["roles"], json!(["user"]));
    let unknown = failed(relatch(dir.path(), &["user", "passwd", "eve"], "correct horse battery\n"), 1);
    assert!(unknown.contains("no such user"), "{unknown}");
}

#[test]
fn wrong_use_is_told_from_failure_by_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    failed(relatch(dir.path(), &["user", "ad"], ""), 2);
    failed(relatch(dir.path(), &[], ""), 2);
    done(relatch(dir.path(), &["--help"], ""));
    let message = failed(relatch(dir.path(), &["serve", "--config", "nowhere.toml"], ""), 1);
    assert_eq!(message.lines().count(), 1, "one helpful message: {message}");
    assert!(message.contains("nowhere.toml"), "{message}");
}

#[test]
fn a_generated_master_key_is_a_new_one_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) =
        (relatch(dir.path(), &["key", "generate"], ""), relatch(dir.path(), &["key", "generate"], ""));
    let (one, two) = (done(one), done(two));
    assert_ne!(one, two);
    assert_eq!(one.trim().len(), 44);
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
    fn stop(mut self) -> Output {
        let child = self.0.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        child.wait_with_output().unwrap()
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

#[tokio::test]
async fn the_first_start_without_any_configuration_shows_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(serve(dir.path()));
    let node = ready(dir.path()).await;
    let added = done(relatch(dir.path(), &["user", "add", "ada"], PASSWORD));
    assert!(added.starts_with("ada added"), "through the running server: {added}");
    let login = json!({"username": "ada", "password": PASSWORD});
    node.send(node.post("/login").json(&login)).await.ok();
    let changed = done(relatch(dir.path(), &["user", "passwd", "ada"], "another good password\n"));
    assert!(changed.contains("signed out everywhere"), "{changed}");
    node.send(node.post("/login").json(&login)).await.problem(401, "invalid_credentials");

    for (command, password, why) in [
        (["user", "add", "bob"], "Password1\n", "among the first that attackers try"),
        (["user", "add", "lovelace"], "Lovelace-2024", "little more than the name"),
        (["user", "passwd", "ada"], "passwordpassword", "among the first that attackers try"),
    ] {
        let message = failed(relatch(dir.path(), &command, password), 1);
        assert!(message.contains(why) && !message.contains(password.trim()), "{message}");
    }

    let output = server.stop();
    assert!(output.status.success(), "{output:?}");
    let (said, log) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let password = said.lines().find_map(|line| line.trim().strip_prefix("password   ")).unwrap();
    assert_eq!(said.matches(password).count(), 1);
    assert!(!log.contains(password));
    assert!(said.contains("curl http://"), "{said}");

    // The second start says nothing of it, and the password holds.
    std::fs::remove_file(dir.path().join("ready")).unwrap();
    let server = Running::start(serve(dir.path()));
    let node = ready(dir.path()).await;
    let login = json!({"username": "admin", "password": password});
    node.send(node.post("/login").json(&login)).await.ok();
    let output = server.stop();
    assert!(!String::from_utf8(output.stdout).unwrap().contains("password   "));
}

#[tokio::test]
async fn two_servers_on_one_file_is_one_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(serve(dir.path()));
    ready(dir.path()).await;
    let message = failed(serve(dir.path()).output().unwrap(), 1);
    let said: Vec<_> = message.lines().filter(|line| !line.contains("\"WARN\"")).collect();
    assert_eq!(said.len(), 1, "{message}");
    assert!(said[0].contains("relatch.redb") && said[0].contains("in use"), "{message}");
    assert!(server.stop().status.success());
}

#[tokio::test]
async fn with_redis_users_are_managed_on_the_store_itself() {
    let mut app = On::redis().start().await;
    let url = app.redis().url();
    let output = Command::new(env!("CARGO_BIN_EXE_relatch"))
        .args(["user", "list", "--json"])
        .env_clear()
        .env("RELATCH__STORE__URL", &url)
        .env("RELATCH__MASTER_KEY", relatch_testkit::app::master_key())
        .output()
        .unwrap();
    let user: Value = serde_json::from_str(&done(output)).unwrap();
    assert_eq!(user["username"], "admin");

    let without_key = Command::new(env!("CARGO_BIN_EXE_relatch"))
        .args(["serve"])
        .env_clear()
        .env("RELATCH__STORE__URL", &url)
        .output()
        .unwrap();
    let message = failed(without_key, 1);
    assert!(message.contains("master_key ") && message.contains("relatch key generate"), "{message}");
}
