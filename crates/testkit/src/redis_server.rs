//! A real `redis-server`, started for one test on a free port and a directory of its own.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot have its server must fail loudly")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a server may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks at whether it does.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a server is to be like.
#[derive(Debug, Clone, Default)]
pub struct RedisServerBuilder {
    unix_socket: bool,
    tls: bool,
    certificates: Option<PathBuf>,
    append_only: bool,
    password: Option<String>,
    args: Vec<String>,
}

impl RedisServerBuilder {
    /// Listens on a Unix socket as well.
    #[must_use]
    pub fn unix_socket(mut self) -> Self {
        self.unix_socket = true;
        self
    }

    /// Listens with TLS as well, under a certificate for `localhost` by an authority of its own.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Listens with TLS as well, under a certificate that is there already, of several servers the same.
    #[must_use]
    pub(crate) fn certificates(mut self, directory: &Path) -> Self {
        (self.tls, self.certificates) = (true, Some(directory.to_owned()));
        self
    }

    /// Keeps an append-only file, synced at every write, so that nothing is lost when the server is killed.
    #[must_use]
    pub fn append_only(mut self) -> Self {
        self.append_only = true;
        self
    }

    /// Demands this password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Adds arguments to the command line: `["--maxmemory", "2mb"]`.
    #[must_use]
    pub fn args<const N: usize>(self, args: [&str; N]) -> Self {
        self.more(args.map(str::to_owned))
    }

    /// The same for arguments that are put together.
    #[must_use]
    pub fn more(mut self, args: impl IntoIterator<Item = String>) -> Self {
        self.args.extend(args);
        self
    }

    /// Starts the server and waits until it answers.
    pub async fn start(self) -> RedisServer {
        let directory = tempfile::tempdir().expect("a temporary directory");
        match &self.certificates {
            Some(there) => {
                for file in ["ca.pem", "server.pem", "server.key"] {
                    std::fs::copy(there.join(file), directory.path().join(file)).expect("a certificate");
                }
            }
            None if self.tls => write_certificates(directory.path()),
            None => {}
        }
        // Somebody else may take a port between our look and the server's; then we look again.
        for _ in 0..8 {
            let (port, tls_port) = (free_port(), if self.tls { free_port() } else { 0 });
            let command = self.command(directory.path(), port, tls_port);
            let mut child = spawn(command);
            if ready(&mut child, port).await {
                return RedisServer { options: self, directory, port, tls_port, child };
            }
        }
        panic!("redis-server does not start: {}", last_words(directory.path()));
    }

    fn command(&self, directory: &Path, port: u16, tls_port: u16) -> Command {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no", "--logfile", "redis.log"]);
        command.arg("--port").arg(port.to_string()).arg("--dir").arg(directory);
        if self.append_only {
            command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        }
        if self.unix_socket {
            command.arg("--unixsocket").arg(directory.join("redis.sock"));
        }
        if let Some(password) = &self.password {
            command.arg("--requirepass").arg(password);
        }
        if self.tls {
            command.arg("--tls-port").arg(tls_port.to_string()).args(["--tls-auth-clients", "no"]);
            command.arg("--tls-cert-file").arg(directory.join("server.pem"));
            command.arg("--tls-key-file").arg(directory.join("server.key"));
            command.arg("--tls-ca-cert-file").arg(directory.join("ca.pem"));
        }
        command.args(&self.args).current_dir(directory);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// A running server. Ends when it is dropped.
#[derive(Debug)]
pub struct RedisServer {
    options: RedisServerBuilder,
    directory: TempDir,
    port: u16,
    tls_port: u16,
    child: Child,
}

impl RedisServer {
    /// A plain server: no password, nothing on disk.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A server to be described further.
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    /// Where it listens without TLS.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its URL, with the password.
    pub fn url(&self) -> String {
        format!("redis://{}127.0.0.1:{}", self.login(), self.port)
    }

    /// Where it listens with TLS.
    pub(crate) const fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// Its URL with TLS.
    pub fn tls_url(&self) -> String {
        format!("rediss://{}localhost:{}", self.login(), self.tls_port)
    }

    /// The certificate of the authority that signed the server's.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Its URL by the Unix socket.
    pub fn unix_url(&self) -> String {
        let password = self.options.password.as_ref().map(|password| format!("?pass={password}"));
        let socket = self.directory.path().join("redis.sock");
        format!("redis+unix://{}{}", socket.display(), password.unwrap_or_default())
    }

    fn login(&self) -> String {
        self.options.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it: no goodbye, nothing written.
    pub fn kill(&mut self) {
        // Fails only if it is dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again after [`RedisServer::kill`], on the same port and directory, and waits until it answers.
    pub async fn restart(&mut self) {
        self.restart_unready();
        let ready = ready(&mut self.child, self.port).await;
        assert!(ready, "redis-server does not start again: {}", last_words(self.directory.path()));
    }

    /// Starts it again without waiting: it may be loading its data.
    pub fn restart_unready(&mut self) {
        self.kill();
        self.child = spawn(self.options.command(self.directory.path(), self.port, self.tls_port));
    }

    /// Puts its append-only file aside as it is now, for [`RedisServer::fall_back`].
    pub fn set_aside(&self) {
        let (from, to) = (self.directory.path().join("appendonlydir"), self.directory.path().join("aside"));
        copy_files(&from, &to).expect("the append-only file is copied");
    }

    /// Kills it and starts it with what was put aside: it has forgotten everything since.
    pub async fn fall_back(&mut self) {
        self.kill();
        let (from, to) = (self.directory.path().join("aside"), self.directory.path().join("appendonlydir"));
        copy_files(&from, &to).expect("the append-only file is copied back");
        self.restart().await;
    }

    /// Kills it and starts it with nothing.
    pub async fn restart_empty(&mut self) {
        self.kill();
        // It need not have written any.
        let _ = std::fs::remove_dir_all(self.directory.path().join("appendonlydir"));
        self.restart().await;
    }

    /// Adds arguments for the starts to come.
    pub fn from_now_on(&mut self, args: &[&str]) {
        self.options.args.extend(args.iter().map(|arg| (*arg).to_owned()));
    }

    /// Stops it in its tracks; connections stay open, nobody answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`RedisServer::pause`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends a command as it would be typed. Gives the last line of the answer.
    pub fn say(&self, command: &str) -> String {
        self.told(command).lines().last().unwrap_or_default().to_owned()
    }

    /// The same, with all lines of the answer.
    pub fn told(&self, command: &str) -> String {
        self.say_within(command, READY_WITHIN).expect("the server answers")
    }

    /// The same of a server that may not be there.
    pub fn try_say(&self, command: &str) -> Option<String> {
        self.say_within(command, Duration::from_millis(500))
    }

    fn say_within(&self, command: &str, patience: Duration) -> Option<String> {
        let auth = self.options.password.as_ref().map(|password| format!("AUTH {password}\r\n"));
        let auth = auth.unwrap_or_default();
        let answer = say_to(self.address(), &format!("{auth}{command}"), patience)?;
        Some(if auth.is_empty() { answer } else { answer.strip_prefix("+OK\r\n")?.to_owned() })
    }

    /// Sees to it that a snapshot cannot be written, and has one tried.
    pub async fn fail_a_snapshot(&self) {
        std::fs::create_dir(self.directory.path().join("dump.rdb")).expect("a directory in the way");
        assert!(self.say("BGSAVE").starts_with("+Background saving"));
        let begun = Instant::now();
        while !self.told("INFO persistence").contains("rdb_last_bgsave_status:err") {
            assert!(begun.elapsed() < READY_WITHIN, "the snapshot does not fail");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Everything that it holds, uncompressed, in the form of its snapshots.
    pub fn dump(&self) -> Vec<u8> {
        for command in ["CONFIG SET rdbcompression no", "SAVE"] {
            assert_eq!(self.say(command), "+OK", "{command}");
        }
        std::fs::read(self.directory.path().join("dump.rdb")).expect("a snapshot")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the server is there to be signalled");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a command as it would be typed. Nothing if nobody answers in time.
pub(crate) fn say_to(address: SocketAddr, command: &str, patience: Duration) -> Option<String> {
    // A Sentinel knows no QUIT, by which the end of the answer could be told.
    const END: &str = "+PONG\r\n";
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.write_all(format!("{command}\r\nPING\r\n").as_bytes()).ok()?;
    let (mut answer, mut bytes) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(END.as_bytes()) {
        match stream.read(&mut bytes).ok()? {
            0 => return None,
            length => answer.extend_from_slice(&bytes[..length]),
        }
    }
    Some(String::from_utf8_lossy(&answer).strip_suffix(END)?.to_owned())
}

pub(crate) fn spawn(mut command: Command) -> Child {
    command.spawn().unwrap_or_else(|error| {
        panic!("cannot start redis-server ({error}): the tests need it installed; run `make deps`")
    })
}

/// Whether the server answers before it ends or the time is up.
async fn ready(child: &mut Child, port: u16) -> bool {
    let start = Instant::now();
    while start.elapsed() < READY_WITHIN {
        if child.try_wait().ok().flatten().is_some() {
            return false;
        }
        if answers(port) {
            return true;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

/// A server that demands a password answers, too. One that still loads does not yet.
fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG\r\n" || answer.starts_with(b"-NOAUTH"))
    };
    ask().unwrap_or(false)
}

/// Makes `to` hold the files of `from` and no others.
fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    std::fs::create_dir(to)?;
    for file in std::fs::read_dir(from)? {
        let file = file?;
        std::fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

/// A port of the loopback that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound port").port()
}

fn last_words(directory: &Path) -> String {
    let log = std::fs::read_to_string(directory.join("redis.log")).unwrap_or_default();
    let lines: Vec<_> = log.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

pub(crate) fn write_certificates(directory: &Path) {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::new(Vec::new()).expect("no names");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Where both have one name, OpenSSL takes the server's for signed by itself.
    ca.distinguished_name.push(DnType::CommonName, "authority");
    let ca_certificate = ca.self_signed(&ca_key).expect("a certificate");
    let issuer = Issuer::new(ca, ca_key);

    let server_key = KeyPair::generate().expect("a key");
    let server =
        CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("a name");
    let server_certificate = server.signed_by(&server_key, &issuer).expect("a certificate");

    let write = |name: &str, pem: String| std::fs::write(directory.join(name), pem).expect("a file");
    write("ca.pem", ca_certificate.pem());
    write("server.pem", server_certificate.pem());
    write("server.key", server_key.serialize_pem());
}
