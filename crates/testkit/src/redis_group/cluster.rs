//! A Cluster of six: three primaries, each with a replica.

use std::path::PathBuf;
use std::time::Duration;

use relatch::store::shard::{SLOTS, slot_of_key};
use tempfile::TempDir;

use super::door::{Network, source_of};
use super::{certificates, has_replicas, until};
use crate::cutter::Cutter;
use crate::redis_server::{RedisServer, free_port};

const PRIMARIES: usize = 3;
const NODES: usize = 2 * PRIMARIES;

/// What a Cluster is to be like.
#[derive(Debug, Clone, Default)]
pub struct ClusterBuilder {
    doors: bool,
    tls: bool,
    password: Option<String>,
    args: Vec<String>,
}

/// Where others reach a node.
#[derive(Debug, Clone, Copy)]
struct Ports {
    clients: u16,
    bus: u16,
}

impl ClusterBuilder {
    /// With doors between all processes, and before them for clients.
    #[must_use]
    pub fn with_doors(mut self) -> Self {
        self.doors = true;
        self
    }

    /// Clients come by TLS, and find nodes by the name that stands in their certificates.
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

    /// Adds arguments to the command lines.
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

    /// Starts the Cluster and waits until it is one.
    pub async fn start(self) -> RedisCluster {
        let network = self.doors.then(Network::calm);
        let mut cluster = RedisCluster {
            password: self.password.clone(),
            nodes: Vec::new(),
            ports: Vec::new(),
            network,
            certificates: self.tls.then(certificates),
        };
        for number in 0..NODES {
            cluster.add_node(&self, number).await;
        }
        cluster.form().await;
        cluster
    }
}

/// A running Cluster. Ends when it is dropped.
#[derive(Debug)]
pub struct RedisCluster {
    password: Option<String>,
    nodes: Vec<RedisServer>,
    ports: Vec<Ports>,
    network: Option<Network>,
    certificates: Option<TempDir>,
}

impl RedisCluster {
    /// A Cluster to be described further.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// A plain Cluster.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    async fn add_node(&mut self, builder: &ClusterBuilder, number: usize) {
        let bus = free_port();
        let mut args: Vec<String> =
            ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--repl-diskless-sync-delay", "0"]
                .map(str::to_owned)
                .into();
        args.extend(["--cluster-announce-ip", "127.0.0.1", "--cluster-port"].map(str::to_owned));
        args.push(bus.to_string());
        let mut doors = None;
        if self.network.is_some() {
            let ports = Ports { clients: free_port(), bus: free_port() };
            args.extend(["--bind-source-addr".to_owned(), source_of(number).to_string()]);
            args.extend(["--cluster-announce-port".to_owned(), ports.clients.to_string()]);
            args.extend(["--cluster-announce-bus-port".to_owned(), ports.bus.to_string()]);
            doors = Some(ports);
        }
        let mut node = RedisServer::builder().more(builder.args.iter().cloned());
        if let Some(certificates) = &self.certificates {
            args.extend(
                [
                    "--cluster-announce-hostname",
                    "localhost",
                    "--tls-cluster",
                    "yes",
                    "--tls-replication",
                    "yes",
                ]
                .map(str::to_owned),
            );
            node = node.certificates(certificates.path());
        }
        if let Some(password) = &builder.password {
            args.extend(["--masterauth".to_owned(), password.clone()]);
            node = node.password(password);
        }
        let node = node.more(args).start().await;
        if let (Some(network), Some(ports)) = (&self.network, doors) {
            network.door(ports.clients, node.address(), Some(number)).await;
            network.door(ports.bus, (node.address().ip(), bus).into(), Some(number)).await;
        }
        self.ports.push(doors.unwrap_or(Ports { clients: node.address().port(), bus }));
        self.nodes.push(node);
    }

    async fn form(&self) {
        let share = usize::from(SLOTS) / PRIMARIES + 1;
        for (number, node) in self.nodes.iter().enumerate() {
            assert_eq!(node.say(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1)), "+OK");
            if number < PRIMARIES {
                let (first, last) = (share * number, (share * (number + 1)).min(usize::from(SLOTS)) - 1);
                assert_eq!(node.say(&format!("CLUSTER ADDSLOTSRANGE {first} {last}")), "+OK");
            }
        }
        let Ports { clients, bus } = self.ports[0];
        let clients = if self.certificates.is_some() { self.nodes[0].tls_port() } else { clients };
        for node in &self.nodes[1..] {
            assert_eq!(node.say(&format!("CLUSTER MEET 127.0.0.1 {clients} {bus}")), "+OK");
        }
        until("the nodes know each other", || {
            self.nodes.iter().all(|node| View::of(node).is_some_and(|views| views.len() == NODES))
        })
        .await;
        for number in PRIMARIES..NODES {
            let id = self.id(number - PRIMARIES);
            assert_eq!(self.nodes[number].say(&format!("CLUSTER REPLICATE {id}")), "+OK");
        }
        self.until_ok().await;
    }

    /// Where a server under test finds it.
    pub fn url(&self) -> String {
        let login = self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        if self.certificates.is_some() {
            let seeds: Vec<_> =
                self.nodes.iter().map(|node| format!("localhost:{}", node.tls_port())).collect();
            return format!("rediss+cluster://{login}{}", seeds.join(","));
        }
        let seeds: Vec<_> = self.ports.iter().map(|ports| format!("127.0.0.1:{}", ports.clients)).collect();
        format!("redis+cluster://{login}{}", seeds.join(","))
    }

    /// The certificate of the authority that signed all nodes', with TLS.
    pub fn ca_file(&self) -> PathBuf {
        self.certificates.as_ref().expect("the Cluster speaks TLS").path().join("ca.pem")
    }

    /// A process.
    pub fn node(&mut self, number: usize) -> &mut RedisServer {
        &mut self.nodes[number]
    }

    /// All processes.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The node that holds a slot: of those who claim it, as far as anybody says, the one with the highest epoch.
    pub fn primary_of(&self, slot: u16) -> usize {
        let views = self.nodes.iter().filter_map(View::of).flatten();
        let claims =
            views.filter(|view| view.is_primary && view.slots.iter().any(|range| range.contains(&slot)));
        let best = claims.max_by_key(|view| view.epoch).expect("somebody holds the slot");
        self.by_port(best.port).expect("a node of ours")
    }

    /// The nodes that hold slots.
    pub fn primaries(&self) -> Vec<usize> {
        let firsts = (0..PRIMARIES).map(|number| number * (usize::from(SLOTS) / PRIMARIES + 1));
        let slots = firsts.map(|slot| u16::try_from(slot).expect("a slot"));
        let mut primaries: Vec<_> = slots.map(|slot| self.primary_of(slot)).collect();
        primaries.dedup();
        primaries
    }

    /// A replica of a primary that is in step with it.
    pub fn replica_of(&self, primary: usize) -> Option<usize> {
        let id = self.id(primary);
        let views = View::of(&self.nodes[primary])?;
        self.by_port(views.iter().find(|view| view.primary == id && !view.has_failed)?.port)
    }

    /// Has a replica take its primary's place, as an operator would. Gives the new primary.
    pub async fn fail_over(&self, primary: usize) -> usize {
        let mut replica = None;
        until("the primary has a replica", || {
            replica = self.replica_of(primary);
            replica.is_some_and(|replica| {
                self.nodes[replica].try_say("CLUSTER FAILOVER").is_some_and(|said| said == "+OK\r\n")
            })
        })
        .await;
        let replica = replica.expect("it was found");
        until("the replica is primary", || self.is_primary(replica)).await;
        replica
    }

    /// Waits until the slot is held by another node than this one. Gives it.
    pub async fn until_promoted(&self, slot: u16, before: usize) -> usize {
        let mut now = before;
        until("another is promoted", || {
            now = self.primary_of(slot);
            now != before && self.is_primary(now)
        })
        .await;
        now
    }

    fn is_primary(&self, number: usize) -> bool {
        self.nodes[number].try_say("ROLE").is_some_and(|role| role.contains("master"))
    }

    /// Waits until all nodes agree that all is well and every primary has its replica in step.
    pub async fn until_ok(&self) {
        until("the Cluster is whole", || self.nodes.iter().all(|node| is_well(node).unwrap_or(false))).await;
    }

    /// Moves a slot with its keys to another primary, a few keys at a time, with a rest in between.
    pub async fn migrate(&self, slot: u16, to: usize, rest: Duration) {
        let from = self.primary_of(slot);
        assert!(self.password.is_none(), "not with a password");
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let (from_id, to_id) = (self.id(from), self.id(to));
        let order = |node: &RedisServer, order: &str| {
            let said = tokio::task::block_in_place(|| node.say(order));
            assert_eq!(said, "+OK", "{order}");
        };
        order(target, &format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"));
        order(source, &format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"));
        loop {
            let answer =
                tokio::task::block_in_place(|| source.told(&format!("CLUSTER GETKEYSINSLOT {slot} 3")));
            let keys: Vec<_> =
                answer.lines().filter(|line| !line.starts_with('$') && !line.starts_with('*')).collect();
            if keys.is_empty() {
                break;
            }
            let port = target.address().port();
            let move_keys = format!("MIGRATE 127.0.0.1 {port} \"\" 0 5000 KEYS {}", keys.join(" "));
            // A key may have expired or been deleted meanwhile.
            let said = tokio::task::block_in_place(|| source.say(&move_keys));
            assert!(said == "+OK" || said == "+NOKEY", "{said}");
            tokio::time::sleep(rest).await;
        }
        for node in [target, source] {
            order(node, &format!("CLUSTER SETSLOT {slot} NODE {to_id}"));
        }
    }

    /// The slot of a key.
    pub fn slot_of(key: &str) -> u16 {
        slot_of_key(key)
    }

    /// Cuts a process off from all others, with one client on its side, by the name of its connections.
    pub fn isolate(&self, number: usize, client: &str) {
        self.network().isolate(number, client);
    }

    /// Makes the replication to this process late.
    pub fn delay(&self, number: usize, by: Duration) {
        self.network().delay(number, by);
    }

    /// Cuts connections of clients, by the doors.
    pub fn cutter(&self) -> &Cutter {
        &self.network().cutter
    }

    /// Ends what is wrong with the network, if there is one to play with.
    pub fn heal(&self) {
        if let Some(network) = &self.network {
            network.heal();
        }
    }

    fn network(&self) -> &Network {
        self.network.as_ref().expect("the Cluster has doors")
    }

    fn id(&self, number: usize) -> String {
        self.nodes[number].say("CLUSTER MYID")
    }

    fn by_port(&self, port: u16) -> Option<usize> {
        self.ports.iter().position(|ports| ports.clients == port)
    }
}

/// Whether a node says that the Cluster is whole, and is in step itself.
fn is_well(node: &RedisServer) -> Option<bool> {
    let views = View::of(node)?;
    let info = node.try_say("CLUSTER INFO")?;
    let replication = node.try_say("INFO replication")?;
    let says = |line: &str| info.lines().any(|other| other == line);
    let in_step =
        replication.lines().any(|line| line == "master_link_status:up") || has_replicas(&replication, 1);
    let primaries = views.iter().filter(|view| view.is_primary).count();
    Some(
        says("cluster_state:ok")
            && says("cluster_slots_ok:16384")
            && views.iter().all(|view| !view.has_failed)
            && primaries == PRIMARIES
            && in_step,
    )
}

/// What a node says of another.
struct View {
    port: u16,
    is_primary: bool,
    has_failed: bool,
    primary: String,
    epoch: u64,
    slots: Vec<std::ops::RangeInclusive<u16>>,
}

impl View {
    fn of(node: &RedisServer) -> Option<Vec<Self>> {
        let text = node.try_say("CLUSTER NODES")?;
        Some(text.lines().filter_map(Self::read).collect())
    }

    fn read(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let [_, place, flags, primary, _, _, epoch, _, slots @ ..] = words.as_slice() else { return None };
        let (endpoint, _) = place.split_once('@')?;
        let flags: Vec<_> = flags.split(',').collect();
        let range = |word: &&str| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            Some(first.parse().ok()?..=last.parse().ok()?)
        };
        Some(Self {
            port: endpoint.rsplit_once(':')?.1.parse().ok()?,
            is_primary: flags.contains(&"master"),
            has_failed: ["fail", "fail?", "handshake", "noaddr"].iter().any(|flag| flags.contains(flag)),
            primary: (*primary).to_owned(),
            epoch: epoch.parse().ok()?,
            slots: slots.iter().filter_map(range).collect(),
        })
    }
}
