//! What a group of Redis processes goes through: a primary with replicas and Sentinels, or a Cluster.

use std::time::{Duration, Instant};

use super::BETWEEN;
use super::stage::{Group, Stage};
use super::tally::Tally;

/// How much later replicas hear of writes than their primary makes them.
const LATE: Duration = Duration::from_millis(300);

/// What goes wrong, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupFault {
    /// Nothing: to compare with.
    Nothing,
    /// A primary is killed, another promoted; it comes back as a replica.
    Killed,
    /// The same, after replicas have lagged behind.
    KilledAhead,
    /// A primary is stopped until another is promoted, and comes back as what it was.
    Stopped,
    /// An operator orders a failover.
    FailedOver,
    /// Every process is restarted, replicas first.
    Rolling,
    /// A replica is killed for two seconds.
    ReplicaKilled,
    /// A primary is cut off from all others, with one of the two nodes on its side.
    Isolated,
    /// The same, where a primary without replicas takes no writes.
    IsolatedGuarded,
    /// Slots with sessions in them move from node to node.
    Migrating,
    /// One of the two nodes is frozen for two seconds.
    NodeFrozen,
}

impl GroupFault {
    /// All that a set with Sentinels goes through.
    pub const OF_SENTINELS: [Self; 10] = [
        Self::Nothing,
        Self::Killed,
        Self::KilledAhead,
        Self::Stopped,
        Self::FailedOver,
        Self::Rolling,
        Self::ReplicaKilled,
        Self::Isolated,
        Self::IsolatedGuarded,
        Self::NodeFrozen,
    ];
    /// All that a Cluster goes through.
    pub const OF_CLUSTER: [Self; 11] = [
        Self::Nothing,
        Self::Killed,
        Self::KilledAhead,
        Self::Stopped,
        Self::FailedOver,
        Self::Rolling,
        Self::ReplicaKilled,
        Self::Isolated,
        Self::IsolatedGuarded,
        Self::Migrating,
        Self::NodeFrozen,
    ];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Killed => "primary `kill -9`, back as a replica",
            Self::KilledAhead => "primary `kill -9` with its replicas 0.3 s behind",
            Self::Stopped => "primary `SIGSTOP` until another is promoted, then `SIGCONT`",
            Self::FailedOver => "failover by order",
            Self::Rolling => "rolling restart of all Redis processes",
            Self::ReplicaKilled => "a replica `kill -9` for 2 s",
            Self::Isolated => "primary and one node cut off from all others",
            Self::IsolatedGuarded => "the same with `min-replicas-to-write 1`, `min-replicas-max-lag 2`",
            Self::Migrating => "slots with sessions move from node to node",
            Self::NodeFrozen => "one node of two `SIGSTOP` for 2 s",
        }
    }

    /// Whether the network has to be played with.
    pub(super) const fn needs_doors(self) -> bool {
        matches!(self, Self::KilledAhead | Self::Isolated | Self::IsolatedGuarded)
    }

    /// Whether the store is in two halves meanwhile, which do not know of each other's revocations.
    pub const fn parts_the_store(self) -> bool {
        matches!(self, Self::Isolated | Self::IsolatedGuarded)
    }

    /// Arguments of the Redis processes.
    pub(super) fn args(self) -> Vec<String> {
        let mut args = ["--appendonly", "yes", "--appendfsync", "everysec"].map(str::to_owned).to_vec();
        if self == Self::IsolatedGuarded {
            args.extend(["--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"].map(str::to_owned));
        }
        args
    }

    /// Strikes once, the `turn`th time, and lets everybody recover.
    pub(super) async fn strike(self, stage: &mut Stage, tally: &Tally, turn: usize) {
        let Stage { nodes, store, .. } = stage;
        let Some(mut group) = store.group() else { return };
        match self {
            Self::Nothing => {}
            Self::Killed => group.kill_primary(tally, turn).await,
            Self::KilledAhead => {
                group.delay(LATE);
                tokio::time::sleep(2 * LATE).await;
                group.kill_primary(tally, turn).await;
            }
            Self::Stopped => group.stop_primary(tally, turn).await,
            Self::FailedOver => {
                let struck = Instant::now();
                group.fail_over(turn).await;
                tally.failed_over(struck.elapsed());
                group.until_healed().await;
            }
            Self::Rolling => group.restart_all(tally).await,
            Self::ReplicaKilled => {
                let replica = group.a_replica(turn);
                group.kill(replica);
                tokio::time::sleep(Duration::from_secs(2)).await;
                group.rejoin(replica).await;
                group.until_healed().await;
            }
            Self::Isolated | Self::IsolatedGuarded => {
                group.isolate_primary(&nodes[0].name(), tally, turn).await;
            }
            Self::Migrating => group.migrate(turn).await,
            Self::NodeFrozen => {
                nodes[1].pause();
                tokio::time::sleep(Duration::from_secs(2)).await;
                nodes[1].resume();
            }
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

impl Group<'_> {
    async fn kill_primary(&mut self, tally: &Tally, turn: usize) {
        let (primary, struck) = (self.primary(turn), Instant::now());
        self.kill(primary);
        self.until_promoted(primary, turn).await;
        tally.failed_over(struck.elapsed());
        self.calm();
        self.rejoin(primary).await;
        self.until_healed().await;
    }

    async fn stop_primary(&mut self, tally: &Tally, turn: usize) {
        let (primary, struck) = (self.primary(turn), Instant::now());
        self.pause(primary, true);
        self.until_promoted(primary, turn).await;
        tally.failed_over(struck.elapsed());
        tokio::time::sleep(BETWEEN).await;
        self.pause(primary, false);
        self.until_healed().await;
    }

    async fn isolate_primary(&mut self, client: &str, tally: &Tally, turn: usize) {
        let (primary, struck) = (self.primary(turn), Instant::now());
        self.isolate(primary, client);
        self.until_promoted(primary, turn).await;
        tally.failed_over(struck.elapsed());
        tally.alone.begin();
        tokio::time::sleep(Duration::from_secs(4)).await;
        tally.alone.end();
        self.calm();
        self.until_healed().await;
    }

    /// Restarts every process: replicas first, then, after a failover, what was primary.
    async fn restart_all(&mut self, tally: &Tally) {
        for number in self.replicas() {
            self.kill(number);
            self.rejoin(number).await;
            self.until_healed().await;
        }
        for turn in 0..self.primaries() {
            let primary = self.primary(turn);
            let struck = Instant::now();
            self.fail_over(turn).await;
            tally.failed_over(struck.elapsed());
            self.until_healed().await;
            self.kill(primary);
            self.rejoin(primary).await;
            self.until_healed().await;
        }
    }
}
