//! The first administrator's password: shown when it can be used, and shown again if it was not.

use std::io::{BufRead as _, BufReader, PipeWriter, Write as _, pipe};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Output, Stdio};

use relatch_testkit::app::master_key;
use relatch_testkit::{Node, redis_server::RedisServer};
use rustix::process::Signal;
use serde_json::json;

use super::{Running, ready, serve};

/// The passwords that a server has shown.
fn shown(output: &Output) -> Vec<String> {
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    let passwords = said.lines().filter_map(|line| line.trim().strip_prefix("password   "));
    passwords.map(str::to_owned).collect()
}

async fn signs_in(node: &Node, password: &str) {
    node.send(node.post("/login").json(&json!({"username": "admin", "password": password}))).await.ok();
}

/// Starts a server and lets it stop: the one password that it shows signs the administrator in, then and later.
async fn shows_one_that_holds(dir: &Path) {
    let _ = std::fs::remove_file(dir.join("ready"));
    let server = Running::start(serve(dir));
    ready(dir).await;
    let passwords = shown(&server.stop());
    assert_eq!(passwords.len(), 1, "{passwords:?}");
    let _ = std::fs::remove_file(dir.join("ready"));
    let server = Running::start(serve(dir));
    signs_in(&ready(dir).await, &passwords[0]).await;
    assert_eq!(shown(&server.stop()), Vec::<String>::new());
}

#[tokio::test]
async fn a_port_in_use_costs_no_password() {
    let dir = tempfile::tempdir().unwrap();
    for variable in ["RELATCH__HTTP__LISTEN", "RELATCH__OPS__LISTEN"] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = serve(dir.path());
        command.env(variable, taken.local_addr().unwrap().to_string());
        let output = Running::start(command).ended();
        assert!(!output.status.success());
        assert_eq!(shown(&output), Vec::<String>::new());
    }
    shows_one_that_holds(dir.path()).await;
}

#[tokio::test]
async fn a_password_that_nobody_could_read_is_followed_by_another() {
    let dir = tempfile::tempdir().unwrap();
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut command = serve(dir.path());
    command.stdout(writer);
    let server = Running::start(command);
    ready(dir.path()).await;
    let log = String::from_utf8(server.stop().stderr).unwrap();
    assert!(log.contains("password could not be shown"), "{log}");
    shows_one_that_holds(dir.path()).await;
}

/// A pipe that is full, and stays so while the reader is there.
fn full_pipe() -> (std::io::PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&b" ".repeat(65_536)).unwrap();
    (reader, writer)
}

#[tokio::test]
async fn a_server_that_is_killed_while_it_shows_the_password_shows_another() {
    let dir = tempfile::tempdir().unwrap();
    let (_reader, writer) = full_pipe();
    let mut command = serve(dir.path());
    command.stdout(writer).stderr(Stdio::piped());
    let mut server = Running::start(command);
    let log = server.0.as_mut().unwrap().stderr.take().unwrap();
    let made = BufReader::new(log).lines().any(|line| line.unwrap().contains("user_created"));
    assert!(made, "the user is made before the password is shown");
    server.signal(Signal::KILL);
    server.ended_unread();
    shows_one_that_holds(dir.path()).await;
}

fn serve_on(dir: &Path, redis: &RedisServer) -> std::process::Command {
    let mut command = serve(dir);
    command.env("RELATCH__STORE__URL", redis.url()).env("RELATCH__MASTER_KEY", master_key());
    command
}

#[tokio::test]
async fn of_servers_that_start_at_once_on_one_redis_one_shows_a_password() {
    let redis = RedisServer::start().await;
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let servers = dirs.each_ref().map(|dir| Running::start(serve_on(dir.path(), &redis)));
    let mut nodes = Vec::new();
    for dir in &dirs {
        nodes.push(ready(dir.path()).await);
    }
    // The servers print what they have to before they are ready.
    let node = nodes.remove(0);
    let mut passwords = Vec::new();
    let mut left = Vec::new();
    for (number, server) in servers.into_iter().enumerate() {
        if number == 0 {
            left.push(server);
        } else {
            passwords.extend(shown(&server.stop()));
        }
    }
    if let Some(password) = passwords.first() {
        signs_in(&node, password).await;
    }
    for server in left {
        passwords.extend(shown(&server.stop()));
    }
    assert_eq!(passwords.len(), 1, "{passwords:?}");
}

#[tokio::test]
async fn on_redis_another_server_takes_the_place_of_one_that_was_killed() {
    let redis = RedisServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let (_reader, writer) = full_pipe();
    let mut command = serve_on(dir.path(), &redis);
    command.stdout(writer);
    let mut server = Running::start(command);
    let log = server.0.as_mut().unwrap().stderr.take().unwrap();
    assert!(BufReader::new(log).lines().any(|line| line.unwrap().contains("user_created")));
    server.signal(Signal::KILL);
    server.ended_unread();
    let other = Running::start(serve_on(dir.path(), &redis));
    ready(dir.path()).await;
    assert_eq!(shown(&other.stop()).len(), 1);
}
