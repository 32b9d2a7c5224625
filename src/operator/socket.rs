//! The operator's door into a running server: a Unix socket that only the server's own user can open (mode 0600).
//!
//! One connection carries one command: a line of JSON, and a line of JSON in answer.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{Command, Reply, execute};
use crate::app::App;
use crate::arrivals::Arrivals;

/// Longest command, in bytes.
const MAX_COMMAND: u64 = 64 * 1024;
/// Longest answer, in bytes: a thousand users with long names and all roles and attributes.
const MAX_REPLY: u64 = 8 * 1024 * 1024;
/// How many commands are carried out at once. The others wait.
const AT_ONCE: usize = 256;
/// How many connections may have said nothing yet.
const SILENT: usize = 512;
/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;
/// How long a command may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(5);
/// How long either side waits for the other. An import of many users takes its time.
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
        remove_socket(path)?;
        let listener = UnixListener::from_std(listen(path)?)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Carries out commands, each connection by itself, until it is told to stop. What has arrived by then is answered.
    pub async fn serve(self, app: Arc<App>, mut stopping: watch::Receiver<bool>) {
        let (arriving, door) = (stopping.clone(), Door::default());
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => under_way.push(answer(stream, &app, &door, arriving.clone())),
                    Err(error) => {
                        tracing::warn!(%error, "the admin socket cannot accept");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(done) = under_way.next() => report(done),
                () = told(&mut stopping) => break,
            }
        }
        while let Some(done) = under_way.next().await {
            report(done);
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Whoever comes next replaces it anyway.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens at a path that nobody but the server's own user can connect to. The mode is there before the path is: a
/// socket is made at a path with the mode that it has had without one, less the umask (Linux; the test below sees to it).
fn listen(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let unnamed = File::from(OwnedFd::from(Socket::new(Domain::UNIX, Type::STREAM, None)?));
    unnamed.set_permissions(Permissions::from_mode(0o600))?;
    let socket = Socket::from(OwnedFd::from(unnamed));
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(OwnedFd::from(socket).into())
}

/// Removes a socket. Anything else stays: a path that was mistaken for one may be the database.
fn remove_socket(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something else than a socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns when the server is to stop.
async fn told(stopping: &mut watch::Receiver<bool>) {
    // Who would have told is gone: that is no different.
    let _ = stopping.wait_for(|stops| *stops).await;
}

fn report(done: io::Result<()>) {
    if let Err(error) = done {
        tracing::warn!(%error, "a command on the admin socket failed");
    }
}

/// What a connection has to pass before its command is carried out.
struct Door {
    silent: Arrivals,
    at_work: Semaphore,
}

impl Default for Door {
    fn default() -> Self {
        Self { silent: Arrivals::of_at_most(SILENT), at_work: Semaphore::new(AT_ONCE) }
    }
}

async fn answer(
    stream: UnixStream,
    app: &App,
    door: &Door,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = Zeroizing::new(Vec::new());
    let mut limited = (&mut stream).take(MAX_COMMAND);
    let (arrival, is_over) = door.silent.arrive();
    tokio::select! {
        biased;
        read = timeout(ARRIVAL, limited.read_until(b'\n', &mut line)) => drop(read??),
        () = told(&mut stopping) => return Ok(()),
        _ = is_over => return Ok(()),
    }
    drop(arrival);
    if line.is_empty() {
        // Somebody only wanted to know whether we are there: `answers`.
        return Ok(());
    }
    let _at_work = door.at_work.acquire().await;
    let reply = match serde_json::from_slice::<Command>(&line) {
        Ok(command) => execute(app, command).await,
        Err(_) => Reply::refused("the server does not know this command; is it of another version?"),
    };
    timeout(PATIENCE, send(&mut stream, &reply)).await?
}

/// Whether a server answers behind `path`.
pub async fn answers(path: &Path) -> bool {
    match UnixStream::connect(path).await {
        Ok(_) => true,
        // So many others wait already.
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_can_ever_open_the_door() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        // Nothing changes the mode after this.
        let _listening = listen(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_server_with_a_queue_before_its_door_is_one_that_answers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let listening = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listening.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listening.listen(0).unwrap();
        let mut queue = Vec::new();
        while let Ok(waiting) = UnixStream::connect(&path).await {
            queue.push(waiting);
        }
        assert!(answers(&path).await, "with {} in the queue", queue.len());
        assert_eq!(AdminSocket::bind(&path).await.err().unwrap().kind(), io::ErrorKind::AddrInUse);
        drop(listening);
        assert!(!answers(&path).await);
    }

    #[tokio::test]
    async fn what_is_no_socket_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relatch.redb");
        std::fs::write(&path, "everything").unwrap();
        let refused = AdminSocket::bind(&path).await.err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "everything");
        // A link to a socket is not one either.
        let (socket, link) = (dir.path().join("other.sock"), dir.path().join("link.sock"));
        drop(listen(&socket).unwrap());
        std::os::unix::fs::symlink(&socket, &link).unwrap();
        assert!(AdminSocket::bind(&link).await.is_err());
        assert!(AdminSocket::bind(&socket).await.is_ok());
    }
}
