//! One multiplexed connection to one address, opened at its first use and again whenever it broke.
//!
//! Each worker has lanes of its own, so that no request has to cross from one thread to another. A lane never sends
//! a request again that may have run; whether to repeat a step is for the caller to judge. It knows which process it
//! leads to, and with a [`Gate`] asks that before each request.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, PushInfo, PushKind, RedisError, Value,
};
use tokio::time::Instant;

use super::failure::{Connection, Effect, Failure, Redirect};
use super::gate::{Gate, Passage};
use super::process::{IS_A_REPLICA, Introduction, Process, Wanted};
use super::request::{Entry, Request};
use super::trouble::Attempt;
use crate::store::StoreError;

const FIRST_BACK_OFF: Duration = Duration::from_millis(20);
const LONGEST_BACK_OFF: Duration = Duration::from_millis(500);
/// The same where nobody else waits: whoever examines the store is in a hurry.
const LONGEST_WITHOUT_GATE: Duration = Duration::from_millis(50);

pub(super) struct Lane {
    client: Client,
    at: String,
    is_tls: bool,
    config: AsyncConnectionConfig,
    wanted: Wanted,
    gate: Option<Arc<Gate>>,
    state: Mutex<State>,
    /// Held by whoever is connecting, so that nobody else does.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    failures: u32,
    last_failure: Option<(Instant, StoreError)>,
}

#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    closed: Arc<AtomicBool>,
    process: Arc<str>,
    since: Instant,
}

impl Lane {
    /// A lane that leads to what is wanted, and through the gate, if there is one.
    pub(super) fn new(
        client: Client,
        config: AsyncConnectionConfig,
        wanted: Wanted,
        gate: Option<Arc<Gate>>,
    ) -> Self {
        let (state, connecting) = (Mutex::default(), tokio::sync::Mutex::new(()));
        let address = client.get_connection_info().addr();
        let (at, is_tls) = (address.to_string(), matches!(address, ConnectionAddr::TcpTls { .. }));
        Self { client, at, is_tls, config, wanted, gate, state, connecting }
    }

    /// The process that the connection leads to, asked anew: it may be something else by now than it was.
    pub(super) async fn process(&self) -> Result<Process, Failure> {
        let mut open = self.open().await?;
        match Introduction::ask(&mut open.connection, self.wanted).await {
            Ok(process) => {
                self.answered();
                if !process.is_wanted {
                    self.discard(&open);
                }
                Ok(process)
            }
            Err(error) => Err(self.give_up(&open, &error, Effect::Reads)),
        }
    }

    /// The process that the connection in use leads to, if there is one.
    pub(super) fn leads_to(&self) -> Option<Arc<str>> {
        self.state().open.as_ref().map(|open| open.process.clone())
    }

    /// Sends one request and takes its answer.
    pub(super) async fn ask(&self, request: &Request, way: Entry) -> Result<Value, Failure> {
        let mut open = self.open().await?;
        let process = open.process.clone();
        let answered = {
            // Pinned here: handed on by value it would be copied twice, a kilobyte each time.
            let answer = pin!(request.send(&mut open.connection, way));
            self.unless_given_up(&process, answer).await
        };
        match answered {
            Ok(answer) => {
                self.answered();
                Ok(answer)
            }
            Err(error) => Err(self.give_up(&open, &error, request.effect)),
        }
    }

    /// Sends requests that do not write, all at once. Gives their answers, errors among them.
    pub(super) async fn ask_all(&self, requests: &[&Request]) -> Result<Vec<Value>, Failure> {
        let mut open = self.open().await?;
        match Request::send_all(requests, &mut open.connection).await {
            Ok(answers) => {
                self.answered();
                Ok(answers)
            }
            Err(error) => Err(self.give_up(&open, &error, Effect::Reads)),
        }
    }

    /// The answer, or an error as soon as the process is none to wait for any more: another has taken its place.
    async fn unless_given_up<T>(
        &self,
        process: &str,
        answer: Pin<&mut impl Future<Output = Result<T, RedisError>>>,
    ) -> Result<T, RedisError> {
        let Some(gate) = &self.gate else { return answer.await };
        tokio::select! {
            biased;
            answer = answer => answer,
            () = gate.given_up(process) => Err((ErrorKind::Io, "another process has taken its place").into()),
        }
    }

    /// What an error means, and no more use of a connection that is no longer good.
    fn give_up(&self, open: &Open, error: &RedisError, effect: Effect) -> Failure {
        let failure = Failure::of(error, effect);
        match failure.connection {
            Connection::Keep => {}
            Connection::Discard => self.discard(open),
            Connection::WrongServer | Connection::Replica => {
                self.discard(open);
                self.failed(failure.error.clone());
            }
        }
        failure
    }

    /// The open connection. While nobody can connect, all but one caller in each back-off fail at once.
    async fn open(&self) -> Result<Open, Failure> {
        match self.usable()? {
            Some(open) => Ok(open),
            // Boxed, for what happens seldom would make each request's future larger.
            None => Box::pin(self.open_anew()).await,
        }
    }

    async fn open_anew(&self) -> Result<Open, Failure> {
        let Some(gate) = &self.gate else { return self.opened().await };
        tokio::select! {
            biased;
            opened = self.opened() => opened,
            // What is waited for may be somewhere else by now.
            () = gate.changes() => {
                let error = StoreError::Unavailable("the store was rearranged".to_owned());
                Err(Failure { redirect: Some(Redirect::TryAgain), ..Failure::from(error) })
            }
        }
    }

    async fn opened(&self) -> Result<Open, Failure> {
        let _connecting = self.connecting.lock().await;
        if let Some(open) = self.usable()? {
            return Ok(open);
        }
        self.backed_off()?;
        match self.connect().await {
            Ok(Some(open)) => {
                self.state().open = Some(open);
                let closed = || StoreError::Unavailable("the connection closed at once".to_owned());
                // The gate may not be open to where it leads.
                self.usable()?.ok_or_else(|| Failure::new(closed(), Connection::Discard))
            }
            Ok(None) => {
                let error = StoreError::Unavailable(IS_A_REPLICA.to_owned());
                Err(self.not_connected(error, Connection::Replica))
            }
            Err(error) => {
                let attempt = Attempt { at: &self.at, wanted: self.wanted, is_tls: self.is_tls };
                Err(self.not_connected(attempt.failed(&error), Connection::Discard))
            }
        }
    }

    fn not_connected(&self, error: StoreError, connection: Connection) -> Failure {
        self.failed(error.clone());
        Failure::new(error, connection)
    }

    /// A new connection. None if it leads to a replica and must not.
    async fn connect(&self) -> Result<Option<Open>, RedisError> {
        let closed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&closed);
        let config = self.config.clone().set_push_sender(move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                flag.store(true, Ordering::Release);
            }
            Ok::<(), redis::aio::SendError>(())
        });
        let since = Instant::now();
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let process = Introduction::make(&mut connection, self.wanted).await?;
        let open = || Open { connection, closed, process: process.name.into(), since };
        Ok(process.is_wanted.then(open))
    }

    /// The connection, unless it has closed while it was idle: then nothing is sent over it, and nothing is lost. Nor if
    /// it leads to a process that another has taken the place of.
    fn usable(&self) -> Result<Option<Open>, StoreError> {
        let mut state = self.state();
        let Some(open) = state.open.clone() else { return Ok(None) };
        let passage = match &self.gate {
            _ if open.closed.load(Ordering::Acquire) => Passage::Outdated,
            Some(gate) => gate.passage(&open.process, open.since),
            None => Passage::Free,
        };
        match passage {
            Passage::Free => Ok(Some(open)),
            Passage::Closed(error) => Err(error),
            Passage::Outdated => {
                state.open = None;
                Ok(None)
            }
        }
    }

    /// An error while it is too early to try again. What failed before the store was examined has no bearing.
    fn backed_off(&self) -> Result<(), StoreError> {
        let (open_since, longest) = match &self.gate {
            Some(gate) => (gate.open_since(), LONGEST_BACK_OFF),
            None => (None, LONGEST_WITHOUT_GATE),
        };
        let state = self.state();
        match &state.last_failure {
            Some((at, error))
                if at.elapsed() < back_off(state.failures, longest)
                    && open_since.is_none_or(|since| since <= *at) =>
            {
                Err(error.clone())
            }
            _ => Ok(()),
        }
    }

    fn discard(&self, broken: &Open) {
        let mut state = self.state();
        // Another request may have replaced it meanwhile.
        if state.open.as_ref().is_some_and(|open| Arc::ptr_eq(&open.closed, &broken.closed)) {
            state.open = None;
        }
    }

    fn failed(&self, error: StoreError) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        state.last_failure = Some((Instant::now(), error));
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

fn back_off(failures: u32, longest: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_BACK_OFF.saturating_mul(1 << doublings).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_grows_to_half_a_second() {
        assert_eq!(back_off(1, LONGEST_BACK_OFF), FIRST_BACK_OFF);
        assert_eq!(back_off(2, LONGEST_BACK_OFF), FIRST_BACK_OFF * 2);
        assert_eq!(back_off(40, LONGEST_BACK_OFF), LONGEST_BACK_OFF);
        assert_eq!(back_off(u32::MAX, LONGEST_BACK_OFF), LONGEST_BACK_OFF);
    }
}
