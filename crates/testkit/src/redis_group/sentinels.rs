//! A primary, two replicas and three Sentinels.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::door::{Network, source_of, source_of_sentinel};
use super::{certificates, field, has_replicas, until};
use crate::redis_server::{RedisServer, RedisServerBuilder, free_port, say_to, spawn};

/// What the Sentinels call the primary.
const SERVICE: &str = "relatch";

/// What a set is to be like.
#[derive(Debug, Clone, Default)]
pub struct SentinelSetBuilder {
    doors: bool,
    tls: bool,
    password: Option<String>,
    /// A process that is never promoted.
    barred: Option<usize>,
    args: Vec<String>,
}

impl SentinelSetBuilder {
    /// With doors between all processes, and before them for clients.
    #[must_use]
    pub fn with_doors(mut self) -> Self {
        self.doors = true;
        self
    }

    /// All ways are by TLS: to Sentinels, to Redis, and between them.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Every process demands this password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// This process is never promoted.
    #[must_use]
    pub fn never_promoting(mut self, number: usize) -> Self {
        self.barred = Some(number);
        self
    }

    /// Adds arguments to the command lines of the primary and the replicas.
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

    /// Starts the set and waits until everybody knows everybody.
    pub async fn start(self) -> SentinelSet {
        let network = self.doors.then(Network::calm);
        let mut set = SentinelSet {
            password: self.password.clone(),
            nodes: Vec::new(),
            ports: Vec::new(),
            sentinels: Vec::new(),
            network,
            certificates: self.tls.then(certificates),
        };
        for number in 0..3 {
            set.add_node(&self, number).await;
        }
        until("the replicas are online", || has_replicas(&set.nodes[0].told("INFO replication"), 2)).await;
        for number in 0..3 {
            set.add_sentinel(number).await;
        }
        set.until_watched().await;
        set
    }

    fn node(&self, number: usize, door: Option<u16>, primary: Option<u16>) -> RedisServerBuilder {
        let mut args = vec!["--repl-diskless-sync-delay".to_owned(), "0".to_owned()];
        if let Some(password) = &self.password {
            args.extend(["--masterauth".to_owned(), password.clone()]);
        }
        if let Some(door) = door {
            args.extend(["--replica-announce-ip", "127.0.0.1", "--replica-announce-port"].map(str::to_owned));
            args.extend([door.to_string(), "--bind-source-addr".to_owned(), source_of(number).to_string()]);
        }
        if self.barred == Some(number) {
            args.extend(["--replica-priority", "0"].map(str::to_owned));
        }
        if let Some(primary) = primary {
            args.extend(["--replicaof".to_owned(), "127.0.0.1".to_owned(), primary.to_string()]);
        }
        let server = RedisServer::builder().more(self.args.iter().cloned()).more(args);
        match &self.password {
            Some(password) => server.password(password),
            None => server,
        }
    }
}

/// A running set. Ends when it is dropped.
#[derive(Debug)]
pub struct SentinelSet {
    password: Option<String>,
    nodes: Vec<RedisServer>,
    /// Where others reach each node: its door, or itself.
    ports: Vec<u16>,
    sentinels: Vec<Sentinel>,
    network: Option<Network>,
    certificates: Option<TempDir>,
}

impl SentinelSet {
    /// A set to be described further.
    pub fn builder() -> SentinelSetBuilder {
        SentinelSetBuilder::default()
    }

    /// A plain set.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    async fn add_node(&mut self, builder: &SentinelSetBuilder, number: usize) {
        let door = self.network.as_ref().map(|_| free_port());
        let primary = self.ports.first().copied();
        let mut node = builder.node(number, door, primary);
        if let Some(certificates) = &self.certificates {
            node = node.certificates(certificates.path()).args(["--tls-replication", "yes"]);
        }
        let node = node.start().await;
        if let (Some(network), Some(door)) = (&self.network, door) {
            network.door(door, node.address(), Some(number)).await;
        }
        let own = if self.certificates.is_some() { node.tls_port() } else { node.address().port() };
        self.ports.push(door.unwrap_or(own));
        self.nodes.push(node);
    }

    async fn add_sentinel(&mut self, number: usize) {
        let source = self.network.as_ref().map(|_| source_of_sentinel(number));
        let certificates = self.certificates.as_ref().map(TempDir::path);
        let mut sentinel = Sentinel::start(self.ports[0], source, self.password.as_deref(), certificates);
        if let Some(network) = &self.network {
            sentinel.door = free_port();
            network.door(sentinel.door, sentinel.address(), None).await;
        }
        self.sentinels.push(sentinel);
    }

    /// Where a server under test finds it.
    pub fn url(&self) -> String {
        let login = self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        let (scheme, host) =
            if self.certificates.is_some() { ("rediss", "localhost") } else { ("redis", "127.0.0.1") };
        let sentinels: Vec<_> =
            self.sentinels.iter().map(|sentinel| format!("{host}:{}", sentinel.door)).collect();
        format!("{scheme}+sentinel://{login}{}/{SERVICE}", sentinels.join(","))
    }

    /// The certificate of the authority that signed everybody's, with TLS.
    pub fn ca_file(&self) -> PathBuf {
        self.certificates.as_ref().expect("the set speaks TLS").path().join("ca.pem")
    }

    /// The process that the Sentinels name now; of those that differ, most.
    pub fn primary(&self) -> usize {
        let named = |sentinel: &Sentinel| {
            let answer = sentinel.say(&format!("SENTINEL GET-MASTER-ADDR-BY-NAME {SERVICE}"))?;
            let port: u16 = answer.lines().last()?.parse().ok()?;
            self.ports.iter().position(|other| *other == port)
        };
        let named: Vec<_> = self.sentinels.iter().filter_map(named).collect();
        let votes = |number: usize| named.iter().filter(|other| **other == number).count();
        (0..self.nodes.len()).max_by_key(|number| votes(*number)).expect("there are nodes")
    }

    /// A process that holds data.
    pub fn node(&mut self, number: usize) -> &mut RedisServer {
        &mut self.nodes[number]
    }

    /// Starts a process again that was killed, as a replica of the primary of now.
    pub async fn rejoin(&mut self, number: usize) {
        let port = self.ports[self.primary()].to_string();
        self.nodes[number].from_now_on(&["--replicaof", "127.0.0.1", &port]);
        self.nodes[number].restart().await;
    }

    /// The processes that are replicas now.
    pub fn replicas(&self) -> Vec<usize> {
        let primary = self.primary();
        (0..self.nodes.len()).filter(|number| *number != primary).collect()
    }

    /// Sends a command to a Sentinel as it would be typed.
    pub fn tell_sentinel(&self, number: usize, command: &str) -> String {
        self.sentinels[number].say(command).expect("the Sentinel answers")
    }

    /// Stops or starts a Sentinel.
    pub fn pause_sentinel(&self, number: usize, paused: bool) {
        self.sentinels[number].pause(paused);
    }

    /// Has another process made primary, as an operator would.
    pub async fn fail_over(&self) -> usize {
        let before = self.primary();
        let order = format!("SENTINEL FAILOVER {SERVICE}");
        until("a failover begins", || self.sentinels[0].say(&order).is_some_and(|said| said == "+OK\r\n"))
            .await;
        self.until_promoted(before).await
    }

    /// Waits until the Sentinels name another primary than this one. Gives it.
    pub async fn until_promoted(&self, before: usize) -> usize {
        let mut now = before;
        until("another is promoted", || {
            now = self.primary();
            now != before && self.nodes[now].try_say("ROLE").is_some_and(|role| role.contains("master"))
        })
        .await;
        now
    }

    /// Waits until the primary has two replicas in step and all Sentinels name it.
    pub async fn until_healed(&self) {
        until("both replicas are online", || {
            let primary = self.primary();
            self.nodes[primary].try_say("INFO replication").is_some_and(|info| has_replicas(&info, 2))
        })
        .await;
        self.until_watched().await;
    }

    async fn until_watched(&self) {
        until("the Sentinels know each other and both replicas", || {
            self.sentinels.iter().all(|sentinel| {
                let answer = sentinel.say(&format!("SENTINEL MASTER {SERVICE}")).unwrap_or_default();
                let is = |name, value| field(&answer, name) == Some(value);
                let quorum = sentinel.say(&format!("SENTINEL CKQUORUM {SERVICE}")).unwrap_or_default();
                is("num-slaves", "2")
                    && is("num-other-sentinels", "2")
                    && is("flags", "master")
                    && quorum.starts_with("+OK 3 usable")
            })
        })
        .await;
    }

    /// Cuts a process off from all others, with one client on its side, by the name of its connections.
    pub fn isolate(&self, number: usize, client: &str) {
        self.network().isolate(number, client);
    }

    /// Makes the replication to this process late.
    pub fn delay(&self, number: usize, by: Duration) {
        self.network().delay(number, by);
    }

    /// Ends what is wrong with the network, if there is one to play with.
    pub fn heal(&self) {
        if let Some(network) = &self.network {
            network.heal();
        }
    }

    fn network(&self) -> &Network {
        self.network.as_ref().expect("the set has doors")
    }
}

/// A process that watches.
#[derive(Debug)]
struct Sentinel {
    port: u16,
    door: u16,
    password: Option<String>,
    child: Child,
    _directory: TempDir,
}

impl Sentinel {
    fn start(
        primary: u16,
        source: Option<Ipv4Addr>,
        password: Option<&str>,
        certificates: Option<&Path>,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let file = directory.path().join("sentinel.conf");
        let mut text = configuration(port, primary, source, password, directory.path());
        let mut door = port;
        if let Some(certificates) = certificates {
            door = free_port();
            text.push_str(&tls_configuration(door, certificates));
        }
        std::fs::write(&file, text).expect("a file");
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").current_dir(directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = spawn(command);
        let password = password.map(str::to_owned);
        Self { port, door, password, child, _directory: directory }
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn say(&self, command: &str) -> Option<String> {
        let auth = self.password.as_ref().map(|password| format!("AUTH {password}\r\n")).unwrap_or_default();
        let answer = say_to(self.address(), &format!("{auth}{command}"), Duration::from_millis(500))?;
        Some(if auth.is_empty() { answer } else { answer.strip_prefix("+OK\r\n")?.to_owned() })
    }

    fn pause(&self, paused: bool) {
        let signal = if paused { Signal::STOP } else { Signal::CONT };
        kill_process(Pid::from_child(&self.child), signal).expect("the Sentinel is there to be signalled");
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tls_configuration(port: u16, certificates: &Path) -> String {
    let at = certificates.display();
    format!(
        "tls-port {port}\ntls-replication yes\ntls-auth-clients no\ntls-cert-file {at}/server.pem\n\
         tls-key-file {at}/server.key\ntls-ca-cert-file {at}/ca.pem\n"
    )
}

fn configuration(
    port: u16,
    primary: u16,
    source: Option<Ipv4Addr>,
    password: Option<&str>,
    directory: &Path,
) -> String {
    let mut text = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nlogfile sentinel.log\n\
         sentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n\
         sentinel down-after-milliseconds {SERVICE} 1000\nsentinel failover-timeout {SERVICE} 5000\n",
        directory.display()
    );
    if let Some(source) = source {
        writeln!(text, "bind-source-addr {source}\nsentinel announce-ip 127.0.0.1")
            .expect("a string takes text");
    }
    if let Some(password) = password {
        writeln!(text, "requirepass {password}\nsentinel sentinel-pass {password}")
            .expect("a string takes text");
        writeln!(text, "sentinel auth-pass {SERVICE} {password}").expect("a string takes text");
    }
    text
}
