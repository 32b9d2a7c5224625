//! The operator's door into a running server: a Unix socket that only the server's own user can open (mode 0600).
//!
//! One connection carries one command: a line of JSON, and a line of JSON in answer.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{Command, Reply, execute};
use crate::app::App;

/// Longest command, in bytes.
const MAX_COMMAND: u64 = 64 * 1024;
/// Longest answer, in bytes: a thousand users with long names and all roles and attributes.
const MAX_REPLY: u64 = 8 * 1024 * 1024;
/// How long a command may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(5);
/// How long either side waits for the other. Ending the sessions of a client visits every user there is.
const PATIENCE: Duration = Duration::from_mins(10);

/// The socket of a running server. Removed when it goes.
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Opens the door. A socket that nobody answers any more is replaced.
    ///
    /// # Errors
    /// If another server answers there, or the path cannot be used.
    pub async fn bind(path: &Path) -> io::Result<Self> {
        if answers(path).await {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another server answers there"));
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Carries out commands, each connection by itself, until it is dropped.
    pub async fn serve(self, app: Arc<App>) {
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => under_way.push(answer(stream, &app)),
                    Err(error) => {
                        tracing::warn!(%error, "the admin socket cannot accept");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(done) = under_way.next() => {
                    if let Err(error) = done {
                        tracing::warn!(%error, "a command on the admin socket failed");
                    }
                }
            }
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Whoever comes next replaces it anyway.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn answer(stream: UnixStream, app: &App) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = Zeroizing::new(Vec::new());
    timeout(ARRIVAL, (&mut stream).take(MAX_COMMAND).read_until(b'\n', &mut line)).await??;
    if line.is_empty() {
        // Somebody only wanted to know whether we are there: `answers`.
        return Ok(());
    }
    let reply = match serde_json::from_slice::<Command>(&line) {
        Ok(command) => execute(app, command).await,
        Err(_) => Reply::refused("the server does not know this command; is it of another version?"),
    };
    timeout(PATIENCE, send(&mut stream, &reply)).await?
}

/// Whether a server answers behind `path`.
pub async fn answers(path: &Path) -> bool {
    UnixStream::connect(path).await.is_ok()
}

/// Has the server behind `path` carry out a command.
///
/// # Errors
/// If nobody answers there, the connection breaks on the way, or the answer makes no sense to this version.
pub async fn ask(path: &Path, command: &Command) -> io::Result<Reply> {
    let exchange = async {
        let mut stream = BufReader::new(UnixStream::connect(path).await?);
        send(&mut stream, command).await?;
        let mut line = Vec::new();
        (&mut stream).take(MAX_REPLY).read_until(b'\n', &mut line).await?;
        serde_json::from_slice(&line).map_err(|_| {
            io::Error::other("its answer is not one that this command knows; is it of another version?")
        })
    };
    timeout(PATIENCE, exchange).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn send(stream: &mut BufReader<UnixStream>, message: &impl serde::Serialize) -> io::Result<()> {
    let mut line = Zeroizing::new(serde_json::to_vec(message)?);
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.flush().await
}
