//! A TCP proxy that counts what goes over the wire: to show how many round trips a step takes.
#![expect(clippy::expect_used, reason = "a test without its proxy must fail loudly")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a client has sent since the last [`Wire::reset`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// How often something arrived: an upper bound of one for each write of the client, if it awaits each answer.
    pub reads: usize,
    /// How many connections were opened.
    pub connections: usize,
    /// How often each command was sent, by its name in capitals.
    pub commands: BTreeMap<String, usize>,
}

/// A proxy in front of Redis.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    sent: Arc<Mutex<Sent>>,
    cut: watch::Sender<u64>,
}

impl Wire {
    /// Starts a proxy in front of `redis`. It runs until the runtime ends.
    pub async fn to(redis: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let sent = Arc::new(Mutex::new(Sent::default()));
        let (cut, cuts) = watch::channel(0);
        let counter = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counted(&counter, |sent| sent.connections += 1);
                tokio::spawn(relay(client, redis, Arc::clone(&counter), cuts.clone()));
            }
        });
        Self { address, sent, cut }
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// What was sent since the last reset.
    pub fn sent(&self) -> Sent {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts from zero again.
    pub fn reset(&self) {
        counted(&self.sent, |sent| *sent = Sent::default());
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

fn counted(sent: &Mutex<Sent>, change: impl FnOnce(&mut Sent)) {
    change(&mut sent.lock().unwrap_or_else(PoisonError::into_inner));
}

async fn relay(client: TcpStream, redis: SocketAddr, sent: Arc<Mutex<Sent>>, mut cuts: watch::Receiver<u64>) {
    let Ok(server) = TcpStream::connect(redis).await else { return };
    // Nagle's algorithm would make two writes look like one.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    cuts.mark_unchanged();
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    tokio::select! {
        () = requests(from_client, to_server, &sent) => {}
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
        _ = cuts.changed() => {}
    }
}

async fn requests(mut client: OwnedReadHalf, mut server: OwnedWriteHalf, sent: &Mutex<Sent>) {
    let mut buffer = vec![0; 64 * 1024];
    let mut commands = Commands::default();
    while let Ok(length @ 1..) = client.read(&mut buffer).await {
        let Some(bytes) = buffer.get(..length) else { return };
        let names = commands.take(bytes);
        counted(sent, |sent| {
            sent.reads += 1;
            for name in names {
                *sent.commands.entry(name).or_default() += 1;
            }
        });
        if server.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// Reads commands as clients send them: lists of strings with their lengths (RESP2, the same in RESP3).
#[derive(Debug, Default)]
pub(crate) struct Commands(Vec<u8>);

impl Commands {
    /// The names of the commands that are complete with these bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(bytes);
        let mut names = Vec::new();
        while let Some((name, length)) = first_command(&self.0) {
            names.push(name);
            self.0.drain(..length);
        }
        names
    }
}

/// The name and the length of the first command, if all of it is there.
fn first_command(bytes: &[u8]) -> Option<(String, usize)> {
    let (strings, mut at) = header(bytes, 0, b'*')?;
    let mut name = None;
    for _ in 0..strings {
        let (length, start) = header(bytes, at, b'$')?;
        let string = bytes.get(start..start.checked_add(length)?)?;
        name.get_or_insert_with(|| String::from_utf8_lossy(string).to_uppercase());
        at = start + length + 2;
        bytes.get(..at)?;
    }
    Some((name?, at))
}

/// The number after `mark` at this place, and where what it counts begins.
fn header(bytes: &[u8], at: usize, mark: u8) -> Option<(usize, usize)> {
    let rest = bytes.get(at..)?.strip_prefix(&[mark])?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let number = std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()?;
    Some((number, at + 1 + end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_counted_once_however_they_are_cut() {
        let bytes = b"*1\r\n$4\r\nping\r\n*2\r\n$3\r\nGET\r\n$3\r\n\r\nk\r\n*1\r\n$4\r\nPI";
        for size in 1..bytes.len() {
            let mut commands = Commands::default();
            let names: Vec<_> = bytes.chunks(size).flat_map(|chunk| commands.take(chunk)).collect();
            assert_eq!(names, ["PING", "GET"], "cut after each {size}");
        }
    }
}
