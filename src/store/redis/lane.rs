//! One multiplexed connection, opened at its first use and again whenever it broke.
//!
//! Each worker has a lane of its own, so that no request has to cross from one thread to another. The lane never sends
//! a request again that may have run; whether to repeat a step is for the caller to judge.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, RedisResult, Value};
use tokio::time::Instant;

use super::failure::{Connection, Failure};
use super::request::Request;
use crate::store::StoreError;

const FIRST_BACK_OFF: Duration = Duration::from_millis(20);
const LONGEST_BACK_OFF: Duration = Duration::from_millis(500);

pub(super) struct Lane {
    client: Client,
    config: AsyncConnectionConfig,
    state: Mutex<State>,
    /// Held by whoever is connecting, so that nobody else does.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    failures: u32,
    last_failure: Option<(Instant, String)>,
}

#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    closed: Arc<AtomicBool>,
}

impl Lane {
    pub(super) fn new(client: Client, config: AsyncConnectionConfig) -> Self {
        Self { client, config, state: Mutex::default(), connecting: tokio::sync::Mutex::new(()) }
    }

    /// Sends one request and takes its answer.
    pub(super) async fn ask(&self, request: &Request) -> Result<Value, StoreError> {
        let mut open = self.open().await?;
        match request.send(&mut open.connection).await {
            Ok(answer) => {
                self.answered();
                Ok(answer)
            }
            Err(error) => {
                let Failure { error, connection } = Failure::of(&error, request.effect);
                match connection {
                    Connection::Keep => {}
                    Connection::Discard => self.discard(&open),
                    Connection::WrongServer => {
                        self.discard(&open);
                        self.failed(error.to_string());
                    }
                }
                Err(error)
            }
        }
    }

    /// The open connection. While nobody can connect, all but one caller in each back-off fail at once.
    async fn open(&self) -> Result<Open, StoreError> {
        if let Some(open) = self.state().usable() {
            return Ok(open);
        }
        let _connecting = self.connecting.lock().await;
        {
            let mut state = self.state();
            if let Some(open) = state.usable() {
                return Ok(open);
            }
            state.backed_off()?;
        }
        match self.connect().await {
            Ok(open) => {
                self.state().open = Some(open.clone());
                Ok(open)
            }
            Err(error) => {
                let text = format!("cannot connect: {error}");
                self.failed(text.clone());
                Err(StoreError::Unavailable(text))
            }
        }
    }

    async fn connect(&self) -> RedisResult<Open> {
        let closed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&closed);
        let config = self.config.clone().set_push_sender(move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                flag.store(true, Ordering::Release);
            }
            Ok::<(), redis::aio::SendError>(())
        });
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(Open { connection, closed })
    }

    fn discard(&self, broken: &Open) {
        let mut state = self.state();
        // Another request may have replaced it meanwhile.
        if state.open.as_ref().is_some_and(|open| Arc::ptr_eq(&open.closed, &broken.closed)) {
            state.open = None;
        }
    }

    fn failed(&self, text: String) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        state.last_failure = Some((Instant::now(), text));
    }

    /// Only an answer ends the back-off: a server that loads its data accepts connections long before it serves.
    fn answered(&self) {
        let mut state = self.state();
        if state.failures > 0 {
            state.failures = 0;
            state.last_failure = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The connection, unless it has closed while it was idle: then nothing is sent over it, and nothing is lost.
    fn usable(&mut self) -> Option<Open> {
        if self.open.as_ref().is_some_and(|open| open.closed.load(Ordering::Acquire)) {
            self.open = None;
        }
        self.open.clone()
    }

    fn backed_off(&self) -> Result<(), StoreError> {
        match &self.last_failure {
            Some((at, text)) if at.elapsed() < back_off(self.failures) => {
                Err(StoreError::Unavailable(text.clone()))
            }
            _ => Ok(()),
        }
    }
}

fn back_off(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_BACK_OFF.saturating_mul(1 << doublings).min(LONGEST_BACK_OFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_grows_to_half_a_second() {
        assert_eq!(back_off(1), FIRST_BACK_OFF);
        assert_eq!(back_off(2), FIRST_BACK_OFF * 2);
        assert_eq!(back_off(40), LONGEST_BACK_OFF);
        assert_eq!(back_off(u32::MAX), LONGEST_BACK_OFF);
    }
}
