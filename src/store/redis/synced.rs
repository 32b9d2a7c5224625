//! Writes that replicas have to acknowledge: sign-ins and whatever security depends on.
//!
//! `WAIT` asks after the writes of its own connection and blocks whatever is sent behind it. So such a write and its
//! `WAIT` have a connection of their own, taken from a pool.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::{Connection, Hook, HookError, Manager, Pool, PoolConfig, Runtime, Timeouts};
use redis::{Client, Cmd, FromRedisValue, RedisResult};

use super::failure::{Effect, Failure};
use super::gate::{Gate, Passage};
use super::lane::process_behind;
use super::request::Request;
use super::settings::{OpenError, RedisSettings, connection_config};
use crate::store::StoreError;

/// Connections for synced writes: all workers of a node together rarely need as many at once.
const POOL_SIZE: usize = 16;

/// What a write answered, and whether as many replicas have it as were asked.
pub(super) struct Written<T> {
    pub(super) answer: T,
    pub(super) durable: bool,
}

impl<T> Written<T> {
    /// The answer of a write that counts even if it may be lost yet: one dead replica must not stop sign-ins.
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

pub(super) struct SyncedWrites {
    pool: Pool,
    gate: Option<Arc<Gate>>,
    replicas: u8,
    patience: Duration,
}

impl SyncedWrites {
    /// The pool, or nothing if no replica is asked.
    pub(super) fn new(
        client: &Client,
        settings: &RedisSettings,
        gate: Option<Arc<Gate>>,
    ) -> Result<Option<Self>, OpenError> {
        if settings.sync_replicas == 0 {
            return Ok(None);
        }
        let text = |error: String| OpenError::Pool(error);
        let info = client.get_connection_info().clone();
        let manager = Manager::new_with_config(info, connection_config(settings))
            .map_err(|error| text(error.to_string()))?;
        let timeouts = Timeouts {
            wait: Some(settings.connect_timeout),
            create: Some(settings.connect_timeout),
            recycle: Some(settings.response_timeout),
        };
        let mut pool = Pool::builder(manager)
            .config(PoolConfig { max_size: POOL_SIZE, timeouts, ..PoolConfig::default() })
            .runtime(Runtime::Tokio1);
        if let Some(gate) = &gate {
            pool =
                pool.post_create(leads_where_we_may(gate.clone())).pre_recycle(is_not_outdated(gate.clone()));
        }
        let pool = pool.build().map_err(|error| text(error.to_string()))?;
        // Redis has to give up before we do, or its answer would come too late to be heard.
        let patience = settings.response_timeout.mul_f64(0.8);
        Ok(Some(Self { pool, gate, replicas: settings.sync_replicas, patience }))
    }

    /// Sends a write and, if it wrote something, waits for the replicas.
    pub(super) async fn write<T>(
        &self,
        request: &Request,
        read: impl FnOnce(redis::Value) -> Result<T, StoreError>,
        wrote: impl FnOnce(&T) -> bool,
    ) -> Result<Written<T>, StoreError> {
        if let Some(gate) = &self.gate {
            gate.marker()?;
        }
        let mut connection = self
            .pool
            .get()
            .await
            .map_err(|error| StoreError::Unavailable(format!("cannot connect: {error}")))?;
        let answer = match request.send(&mut connection).await {
            Ok(answer) => read(answer)?,
            Err(error) => {
                // The pool would take a connection to a demoted primary for a good one.
                drop(Connection::take(connection));
                return Err(Failure::of(&error, Effect::Writes).error);
            }
        };
        let durable = !wrote(&answer) || self.await_replicas(connection).await;
        Ok(Written { answer, durable })
    }

    async fn await_replicas(&self, mut connection: Connection) -> bool {
        let missing = match self.wait(&mut connection).await {
            Ok(count) if count >= u64::from(self.replicas) => return true,
            Ok(count) => format!("{count} of {} replicas acknowledged in time", self.replicas),
            Err(error) => {
                drop(Connection::take(connection));
                error.to_string()
            }
        };
        tracing::warn!(reason = missing, "a write was applied, its durability is unknown");
        false
    }

    async fn wait(&self, connection: &mut Connection) -> RedisResult<u64> {
        let mut wait = Cmd::new();
        // Zero would wait for ever.
        let patience = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX).max(1);
        wait.arg("WAIT").arg(self.replicas).arg(patience);
        let answer = connection.send_packed_command(&wait).await?.extract_error()?;
        Ok(u64::from_redis_value(answer)?)
    }
}

/// Refuses a new connection to a process that was not examined.
fn leads_where_we_may(gate: Arc<Gate>) -> Hook {
    Hook::async_fn(move |connection, metrics| {
        let (gate, opened) = (gate.clone(), metrics.created.into());
        Box::pin(async move {
            let process = process_behind(connection).await.map_err(HookError::Backend)?;
            match gate.passage(&process, opened) {
                Passage::Free => Ok(()),
                Passage::Closed(error) => Err(HookError::message(error.to_string())),
                Passage::Outdated => Err(HookError::message("the store's process was replaced meanwhile")),
            }
        })
    })
}

/// Drops a connection that is older than the last examination: it may lead to the process before.
fn is_not_outdated(gate: Arc<Gate>) -> Hook {
    Hook::sync_fn(move |_, metrics| match gate.open_since() {
        Some(since) if since <= metrics.created.into() => Ok(()),
        _ => Err(HookError::message("the store was examined since")),
    })
}
