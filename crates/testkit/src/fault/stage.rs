//! What everything happens on: two nodes of the real binary, and a single Redis, two behind one address, a set with Sentinels
//! or a Cluster.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::front::Front;
use super::group_faults::GroupFault;
use super::tally::Tally;
use super::tripwire::Tripwire;
use super::{BETWEEN, CuttingProxy, Fault, Plan};
use crate::actor::PASSWORD;
use crate::app::master_key;
use crate::launch::{Launched, own_process};
use crate::redis_group::{PrimaryEndpoint, RedisCluster, SentinelSet};
use crate::redis_server::RedisServer;

/// What goes wrong, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// A single Redis.
    Single(Fault),
    /// A primary and its replica behind one address, which swap their roles. `sync_replicas` of them are waited for.
    Address {
        /// `store.sync_replicas`.
        sync_replicas: u8,
    },
    /// A primary, two replicas and three Sentinels.
    Sentinels(GroupFault),
    /// A Cluster of six.
    Cluster(GroupFault),
}

impl Scene {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let single = Fault::ALL.into_iter().map(Self::Single);
        let sentinels = GroupFault::OF_SENTINELS.into_iter().map(Self::Sentinels);
        let address = [0, 1].map(|sync_replicas| Self::Address { sync_replicas });
        single
            .chain(address)
            .chain(sentinels)
            .chain(GroupFault::OF_CLUSTER.into_iter().map(Self::Cluster))
            .collect()
    }

    /// The kind of store, in a word.
    pub const fn ground(self) -> &'static str {
        match self {
            Self::Single(_) => "single",
            Self::Address { .. } => "address",
            Self::Sentinels(_) => "sentinel",
            Self::Cluster(_) => "cluster",
        }
    }

    /// The fault, in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Single(fault) => fault.name(),
            Self::Address { sync_replicas: 0 } => "roles swap, open connections stay; `sync_replicas` 0",
            Self::Address { .. } => "roles swap, open connections stay; `sync_replicas` 1",
            Self::Sentinels(fault) | Self::Cluster(fault) => fault.name(),
        }
    }

    /// Whether the store is in two halves meanwhile, which do not know of each other's revocations.
    pub const fn parts_the_store(self) -> bool {
        match self {
            Self::Single(_) | Self::Address { .. } => false,
            Self::Sentinels(fault) | Self::Cluster(fault) => fault.parts_the_store(),
        }
    }

    /// `store.sync_replicas`, where the default is not meant.
    fn sync_replicas(self) -> Option<String> {
        match self {
            Self::Address { sync_replicas } => Some(sync_replicas.to_string()),
            Self::Single(_) | Self::Sentinels(_) | Self::Cluster(_) => None,
        }
    }

    /// How soon after a failover everybody is served again.
    pub const fn served_within(self) -> Duration {
        match self {
            // Nobody tells the nodes that the roles have swapped: they find out.
            Self::Address { .. } => Duration::from_secs(2),
            Self::Single(_) | Self::Sentinels(_) | Self::Cluster(_) => Duration::from_secs(1),
        }
    }

    async fn store(self) -> Held {
        match self {
            Self::Single(fault) => Held::Single(fault.redis().start().await),
            Self::Address { .. } => Held::Address(PrimaryEndpoint::start().await),
            Self::Sentinels(fault) => {
                let set = SentinelSet::builder().more(fault.args());
                let set = if fault.needs_doors() { set.with_doors() } else { set };
                Held::Sentinels(set.start().await)
            }
            Self::Cluster(fault) => {
                let cluster = RedisCluster::builder().more(fault.args());
                let cluster = if fault.needs_doors() { cluster.with_doors() } else { cluster };
                Held::Cluster(cluster.start().await)
            }
        }
    }
}

/// The store's processes.
pub(super) enum Held {
    Single(RedisServer),
    Address(PrimaryEndpoint),
    Sentinels(SentinelSet),
    Cluster(RedisCluster),
}

impl Held {
    /// The processes, if there are several.
    pub(super) fn group(&mut self) -> Option<Group<'_>> {
        match self {
            Self::Single(_) | Self::Address(_) => None,
            Self::Sentinels(set) => Some(Group::Sentinels(set)),
            Self::Cluster(cluster) => Some(Group::Cluster(cluster)),
        }
    }
}

/// What everything happens on.
pub(super) struct Stage {
    // Dropped in this order: servers before their store.
    pub(super) nodes: Vec<Launched>,
    pub(super) store: Held,
    pub(super) proxy: Option<CuttingProxy>,
    /// What stands before each node, if something does.
    pub(super) fronts: Vec<Front>,
    /// What stands between each node and Redis, if they are to die at a script.
    pub(super) wires: Vec<Tripwire>,
    settings: Vec<BTreeMap<String, String>>,
    dirs: Vec<TempDir>,
}

impl Stage {
    /// Starts the store and the nodes.
    pub(super) async fn set(scene: Scene, plan: Plan) -> Self {
        let store = scene.store().await;
        let mut stage = Self {
            nodes: Vec::new(),
            store,
            proxy: None,
            fronts: Vec::new(),
            wires: Vec::new(),
            settings: Vec::new(),
            dirs: Vec::new(),
        };
        for _ in 0..2 {
            let url = stage.url(scene).await;
            let settings = settings(scene, plan, &url);
            let dir = TempDir::new().expect("a temporary directory");
            let node = own_process(&settings, dir.path()).await.expect("the node starts");
            if matches!(scene, Scene::Single(fault) if fault.needs_fronts()) {
                stage.fronts.push(Front::before(node.address()).await);
            }
            stage.nodes.push(node);
            stage.settings.push(settings);
            stage.dirs.push(dir);
        }
        stage
    }

    /// Where the next node finds the store.
    async fn url(&mut self, scene: Scene) -> String {
        match (&self.store, scene) {
            (Held::Single(redis), Scene::Single(fault)) if fault.needs_tripwires() => {
                let wire = Tripwire::before(redis.address()).await;
                let url = wire.url();
                self.wires.push(wire);
                url
            }
            (Held::Single(redis), Scene::Single(fault)) => match (fault.cut(), &self.proxy) {
                (Some(_), Some(proxy)) => proxy.url(),
                (Some(cut), None) => self.proxy.insert(CuttingProxy::start(redis.address(), cut).await).url(),
                (None, _) => redis.url(),
            },
            (Held::Single(redis), _) => redis.url(),
            (Held::Address(endpoint), _) => endpoint.url(),
            (Held::Sentinels(set), _) => set.url(),
            (Held::Cluster(cluster), _) => cluster.url(),
        }
    }

    /// Where clients find each node.
    pub(super) fn bases(&self) -> Vec<String> {
        let fronts = self.fronts.iter().map(Front::address);
        let addresses: Vec<_> = if self.fronts.is_empty() {
            self.nodes.iter().map(Launched::address).collect()
        } else {
            fronts.collect()
        };
        addresses.iter().map(|address| format!("http://{address}")).collect()
    }

    /// Lets what strikes by itself begin, and not before everybody has signed in.
    pub(super) fn arm(&self, scene: Scene) {
        self.proxy.iter().for_each(CuttingProxy::arm);
        let resets = scene == Scene::Single(Fault::ClientsReset);
        self.fronts.iter().for_each(|front| front.arm(resets));
    }

    /// Has primary and replica swap their roles, and lets everybody recover.
    pub(super) async fn swap(&mut self, tally: &Tally) {
        let Held::Address(endpoint) = &mut self.store else { return };
        let struck = Instant::now();
        endpoint.swap().await;
        tally.failed_over(struck.elapsed());
        tokio::time::sleep(2 * BETWEEN).await;
    }

    /// Starts a node again that was killed.
    pub(super) async fn restart(&mut self, number: usize) {
        self.wires[number].mend();
        let started = own_process(&self.settings[number], self.dirs[number].path()).await;
        self.nodes[number] = started.expect("the node starts again");
        self.fronts[number].lead_to(self.nodes[number].address());
    }
}

fn settings(scene: Scene, plan: Plan, url: &str) -> BTreeMap<String, String> {
    let grace = format!("{}ms", plan.grace.as_millis());
    let mut settings = vec![
        ("store.url", url),
        ("store.response_timeout", "1s"),
        ("issuer", "http://localhost:8080"),
        ("http.listen", "127.0.0.1:0"),
        ("ops.listen", "127.0.0.1:0"),
        ("password.bcrypt_cost", "4"),
        ("bootstrap.admin_password", PASSWORD),
        // Clients refresh thousands of times as often as in life.
        ("rate_limit.enabled", "false"),
        ("refresh_token.grace", &grace),
        ("sessions.max_per_user", "1000"),
        ("log.level", "warn"),
    ];
    let (key, sync_replicas) = (master_key(), scene.sync_replicas());
    settings.push(("master_key", &key));
    settings.extend(sync_replicas.as_deref().map(|count| ("store.sync_replicas", count)));
    settings.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Several processes, whichever way they belong together. Of a Cluster, `turn` says which shard is meant.
pub(super) enum Group<'a> {
    Sentinels(&'a mut SentinelSet),
    Cluster(&'a mut RedisCluster),
}

impl Group<'_> {
    /// How many processes are primary.
    pub(super) const fn primaries(&self) -> usize {
        match self {
            Self::Sentinels(_) => 1,
            Self::Cluster(_) => 3,
        }
    }

    /// A slot of the shard whose turn it is.
    fn slot(turn: usize) -> u16 {
        [0, 8000, 16_000][turn % 3]
    }

    pub(super) fn primary(&self, turn: usize) -> usize {
        tokio::task::block_in_place(|| match self {
            Self::Sentinels(set) => set.primary(),
            Self::Cluster(cluster) => cluster.primary_of(Self::slot(turn)),
        })
    }

    pub(super) fn replicas(&self) -> Vec<usize> {
        tokio::task::block_in_place(|| match self {
            Self::Sentinels(set) => set.replicas(),
            Self::Cluster(cluster) => {
                let primaries = cluster.primaries();
                (0..6).filter(|number| !primaries.contains(number)).collect()
            }
        })
    }

    pub(super) fn a_replica(&self, turn: usize) -> usize {
        let replicas = self.replicas();
        replicas[turn % replicas.len()]
    }

    pub(super) fn kill(&mut self, number: usize) {
        match self {
            Self::Sentinels(set) => set.node(number).kill(),
            Self::Cluster(cluster) => cluster.node(number).kill(),
        }
    }

    pub(super) async fn rejoin(&mut self, number: usize) {
        match self {
            Self::Sentinels(set) => set.rejoin(number).await,
            Self::Cluster(cluster) => cluster.node(number).restart().await,
        }
    }

    pub(super) fn pause(&mut self, number: usize, paused: bool) {
        let node = match self {
            Self::Sentinels(set) => set.node(number),
            Self::Cluster(cluster) => cluster.node(number),
        };
        if paused { node.pause() } else { node.resume() }
    }

    pub(super) async fn until_promoted(&self, before: usize, turn: usize) {
        match self {
            Self::Sentinels(set) => set.until_promoted(before).await,
            Self::Cluster(cluster) => cluster.until_promoted(Self::slot(turn), before).await,
        };
    }

    pub(super) async fn until_healed(&self) {
        match self {
            Self::Sentinels(set) => set.until_healed().await,
            Self::Cluster(cluster) => cluster.until_ok().await,
        }
    }

    pub(super) async fn fail_over(&self, turn: usize) {
        match self {
            Self::Sentinels(set) => set.fail_over().await,
            Self::Cluster(cluster) => cluster.fail_over(self.primary(turn)).await,
        };
    }

    pub(super) fn isolate(&self, number: usize, client: &str) {
        match self {
            Self::Sentinels(set) => set.isolate(number, client),
            Self::Cluster(cluster) => cluster.isolate(number, client),
        }
    }

    /// Makes all replication late.
    pub(super) fn delay(&self, by: Duration) {
        for number in self.replicas() {
            match self {
                Self::Sentinels(set) => set.delay(number, by),
                Self::Cluster(cluster) => cluster.delay(number, by),
            }
        }
    }

    /// Ends what is wrong with the network, if there is one to play with.
    pub(super) fn calm(&self) {
        match self {
            Self::Sentinels(set) => set.heal(),
            Self::Cluster(cluster) => cluster.heal(),
        }
    }

    /// Moves the slots of some sessions to the next primary.
    pub(super) async fn migrate(&self, turn: usize) {
        let Self::Cluster(cluster) = self else { return };
        let primaries = tokio::task::block_in_place(|| cluster.primaries());
        let (from, to) = (primaries[turn % primaries.len()], primaries[(turn + 1) % primaries.len()]);
        let keys = tokio::task::block_in_place(|| cluster.nodes()[from].told("KEYS relatch:{*}:s"));
        let keys = keys.lines().filter(|line| line.starts_with("relatch:"));
        let slots: std::collections::BTreeSet<_> = keys.map(RedisCluster::slot_of).collect();
        for slot in slots.into_iter().take(20) {
            cluster.migrate(slot, to, Duration::from_millis(5)).await;
        }
    }
}
