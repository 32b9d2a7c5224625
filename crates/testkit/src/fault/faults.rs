//! The faults: what Redis, the way to it, or a node goes through.

use std::time::Duration;

use super::killed::kill_a_server;
use super::stage::{Held, Stage};
use super::tally::Tally;
use super::{BETWEEN, Cut};
use crate::redis_server::{RedisServer, RedisServerBuilder};

/// What goes wrong, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: to compare with.
    Nothing,
    /// `kill -9` and restart, every write on disk before it is answered.
    KilledAlways,
    /// `kill -9` and restart, the disk written once a second.
    KilledEverySecond,
    /// `kill -9` and restart from an append-only file that is a second older.
    OlderFile,
    /// `SIGSTOP` for longer than anybody waits.
    Stopped,
    /// `CLIENT PAUSE`.
    ClientsPaused,
    /// A command that takes two seconds.
    LongCommand,
    /// Connections cut before the request arrives.
    CutBefore,
    /// Connections cut after the request was carried out.
    CutAfter,
    /// Connections cut in the middle of the answer.
    CutWithin,
    /// No memory left for two seconds.
    FullMemory,
    /// One of the two nodes frozen for two seconds.
    NodeFrozen,
    /// Clients reset their connections in the middle of requests.
    ClientsReset,
    /// One of the two nodes killed at a script, and started again.
    NodeKilled,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Nothing,
        Self::KilledAlways,
        Self::KilledEverySecond,
        Self::OlderFile,
        Self::Stopped,
        Self::ClientsPaused,
        Self::LongCommand,
        Self::CutBefore,
        Self::CutAfter,
        Self::CutWithin,
        Self::FullMemory,
        Self::NodeFrozen,
        Self::ClientsReset,
        Self::NodeKilled,
    ];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::KilledAlways => "Redis `kill -9`, restart; `appendfsync always`",
            Self::KilledEverySecond => "Redis `kill -9`, restart; `appendfsync everysec`",
            Self::OlderFile => "Redis `kill -9`, restart from a file a second older",
            Self::Stopped => "Redis `SIGSTOP` for 2.5 s",
            Self::ClientsPaused => "`CLIENT PAUSE` for 2 s",
            Self::LongCommand => "`DEBUG SLEEP 2`",
            Self::CutBefore => "1 in 20 requests to Redis cut before it arrives",
            Self::CutAfter => "1 in 20 requests to Redis cut after it was carried out",
            Self::CutWithin => "1 in 20 requests to Redis cut in the middle of the answer",
            Self::FullMemory => "no memory left for 2 s",
            Self::NodeFrozen => "one node of two `SIGSTOP` for 2 s",
            Self::ClientsReset => "1 in 8 requests reset by its client (`SO_LINGER` 0)",
            Self::NodeKilled => "one node of two `kill -9` at a script, restart",
        }
    }

    /// Where the proxy cuts, if there is one.
    pub const fn cut(self) -> Option<Cut> {
        match self {
            Self::CutBefore => Some(Cut::Before),
            Self::CutAfter => Some(Cut::After),
            Self::CutWithin => Some(Cut::Within),
            _ => None,
        }
    }

    /// Whether clients come to the nodes by forwarders.
    pub(super) const fn needs_fronts(self) -> bool {
        matches!(self, Self::ClientsReset | Self::NodeKilled)
    }

    /// Whether the nodes come to Redis by what can stop them at a script.
    pub(super) const fn needs_tripwires(self) -> bool {
        matches!(self, Self::NodeKilled)
    }

    pub(super) fn redis(self) -> RedisServerBuilder {
        match self {
            Self::KilledAlways => RedisServer::builder().append_only(),
            Self::KilledEverySecond | Self::OlderFile => {
                RedisServer::builder().args(["--appendonly", "yes", "--appendfsync", "everysec"])
            }
            Self::LongCommand => RedisServer::builder().args(["--enable-debug-command", "yes"]),
            _ => RedisServer::builder(),
        }
    }

    /// Strikes once, the `turn`th time, and lets everybody recover.
    pub(super) async fn strike(self, stage: &mut Stage, tally: &Tally, turn: usize) {
        if self == Self::NodeKilled {
            kill_a_server(stage, tally, turn).await;
        }
        let Stage { nodes, store: Held::Single(redis), .. } = stage else { return };
        let pause = tokio::time::sleep;
        match self {
            // What these do happens by itself, or has happened.
            Self::Nothing
            | Self::CutBefore
            | Self::CutAfter
            | Self::CutWithin
            | Self::ClientsReset
            | Self::NodeKilled => {}
            Self::KilledAlways | Self::KilledEverySecond => {
                redis.kill();
                pause(Duration::from_millis(300)).await;
                redis.restart().await;
            }
            Self::OlderFile => {
                redis.set_aside();
                pause(Duration::from_secs(1)).await;
                redis.fall_back().await;
            }
            Self::Stopped => {
                redis.pause();
                pause(Duration::from_millis(2500)).await;
                redis.resume();
            }
            Self::ClientsPaused => {
                assert_ok(redis, "CLIENT PAUSE 2000 ALL");
                pause(Duration::from_secs(2)).await;
            }
            Self::LongCommand => assert_ok(redis, "DEBUG SLEEP 2"),
            Self::FullMemory => {
                assert_ok(redis, "CONFIG SET maxmemory 1");
                pause(Duration::from_secs(2)).await;
                assert_ok(redis, "CONFIG SET maxmemory 0");
            }
            Self::NodeFrozen => {
                nodes[1].pause();
                pause(Duration::from_secs(2)).await;
                nodes[1].resume();
            }
        }
        pause(BETWEEN).await;
    }
}

/// What Redis says. Waiting for it must not stop the clients.
pub(super) fn said(redis: &RedisServer, ask: impl FnOnce(&RedisServer) -> String) -> String {
    tokio::task::block_in_place(|| ask(redis))
}

fn assert_ok(redis: &RedisServer, command: &str) {
    assert_eq!(said(redis, |redis| redis.say(command)), "+OK", "{command}");
}
