//! Requests that can be sent again, to any node: over HTTP, or as an operator's command through the node's socket.

use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;
use relatch::operator::{Command, Reply};
use relatch_testkit::{Answer, Device, Node};
use serde_json::Value;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpStream, UnixStream};

/// A request that can be sent again.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Http {
        method: &'static str,
        path: String,
        bearer: Option<String>,
        cookies: Option<String>,
        body: Value,
    },
    /// A command as it goes through the socket.
    Command(Value),
}

impl Call {
    pub(super) fn new(method: &'static str, path: &str, bearer: Option<&Device>, body: Value) -> Self {
        let bearer = bearer.map(|device| device.pair.access.clone());
        Self::Http { method, path: path.to_owned(), bearer, cookies: None, body }
    }

    /// The same request with cookies.
    pub(super) fn with_cookies(mut self, all: String) -> Self {
        if let Self::Http { cookies, .. } = &mut self {
            *cookies = Some(all);
        }
        self
    }

    pub(super) fn command(command: &Command) -> Self {
        Self::Command(serde_json::to_value(command).unwrap())
    }

    /// Nothing if the node is gone before it answers.
    pub(super) async fn try_send(&self, node: &Node) -> Option<Answer> {
        match self {
            Self::Http { method, path, bearer, cookies, body } => {
                let mut request = node.request(method, path);
                if let Some(token) = bearer {
                    request = request.bearer_auth(token);
                }
                if let Some(cookies) = cookies {
                    request = request.header("Cookie", cookies).header("Sec-Fetch-Site", "same-origin");
                }
                if !body.is_null() {
                    request = request.json(body);
                }
                let response = request.send().await.ok()?;
                Some(Answer::read(format!("{method} {path}"), response).await)
            }
            Self::Command(command) => {
                let line = ask(node.socket(), command).await?;
                Some(told(command, &line))
            }
        }
    }

    pub(super) async fn send(&self, node: &Node) -> Answer {
        self.try_send(node).await.expect("an answer")
    }

    /// Sends it over a connection of its own and resets that after some time. Whether it was not answered until then.
    pub(super) async fn send_and_reset(&self, node: &Node, after: Duration) -> bool {
        match self {
            Self::Http { .. } => {
                let stream = TcpStream::connect(node.base().strip_prefix("http://").unwrap()).await.unwrap();
                stream.set_zero_linger().unwrap();
                leave(stream, &self.bytes(), after).await
            }
            Self::Command(command) => {
                let stream = UnixStream::connect(node.socket()).await.unwrap();
                leave(stream, format!("{command}\n").as_bytes(), after).await
            }
        }
    }

    /// The request as it goes over the wire.
    fn bytes(&self) -> Vec<u8> {
        let Self::Http { method, path, bearer, cookies, body } = self else { unreachable!() };
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n");
        for (name, value) in [("Authorization: Bearer", bearer), ("Cookie:", cookies)] {
            head.extend(value.iter().map(|value| format!("{name} {value}\r\n")));
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        format!("{head}Sec-Fetch-Site: same-origin\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .into_bytes()
    }
}

async fn leave(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8], after: Duration) -> bool {
    stream.write_all(request).await.unwrap();
    // The moment is what is tried, there is nothing to wait for.
    tokio::time::sleep(after).await;
    stream.read(&mut [0; 1]).now_or_never().is_none()
}

async fn ask(socket: &Path, command: &Value) -> Option<String> {
    let mut stream = BufReader::new(UnixStream::connect(socket).await.ok()?);
    stream.write_all(format!("{command}\n").as_bytes()).await.ok()?;
    let mut line = String::new();
    let length = stream.read_line(&mut line).await.ok()?;
    (length > 0).then_some(line)
}

/// A reply, with the status that HTTP has for such a thing.
fn told(command: &Value, line: &str) -> Answer {
    let status = match serde_json::from_str(line).unwrap() {
        Reply::Refused { message } if message.starts_with("there is no user") => 404,
        Reply::Refused { message } if message == "another user has this name" => 409,
        Reply::Refused { .. } => 503,
        _ => 200,
    };
    Answer::of(command["command"].to_string(), status, line.to_owned())
}
