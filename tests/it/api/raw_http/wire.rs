//! Bytes to the server and bytes back, with nobody in between who would know better.

use std::io::ErrorKind;
use std::time::Duration;

use relatch_testkit::TestApp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A good request.
pub(in crate::api) const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
/// A good request after whose answer the connection ends, so that all answers can be counted.
pub(in crate::api) const LAST: &str = "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// How long the server may take to answer and close.
const PATIENCE: Duration = Duration::from_secs(20);

/// A response.
#[derive(Debug)]
pub(in crate::api) struct Reply {
    pub(in crate::api) status: u16,
    headers: Vec<(String, String)>,
    pub(in crate::api) body: Vec<u8>,
}

impl Reply {
    /// An error, of the server or of its HTTP library, is a problem with the id of its request.
    #[track_caller]
    fn is_a_problem(&self) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.header("cross-origin-resource-policy"), Some("same-origin"), "{self:?}");
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], self.status, "{self:?}");
        assert!(problem["instance"].is_string(), "{self:?}");
        assert_eq!(problem["instance"].as_str(), self.header("x-request-id"), "{self:?}");
    }

    /// A header's value.
    pub(in crate::api) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The statuses of all replies.
pub(in crate::api) fn statuses(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.status).collect()
}

/// Sends bytes and reads replies until the server closes.
pub(in crate::api) async fn exchange(app: &TestApp, bytes: &[u8]) -> Vec<Reply> {
    exchange_in_pieces(app, bytes, bytes.len()).await
}

/// The same, in segments of so many bytes.
pub(in crate::api) async fn exchange_in_pieces(app: &TestApp, bytes: &[u8], size: usize) -> Vec<Reply> {
    let mut stream = connect(app).await;
    send(&mut stream, bytes, size).await;
    replies(&read_to_end(stream, bytes).await, true)
}

/// The same, with no more to come after these bytes.
pub(in crate::api) async fn exchange_and_hang_up(app: &TestApp, bytes: &[u8]) -> Vec<Reply> {
    let mut stream = connect(app).await;
    send(&mut stream, bytes, bytes.len()).await;
    stream.shutdown().await.unwrap();
    replies(&read_to_end(stream, bytes).await, true)
}

/// Sends bytes, and then the same piece again and again until the server has had enough.
pub(in crate::api) async fn exchange_and_go_on(
    app: &TestApp,
    bytes: &[u8],
    piece: &[u8],
    every: Duration,
) -> Vec<Reply> {
    let mut stream = connect(app).await;
    send(&mut stream, bytes, bytes.len()).await;
    let (reader, mut writer) = stream.into_split();
    let go_on = async {
        while writer.write_all(piece).await.is_ok() {
            tokio::time::sleep(every).await;
        }
    };
    let (read, ()) = futures_util::future::join(read_to_end(reader, bytes), go_on).await;
    replies(&read, true)
}

/// The one reply to a HEAD, which announces a body that does not come.
pub(in crate::api) async fn exchange_for_head(app: &TestApp, bytes: &[u8]) -> Reply {
    let mut stream = connect(app).await;
    send(&mut stream, bytes, bytes.len()).await;
    let mut replies = replies(&read_to_end(stream, bytes).await, false);
    assert_eq!(replies.len(), 1, "{replies:?}");
    replies.remove(0)
}

pub(in crate::api) async fn connect(app: &TestApp) -> TcpStream {
    let address = app.node.base().strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn send(stream: &mut TcpStream, bytes: &[u8], size: usize) {
    for piece in bytes.chunks(size) {
        if stream.write_all(piece).await.is_err() {
            // The server has closed already; what it said is there to be read.
            return;
        }
    }
}

async fn read_to_end(mut stream: impl AsyncRead + Unpin, sent: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    let mut end = async || loop {
        match stream.read_buf(&mut read).await {
            Ok(0) => return,
            Ok(_) => {}
            // A server that does not read to the end resets the connection.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("{error}"),
        }
    };
    let ended = tokio::time::timeout(PATIENCE, end()).await;
    let start = String::from_utf8_lossy(&sent[..sent.len().min(200)]);
    assert!(ended.is_ok(), "not closed after {start:?}; read {:?}", String::from_utf8_lossy(&read));
    read
}

/// The replies that the bytes are made of, to the last byte.
fn replies(bytes: &[u8], with_bodies: bool) -> Vec<Reply> {
    let mut rest = bytes;
    let mut replies = Vec::new();
    while !rest.is_empty() {
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(&rest[..end]).expect("ASCII");
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").expect("a field"));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let mut reply = Reply { status, headers, body: Vec::new() };
        rest = &rest[end + 4..];
        if with_bodies {
            let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
            reply.body = rest[..length].to_vec();
            rest = &rest[length..];
            if status >= 400 {
                reply.is_a_problem();
            }
        }
        replies.push(reply);
    }
    replies
}
