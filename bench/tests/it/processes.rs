//! The processes that the tests need, each started by the test itself.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A process that ends with the test.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Redis that listens on nothing but a socket in `dir`, so that no port can be taken.
pub(crate) fn start_redis(dir: &Path) -> (Process, String) {
    let socket = dir.join("redis.sock");
    let child = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
        .arg(&socket)
        .arg("--dir")
        .arg(dir)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server must be installed");
    let redis = Process(child);
    wait_until("Redis answers", || UnixStream::connect(&socket).is_ok());
    (redis, format!("redis+unix://{}", socket.display()))
}

pub(crate) fn start_floor(dir: &Path, redis: &str, algorithm: &str) -> (Process, SocketAddr) {
    let ready_file = dir.join(format!("floor-{algorithm}.ready"));
    let child = Command::new(env!("CARGO_BIN_EXE_floor"))
        .args(["--redis", redis, "--algorithm", algorithm, "--workers", "2", "--ready-file"])
        .arg(&ready_file)
        .spawn()
        .unwrap();
    let floor = Process(child);
    wait_until("the floor is ready", || ready_file.exists());
    let ready = std::fs::read_to_string(ready_file).unwrap();
    (floor, ready.lines().next().unwrap().parse().unwrap())
}

/// Runs the `crowd` command to its end.
pub(crate) fn crowd(store: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crowd")).args(store).args(["--users", "300"]).output().unwrap()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn load(address: SocketAddr, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["--url", &format!("http://{address}"), "--duration", "300ms", "--warmup", "50ms", "--json"])
        .args(arguments)
        .output()
        .unwrap()
}

/// Lets everybody sign in and refuses every refresh.
pub(crate) fn start_refusing_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = BufReader::new(stream.unwrap());
                while let Some(path) = read_request(&mut stream) {
                    let (status, body) = if path == "/login" {
                        ("200 OK", r#"{"access_token":"a","refresh_token":"r"}"#)
                    } else {
                        ("409 Conflict", r#"{"error":"refresh_superseded"}"#)
                    };
                    let head = format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n");
                    let answer = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
                    stream.get_mut().write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    address
}

/// The path of the next request, once all of it was read.
fn read_request(stream: &mut impl BufRead) -> Option<String> {
    let mut lines = stream.by_ref().lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let length = lines
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix("Content-Length: ").map(str::to_owned))?;
    let mut rest = String::new();
    stream.read_line(&mut rest).ok()?;
    let mut body = vec![0; length.parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    Some(path)
}
