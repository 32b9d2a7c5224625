//! The server's process: how it starts, and what it says.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use relatch_testkit::{Device, Node, On, PASSWORD};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixDatagram};

use super::{Running, done, failed, ready, relatch, serve};

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
fn what_is_no_file_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    for arguments in [
        &["config", "check", "--config", "pipe"][..],
        &["serve", "--config", "pipe"],
        &["user", "import", "pipe"],
        &["user", "import", "/dev/zero"],
    ] {
        let message = failed(relatch(dir.path(), arguments, ""), 1);
        assert!(message.contains("it is not a regular file"), "{arguments:?}: {message}");
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
async fn the_log_level_is_changed_while_the_server_runs() {
    let dir = tempfile::tempdir().unwrap();
    let alone = failed(relatch(dir.path(), &["log", "level"], ""), 1);
    assert_eq!(alone, "relatch: no server answers at admin.socket; one that starts goes by log.level\n");
    let server = Running::start(serve(dir.path()));
    let node = ready(dir.path()).await;
    let level = |arguments: &[&str]| done(relatch(dir.path(), &[&["log", "level"], arguments].concat(), ""));
    assert_eq!(
        (level(&[]), level(&["error"]), level(&[])),
        ("info\n".into(), "error\n".into(), "error\n".into())
    );
    node.send(node.get("/openapi.json")).await.ok();
    assert_eq!(level(&["trace"]), "trace\n");
    node.send(node.get("/.well-known/jwks.json")).await.ok();
    let wrong = failed(relatch(dir.path(), &["log", "level", "loud"], ""), 1);
    assert!(wrong.contains("\"loud\" is no level"), "{wrong}");
    let log = String::from_utf8(server.stop().stderr).unwrap();
    assert!(!log.contains("/openapi.json") && log.contains("jwks.json"), "{log}");
    assert_eq!(
        log.matches("the operator has set the log level").count(),
        1,
        "at the level error it is not written"
    );
}

#[tokio::test]
async fn without_a_server_a_point_in_time_sweeps_before_the_command_ends() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(serve(dir.path()));
    let node = ready(dir.path()).await;
    done(relatch(dir.path(), &["user", "add", "ada"], PASSWORD));
    let login = json!({"username": "ada", "password": PASSWORD});
    let mut phone = Device::signed_in(&node, &node.send(node.post("/login").json(&login)).await.ok());
    assert!(server.stop().status.success());

    let ended = loop {
        done(relatch(dir.path(), &["session", "revoke", "--signed-in-before", "now", "--yes"], ""));
        let listed = done(relatch(dir.path(), &["session", "list", "ada", "--all", "--json"], ""));
        let session: Value = serde_json::from_str(&listed).unwrap();
        // Before the second of the sign-in is over, it is not before.
        if session["state"] == "ended" {
            break session["ended"].clone();
        }
    };
    assert_eq!(ended["reason"], "signed_in_before");
    assert!(ended["at"].is_string(), "it has its tombstone: {ended}");
    assert_eq!(done(relatch(dir.path(), &["session", "list", "ada", "--json"], "")), "");

    std::fs::remove_file(dir.path().join("ready")).unwrap();
    let server = Running::start(serve(dir.path()));
    phone.node = ready(dir.path()).await;
    assert_eq!(phone.refresh().await.problem(401, "session_revoked")["reason"], "signed_in_before");
    assert!(server.stop().status.success());
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
async fn on_redis_a_master_key_is_asked_for() {
    let mut app = On::redis().start().await;
    let url = app.redis().url();
    let without_key = std::process::Command::new(env!("CARGO_BIN_EXE_relatch"))
        .args(["serve"])
        .env_clear()
        .env("RELATCH__STORE__URL", &url)
        .output()
        .unwrap();
    let message = failed(without_key, 1);
    assert!(message.contains("master_key ") && message.contains("relatch key generate"), "{message}");
}

/// A sign-in of which only the head has arrived.
async fn half_a_sign_in(node: &Node) -> (TcpStream, String) {
    let body = json!({ "username": "ada", "password": PASSWORD }).to_string();
    let mut stream = TcpStream::connect(node.base().strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Once it says so, the request is under way.
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 100 "), "{:?}", String::from_utf8_lossy(&answer[..read]));
    (stream, body)
}

async fn until_refused(node: &Node) {
    while TcpStream::connect(node.base().strip_prefix("http://").unwrap()).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_server_that_is_to_stop_answers_what_is_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(serve(dir.path()));
    let node = ready(dir.path()).await;
    done(relatch(dir.path(), &["user", "add", "ada"], PASSWORD));
    let (mut stream, body) = half_a_sign_in(&node).await;
    server.signal(Signal::TERM);
    until_refused(&node).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&answer));
    let output = server.ended();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("taking no more requests"));
}

#[tokio::test]
async fn asked_twice_a_server_stops_at_once() {
    for second in [Signal::TERM, Signal::INT] {
        let dir = tempfile::tempdir().unwrap();
        let server = Running::start(serve(dir.path()));
        let node = ready(dir.path()).await;
        let (mut stream, _) = half_a_sign_in(&node).await;
        server.signal(Signal::INT);
        until_refused(&node).await;
        server.signal(second);
        let mut answer = Vec::new();
        // Ends or breaks off; an answer it is not.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{:?}", String::from_utf8_lossy(&answer));
        let output = server.ended();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("asked once more"));
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve(dir.path());
    command.env("RELATCH__OPS__LISTEN", "127.0.0.1:0").env("RELATCH__RATE_LIMIT__ENABLED", "false");
    // The pipe is full after some hundred lines, and stays so.
    let server = Running::start(command);
    let node = ready(dir.path()).await;
    for _ in 0..3000 {
        node.send(node.get("/auth/check")).await.problem(401, "authentication_required");
    }
    node.send(node.get("/health/ready")).await.expect(200);
    server.signal(Signal::TERM);
    until_refused(&node).await;
    let begun = std::time::Instant::now();
    let status = tokio::task::spawn_blocking(move || server.ended_unread()).await.unwrap();
    assert!(status.success() && begun.elapsed() < std::time::Duration::from_secs(10), "{status:?}");
}

#[tokio::test]
async fn a_master_key_that_others_can_open_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    for (mode, is_told) in [(0o600, false), (0o644, true)] {
        let server = Running::start(serve(dir.path()));
        ready(dir.path()).await;
        let log = String::from_utf8(server.stop().stderr).unwrap();
        // The first start makes it.
        assert!(!log.contains("master_key_exposed"), "{log}");
        let key = dir.path().join("data/master.key");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        std::fs::remove_file(dir.path().join("ready")).unwrap();
        let server = Running::start(serve(dir.path()));
        ready(dir.path()).await;
        let log = String::from_utf8(server.stop().stderr).unwrap();
        assert_eq!(
            log.contains("others on this machine can open the master key"),
            is_told,
            "{mode:o}: {log}"
        );
        std::fs::remove_file(dir.path().join("ready")).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[tokio::test]
async fn a_server_outlives_its_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(serve(dir.path()));
    let node = ready(dir.path()).await;
    let (mut stream, body) = {
        done(relatch(dir.path(), &["user", "add", "ada"], PASSWORD));
        half_a_sign_in(&node).await
    };
    server.signal(Signal::HUP);
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200", "{:?}", String::from_utf8_lossy(&head));
    let output = server.stop();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("SIGHUP"));
}

/// The answer to a request over a connection of its own, which the server is not asked to close.
async fn asked(node: &Node, path: &str) -> String {
    let mut stream = TcpStream::connect(node.base().strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// A server that serves on for `delay` when it is asked to stop.
fn stopping_after(dir: &Path, delay: &str) -> Running {
    let mut command = serve(dir);
    command.env("RELATCH__HTTP__STOP_DELAY", delay);
    Running::start(command)
}

async fn until_unready(node: &Node) {
    while node.send(node.get("/health/ready")).await.status == 200 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_server_that_is_to_stop_later_serves_until_then_and_says_that_it_will_not_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let server = stopping_after(dir.path(), "10m");
    let node = ready(dir.path()).await;
    server.signal(Signal::TERM);
    until_unready(&node).await;
    let unready = asked(&node, "/health/ready").await;
    assert!(unready.starts_with("HTTP/1.1 503 ") && unready.contains("about to stop"), "{unready}");
    // Each connection is closed with its answer: else these would never end.
    let keys = asked(&node, "/.well-known/jwks.json").await;
    assert!(keys.starts_with("HTTP/1.1 200 ") && keys.contains("connection: close"), "{keys}");
    server.signal(Signal::TERM);
    let output = server.ended();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("asked once more"));
}

#[tokio::test]
async fn a_server_that_is_to_stop_later_stops_when_the_time_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let server = stopping_after(dir.path(), "1s");
    ready(dir.path()).await;
    server.signal(Signal::TERM);
    let output = server.ended();
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("\"event\":\"leaving\",\"seconds\":1.0"), "{log}");
    assert!(log.contains("taking no more requests"), "{log}");
}

#[tokio::test]
async fn a_supervisor_is_told_that_the_server_listens_and_that_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    let mut command = serve(dir.path());
    command.env("NOTIFY_SOCKET", &path);
    let server = Running::start(command);
    let told = async || {
        let mut message = [0; 256];
        let length = supervisor.recv(&mut message).await.unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    assert_eq!(told().await.trim_end(), "READY=1");
    let address = std::fs::read_to_string(dir.path().join("ready")).unwrap();
    let node = Node::at(format!("http://{}", address.lines().next().unwrap()));
    assert_eq!(node.send(node.get("/health/live")).await.status, 200);
    server.signal(Signal::TERM);
    assert_eq!(told().await.trim_end(), "STOPPING=1");
    assert!(server.ended().status.success());
}
