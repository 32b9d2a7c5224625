//! Connections of a pool, each of which knows the process that it leads to.

use std::sync::Arc;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult};
use tokio::time::Instant;

use super::gate::{Gate, Passage};
use super::process::{IS_A_REPLICA, Introduction, Wanted};
use super::trouble::said;
use crate::store::StoreError;

/// A connection, and where it leads.
pub(super) struct Pooled {
    pub(super) connection: MultiplexedConnection,
    process: String,
    since: Instant,
}

impl Pooled {
    /// Whether it may be used.
    pub(super) fn passage(&self, gate: Option<&Gate>) -> Passage {
        gate.map_or(Passage::Free, |gate| gate.passage(&self.process, self.since))
    }
}

/// Opens connections for the pool, to processes that may be served from, and says which of them are still of use.
pub(super) struct Opener {
    redis: deadpool_redis::Manager,
    wanted: Wanted,
    gate: Option<Arc<Gate>>,
}

impl Opener {
    pub(super) fn new(
        client: &Client,
        config: AsyncConnectionConfig,
        wanted: Wanted,
        gate: Option<Arc<Gate>>,
    ) -> RedisResult<Self> {
        let info = client.get_connection_info().clone();
        Ok(Self { redis: deadpool_redis::Manager::new_with_config(info, config)?, wanted, gate })
    }

    /// A new connection. None if it leads to a replica and must not.
    async fn open(&self) -> RedisResult<Option<Pooled>> {
        let since = Instant::now();
        let mut connection = self.redis.create().await?;
        let process = Introduction::make(&mut connection, self.wanted).await?;
        Ok(process.is_wanted.then_some(Pooled { connection, process: process.name, since }))
    }
}

impl Manager for Opener {
    type Type = Pooled;
    type Error = StoreError;

    async fn create(&self) -> Result<Pooled, StoreError> {
        let unavailable = |text: String| StoreError::Unavailable(text);
        let opened = self.open().await.map_err(|error| unavailable(said(&error)))?;
        let pooled = opened.ok_or_else(|| unavailable(IS_A_REPLICA.to_owned()))?;
        match pooled.passage(self.gate.as_deref()) {
            Passage::Free => Ok(pooled),
            Passage::Closed(error) => Err(error),
            Passage::Outdated => Err(unavailable("the store's process was replaced meanwhile".to_owned())),
        }
    }

    async fn recycle(&self, pooled: &mut Pooled, metrics: &Metrics) -> RecycleResult<StoreError> {
        // One to a process that is shut for now is kept: the gate may be opened to it again.
        if pooled.passage(self.gate.as_deref()) == Passage::Outdated {
            return Err(RecycleError::message(
                "another process has taken the place of the one that it leads to",
            ));
        }
        let recycled = self.redis.recycle(&mut pooled.connection, metrics).await;
        recycled.map_err(|error| RecycleError::message(error.to_string()))
    }
}
