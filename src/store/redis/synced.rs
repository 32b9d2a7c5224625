//! Writes that replicas have to acknowledge: sign-ins and whatever security depends on.
//!
//! `WAIT` asks after the writes of its own connection and blocks whatever is sent behind it. So such a write and its
//! `WAIT` have a connection of their own, taken from a pool: one pool for each process that is written to, since of a
//! Cluster each primary has replicas of its own. Whether the process may be served from is asked right before each write, as
//! a lane does, and once more when its replicas have answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Object, PoolConfig, PoolError, Timeouts};
use redis::{Cmd, FromRedisValue, RedisResult, Value};

use super::failure::{Connection, Effect, Failure, Redirect};
use super::gate::{Gate, Passage};
use super::pooled::{Opener, Pooled};
use super::request::{Entry, Request};
use super::router::{Network, Router};
use super::settings::RedisSettings;
use super::target::Address;
use crate::store::StoreError;

/// Connections for synced writes: all workers of a node together rarely need as many at once.
const POOL_SIZE: usize = 16;

type Pool = managed::Pool<Opener>;

/// What a write answered, and whether as many replicas have it as were asked.
pub(super) struct Written<T> {
    pub(super) answer: T,
    pub(super) durable: bool,
    /// Whether the process went away while its replicas were waited for: what it wrote may go with it.
    pub(super) abandoned: bool,
}

impl<T> Written<T> {
    /// The answer of a write that counts even if it may be lost yet: one dead replica must not stop everything.
    pub(super) fn anyway(self) -> T {
        self.answer
    }

    /// The answer of a write that the caller has to repeat if it may be lost yet.
    pub(super) fn durably(self) -> Result<T, StoreError> {
        if self.durable {
            Ok(self.answer)
        } else {
            Err(StoreError::Indeterminate("applied, durability unknown".to_owned()))
        }
    }
}

/// Which replicas have heard of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    ByEnough,
    ByTooFew,
    /// The process went away before it said.
    Unknown,
}

pub(super) struct SyncedWrites {
    network: Network,
    pools: Mutex<HashMap<Address, Pool>>,
    gate: Option<Arc<Gate>>,
    replicas: u8,
    timeouts: Timeouts,
    patience: Duration,
}

impl SyncedWrites {
    /// The writes, or nothing if no replica is asked.
    pub(super) fn new(network: Network, settings: &RedisSettings, gate: Option<Arc<Gate>>) -> Option<Self> {
        if settings.sync_replicas == 0 {
            return None;
        }
        let timeouts = Timeouts {
            wait: Some(settings.connect_timeout),
            create: Some(settings.connect_timeout),
            recycle: Some(settings.response_timeout),
        };
        // Redis has to give up before we do, or its answer would come too late to be heard.
        let patience = settings.response_timeout.mul_f64(0.8);
        let pools = Mutex::default();
        Some(Self { network, pools, gate, replicas: settings.sync_replicas, timeouts, patience })
    }

    /// Sends a write and, if it wrote something, waits for the replicas.
    pub(super) async fn write<T>(
        &self,
        router: &Router,
        request: &Request,
        read: impl FnOnce(Value) -> Result<T, StoreError>,
        wrote: impl FnOnce(&T) -> bool,
    ) -> Result<Written<T>, StoreError> {
        if let Some(gate) = &self.gate {
            gate.marker()?;
        }
        let mut way = router.way(request.slot).await?;
        let (answer, pooled) = loop {
            match self.send(&way.address, request, way.entry).await {
                Ok(sent) => break sent,
                Err(failure) => way = router.onward(way, failure).await?,
            }
        };
        let answer = read(answer)?;
        let heard = if wrote(&answer) { self.await_replicas(pooled).await } else { Heard::ByEnough };
        let (durable, abandoned) = (heard == Heard::ByEnough, heard == Heard::Unknown);
        Ok(Written { answer, durable, abandoned })
    }

    async fn send(
        &self,
        address: &Address,
        request: &Request,
        entry: Entry,
    ) -> Result<(Value, Object<Opener>), Failure> {
        let mut pooled = self.pool(address)?.get().await.map_err(|error| {
            let error = match error {
                PoolError::Backend(error) => error,
                error => StoreError::Unavailable(format!("cannot connect: {error}")),
            };
            Failure::new(error, Connection::Discard)
        })?;
        // It may have been shut since the pool looked.
        match pooled.passage(self.gate.as_deref()) {
            Passage::Free => {}
            Passage::Closed(error) => return Err(error.into()),
            Passage::Outdated => {
                drop(Object::take(pooled));
                let error = StoreError::Unavailable("the store's process was replaced meanwhile".to_owned());
                return Err(Failure { redirect: Some(Redirect::TryAgain), ..Failure::from(error) });
            }
        }
        match request.send(&mut pooled.connection, entry).await {
            Ok(answer) => Ok((answer, pooled)),
            Err(error) => {
                // The pool would take a connection to a demoted primary for a good one.
                drop(Object::take(pooled));
                Err(Failure::of(&error, Effect::Writes))
            }
        }
    }

    fn pool(&self, address: &Address) -> Result<Pool, StoreError> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(address) {
            return Ok(pool.clone());
        }
        // Those that lead where nothing is any more are given up when a new one is made.
        if let Some(map) = self.network.topology.known() {
            pools.retain(|address, _| map.parts.iter().any(|part| part.address == *address));
        }
        let pool = self.new_pool(address)?;
        pools.insert(address.clone(), pool.clone());
        Ok(pool)
    }

    fn new_pool(&self, address: &Address) -> Result<Pool, StoreError> {
        let text = |error: String| StoreError::Unavailable(format!("the pool of connections: {error}"));
        let (client, wanted) = self.network.client(address)?;
        let opener = Opener::new(&client, self.network.config.clone(), wanted, self.gate.clone())
            .map_err(|error| text(error.to_string()))?;
        let config = PoolConfig { max_size: POOL_SIZE, timeouts: self.timeouts, ..PoolConfig::default() };
        let pool = Pool::builder(opener).config(config).runtime(Runtime::Tokio1).build();
        pool.map_err(|error| text(error.to_string()))
    }

    async fn await_replicas(&self, mut pooled: Object<Opener>) -> Heard {
        let (heard, missing) = match self.wait(&mut pooled).await {
            Ok(count) if count >= u64::from(self.replicas) => match pooled.passage(self.gate.as_deref()) {
                Passage::Free => return Heard::ByEnough,
                Passage::Closed(error) => (Heard::Unknown, error.to_string()),
                Passage::Outdated => (Heard::Unknown, "the store's process was replaced".to_owned()),
            },
            Ok(count) => {
                (Heard::ByTooFew, format!("{count} of {} replicas acknowledged in time", self.replicas))
            }
            Err(error) => {
                drop(Object::take(pooled));
                (Heard::Unknown, error.to_string())
            }
        };
        tracing::warn!(reason = missing, "a write was applied, its durability is unknown");
        heard
    }

    async fn wait(&self, pooled: &mut Pooled) -> RedisResult<u64> {
        let mut wait = Cmd::new();
        // Zero would wait for ever.
        let patience = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX).max(1);
        wait.arg("WAIT").arg(self.replicas).arg(patience);
        let answer = pooled.connection.send_packed_command(&wait).await?.extract_error()?;
        Ok(u64::from_redis_value(answer)?)
    }
}
