//! The bytes of a connection to the main listener of a whole server, over the loopback interface: what is parsed as HTTP, by
//! actix and by what stands before it, as well as what follows.
//!
//! The input is what is sent. Two words in it stand for what a small file cannot show: [`PAUSE`] ends a write, and [`LONG`] is a
//! long run of letters. After the last byte the client has no more to say, so the connection must come to its end.

use std::collections::HashSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use relatch::http::error::Code;
use relatch::startup::{Server, Surroundings, block_on};
use serde_json::Value;
use tempfile::TempDir;

use crate::http::{part, replaced, settings};

/// What stands before it is sent by itself.
pub const PAUSE: &str = "{PAUSE}";
/// Stands for as many bytes as the longest number of 16 bits counts, and one more.
pub const LONG: &str = "{LONG}";

/// How long the server may take to answer and to end the connection: longer than a head and its end may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a write waits for the one before to have been read.
const BETWEEN_WRITES: Duration = Duration::from_millis(2);

/// Sends the bytes. Whatever they are, nothing panics, all that comes back is whole answers, each of them no failure of the
/// server and, if it is a refusal, a documented one; and then the connection ends.
pub fn look_at(data: &[u8]) {
    static SERVER: LazyLock<SocketAddr> = LazyLock::new(start);
    let panics = PANICS.load(Ordering::SeqCst);
    let answer = exchange(*SERVER, data);
    assert_eq!(PANICS.load(Ordering::SeqCst), panics, "something panicked");
    judge(&answer);
}

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Starts a server that goes on for as long as the process.
fn start() -> SocketAddr {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        usual(panic);
    }));
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        // The store's file loses its name at once and lives on as long as it is open: nothing is left behind.
        let directory = TempDir::new().expect("a temporary directory");
        block_on(async {
            let server = Server::build(&settings(directory.path()), Surroundings::default()).await;
            let server = server.expect("a server");
            drop(directory);
            tell.send(server.address()).expect("whoever waits for it");
            server.run().await.expect("a server that goes on");
        });
    });
    told.recv_timeout(PATIENCE).expect("a server that listens")
}

fn exchange(server: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    let mut rest = data;
    loop {
        let (write, later) =
            part(rest, PAUSE.as_bytes()).map_or((rest, None), |(write, later)| (write, Some(later)));
        // A server that has had enough may close before it has read all; what it said is there to be read.
        let is_sent = stream.write_all(&replaced(write, LONG, &"a".repeat(1 << 16))).is_ok();
        match later {
            Some(later) if is_sent => rest = later,
            _ => break,
        }
        std::thread::sleep(BETWEEN_WRITES);
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection does not end: {error}"),
    }
    answer
}

/// Judges all that came back on a connection.
fn judge(answer: &[u8]) {
    let mut rest = answer;
    while !rest.is_empty() {
        let (head, body) = part(rest, b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(head).expect("a head in ASCII");
        let status = head.strip_prefix("HTTP/1.").and_then(|line| line.get(2..5)).expect("a status line");
        let status = status.parse::<u16>().expect("a status");
        let field = |name: &str| {
            let mut fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
            fields.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        assert!(field("transfer-encoding").is_none(), "all answers have a length");
        let length = field("content-length").map_or(0, |length| length.parse().expect("a length"));
        // The answer to HEAD announces a body that does not come.
        let has_body = !body.is_empty() && !body.starts_with(b"HTTP/1.");
        let (body, later) = body.split_at(if has_body { length } else { 0 });
        judge_one(status, field("content-type"), body);
        rest = later;
    }
}

fn judge_one(status: u16, media_type: Option<&str>, body: &[u8]) {
    static DOCUMENTED: LazyLock<HashSet<(u16, &str)>> =
        LazyLock::new(|| Code::ALL.iter().map(|code| (code.entry().status, code.entry().error)).collect());
    assert_ne!(status, 500, "the server failed");
    if status < 400 {
        return;
    }
    assert_eq!(media_type, Some("application/problem+json"), "{status}");
    if !body.is_empty() {
        let problem: Value = serde_json::from_slice(body).expect("JSON");
        let error = problem["error"].as_str().expect("a code");
        assert!(DOCUMENTED.contains(&(status, error)), "{status} {error} is not documented");
    }
}
