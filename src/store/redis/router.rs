//! The way of a request: by its keys' slot to an address, by the address to a connection, and on to where a server of a
//! Cluster sends it instead.
//!
//! A request that was redirected has had no effect, so it may be sent again. Nothing else is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use redis::{AsyncConnectionConfig, Value};
use tokio::time::Instant;

use super::failure::{Connection, Failure, Redirect};
use super::gate::Gate;
use super::lane::Lane;
use super::process::{IS_A_REPLICA, Process, Wanted};
use super::request::{Entry, Request};
use super::target::{Address, Doors, Form, Target};
use super::topology::{Map, Topology, parse};
use super::trouble::IS_A_NODE;
use crate::store::StoreError;
use crate::store::shard::{Away, Shard, Shards, ShownTime};

/// How many servers may send a request on to another.
const MOST_REDIRECTIONS: u32 = 5;
/// Rest before a request is tried again whose keys are on their way to another server; longer each time.
const FIRST_REST: Duration = Duration::from_millis(2);
const LONGEST_REST: Duration = Duration::from_millis(50);
/// How often who holds what is found out anew while somebody does not answer.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What all workers share.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) topology: Arc<Topology>,
    doors: Doors,
    wanted: Wanted,
    pub(super) config: AsyncConnectionConfig,
    /// How long a request may be tried again.
    patience: Duration,
}

impl Network {
    pub(super) fn new(target: Target, config: AsyncConnectionConfig, patience: Duration) -> Self {
        let wanted = match target.form {
            // One address may lead elsewhere from one moment to the next, as a managed service's does: connections that are
            // open then stay with the process that was demoted.
            Form::Single(_) | Form::Sentinel { .. } => Wanted::Primary,
            // A replica sends everything on to its primary.
            Form::Cluster { .. } => Wanted::Any,
        };
        let doors = target.doors.clone();
        Self { topology: Arc::new(Topology::new(target, config.clone())), doors, wanted, config, patience }
    }

    /// The same for whoever only reads, of a replica too.
    pub(super) fn for_reading(self) -> Self {
        Self { wanted: Wanted::Any, ..self }
    }

    /// A client for the Redis at this address, and what it must lead to.
    pub(super) fn client(&self, address: &Address) -> Result<(redis::Client, Wanted), StoreError> {
        let client = self.doors.redis(address);
        let client = client.map_err(|error| StoreError::Unavailable(format!("{address}: {error}")))?;
        Ok((client, self.wanted))
    }
}

/// Where a request goes next.
pub(super) struct Way {
    pub(super) address: Address,
    pub(super) entry: Entry,
    slot: u16,
    redirections: u32,
    rest: Duration,
    since: Option<Instant>,
}

/// The ways of one worker.
pub(super) struct Router {
    network: Network,
    gate: Option<Arc<Gate>>,
    lanes: Mutex<HashMap<Address, Arc<Lane>>>,
}

impl Router {
    pub(super) fn new(network: Network, gate: Option<Arc<Gate>>) -> Self {
        Self { network, gate, lanes: Mutex::default() }
    }

    /// Whether the store is a Cluster.
    pub(super) fn is_cluster(&self) -> bool {
        self.network.topology.is_cluster()
    }

    /// Sends one request to where it belongs and takes its answer.
    pub(super) async fn ask(&self, request: &Request) -> Result<Value, StoreError> {
        let mut way = self.way(request.slot).await?;
        loop {
            match self.lane(&way.address)?.ask(request, way.entry).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => way = Box::pin(self.onward(way, failure)).await?,
            }
        }
    }

    /// Sends commands that do not write, to each server all of its own at once. Gives the answers in the same order.
    pub(super) async fn ask_all(&self, requests: &[Request]) -> Result<Vec<Value>, StoreError> {
        let map = self.map().await?;
        let mut by_address: HashMap<&Address, Vec<usize>> = HashMap::new();
        for (number, request) in requests.iter().enumerate() {
            by_address.entry(address(&map, request.slot)?).or_default().push(number);
        }
        let asking = by_address.into_iter().map(|(address, numbers)| async move {
            let some: Vec<&Request> = numbers.iter().filter_map(|number| requests.get(*number)).collect();
            let answers = self.lane(address)?.ask_all(&some).await;
            let answers = answers.map_err(|failure| self.no_way_on(failure))?;
            Ok::<_, StoreError>(numbers.into_iter().zip(answers).collect::<Vec<_>>())
        });
        let mut all = vec![Value::Nil; requests.len()];
        for answers in join_all(asking).await {
            for (number, answer) in answers? {
                let (Some(place), Some(request)) = (all.get_mut(number), requests.get(number)) else {
                    continue;
                };
                // What was not answered alone can be told from it: it is asked by itself.
                *place = match answer.extract_error() {
                    Ok(answer) => answer,
                    Err(_) => self.ask(request).await?,
                };
            }
        }
        Ok(all)
    }

    /// The first place to try.
    pub(super) async fn way(&self, slot: u16) -> Result<Way, StoreError> {
        let address = address(&*self.map().await?, slot)?.clone();
        let entry = Entry::Plainly;
        Ok(Way { address, entry, slot, redirections: 0, rest: FIRST_REST, since: None })
    }

    /// Where to try next, after a failure that leaves something to try.
    pub(super) async fn onward(&self, way: Way, failure: Failure) -> Result<Way, StoreError> {
        let redirections = way.redirections + 1;
        let is_of_a_cluster =
            matches!(failure.redirect, Some(Redirect::Moved(_) | Redirect::Ask(_) | Redirect::Nowhere));
        if is_of_a_cluster && !self.is_cluster() {
            return Err(StoreError::Misconfigured(format!("{} {IS_A_NODE}", way.address)));
        }
        if redirections > MOST_REDIRECTIONS && failure.redirect != Some(Redirect::TryAgain) {
            return Err(failure.error);
        }
        let there = |to: &str| parse(to, &way.address).ok_or_else(|| failure.error.clone());
        match &failure.redirect {
            Some(Redirect::Moved(to)) => {
                self.lost();
                Ok(Way { address: there(to)?, entry: Entry::Plainly, redirections, ..way })
            }
            Some(Redirect::Ask(to)) => {
                Ok(Way { address: there(to)?, entry: Entry::Asking, redirections, ..way })
            }
            Some(Redirect::TryAgain) => {
                let since = way.since.unwrap_or_else(Instant::now);
                if since.elapsed() > self.network.patience {
                    return Err(failure.error);
                }
                tokio::time::sleep(way.rest).await;
                let rest = (way.rest * 2).min(LONGEST_REST);
                Ok(Way { rest, since: Some(since), ..self.way(way.slot).await? })
            }
            Some(Redirect::Nowhere) | None => Err(self.no_way_on(failure)),
        }
    }

    fn no_way_on(&self, failure: Failure) -> StoreError {
        if failure.connection != Connection::Keep || failure.redirect == Some(Redirect::Nowhere) {
            self.lost();
        }
        failure.error
    }

    /// What is known of who holds what may be wrong.
    fn lost(&self) {
        self.network.topology.is_stale();
        if let Some(gate) = &self.gate {
            gate.knock();
        }
    }

    /// Who holds what. With a gate somebody else finds out; without one it is found out here.
    async fn map(&self) -> Result<Arc<Map>, StoreError> {
        match &self.gate {
            None => Box::pin(self.network.topology.current()).await,
            Some(gate) => self.network.topology.known().ok_or_else(|| {
                gate.knock();
                StoreError::Unavailable("the store has not been found yet".to_owned())
            }),
        }
    }

    fn lane(&self, address: &Address) -> Result<Arc<Lane>, StoreError> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(address) {
            return Ok(lane.clone());
        }
        // Those that lead where nothing is any more are given up when a new one is made.
        if let Some(map) = self.network.topology.known() {
            lanes.retain(|address, _| map.parts.iter().any(|part| part.address == *address));
        }
        let (client, wanted) = self.network.client(address)?;
        let lane = Arc::new(Lane::new(client, self.network.config.clone(), wanted, self.gate.clone()));
        lanes.insert(address.clone(), lane.clone());
        Ok(lane)
    }

    /// The process that the slot is asked of, if there is a connection to it.
    pub(super) fn process_of(&self, slot: u16) -> Option<Arc<str>> {
        let map = self.network.topology.known()?;
        self.lane(map.address(slot)?).ok()?.leads_to()
    }

    /// What the store consists of, found out anew, each process asked who it is.
    pub(super) async fn shards(&self) -> Result<Shards, StoreError> {
        let map = self.network.topology.refreshed().await?;
        let asking = map.parts.iter().map(|part| async {
            let asked = Instant::now();
            let process = self.lane(&part.address)?.process().await?;
            let (heard, round_trip) = (std::time::Instant::now(), asked.elapsed());
            let at = part.address.to_string();
            let shown = process.time.map(|time| ShownTime { at, time, heard, round_trip });
            Ok((process, shown))
        });
        let mut shards = Shards::default();
        for (part, process) in map.parts.iter().zip(join_all(asking).await) {
            let at = part.address.to_string();
            match process {
                Ok((Process { name, is_wanted: true, .. }, shown)) => {
                    shards.clocks.extend(shown);
                    shards.there.push(Shard { at, process: name, slots: part.slots.clone() });
                }
                Ok(_) | Err(Failure { connection: Connection::Replica, .. }) => {
                    let error = StoreError::Unavailable(IS_A_REPLICA.to_owned());
                    shards.away.push(Away { at, error, is_replica: true });
                }
                Err(Failure { error, .. }) => shards.away.push(Away { at, error, is_replica: false }),
            }
        }
        Ok(shards)
    }

    /// Sends a request that does not write to a process that may be no part of the store any more.
    pub(super) async fn ask_at(&self, at: &str, request: &Request) -> Result<Value, StoreError> {
        let address =
            Address::read(at).ok_or_else(|| StoreError::Unavailable(format!("not an address: {at}")))?;
        let (client, _) = self.network.client(&address)?;
        let lane = Lane::new(client, self.network.config.clone(), Wanted::Any, None);
        lane.ask(request, Entry::Plainly).await.map_err(|failure| failure.error)
    }

    pub(super) fn arrangement(&self) -> u64 {
        self.network.topology.arrangement()
    }

    pub(super) async fn is_still(&self, arrangement: u64) -> bool {
        self.network.topology.is_still(arrangement).await
    }

    /// Returns when the store is somewhere else than a moment after the call.
    pub(super) async fn rearranged(&self) {
        tokio::time::sleep(LOOK_AGAIN).await;
        let before = self.network.topology.known();
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            if let Ok(now) = self.network.topology.refreshed().await
                && before.as_ref() != Some(&now)
            {
                return;
            }
        }
    }

    /// Asks every process that the store consists of something that does not write. Fails if one of them does not answer.
    pub(super) async fn ask_each(&self, request: &Request) -> Result<Vec<Value>, StoreError> {
        let map = self.map().await?;
        let asking = map.parts.iter().map(|part| async {
            let lane = self.lane(&part.address)?;
            lane.ask(request, Entry::Plainly).await.map_err(|failure| self.no_way_on(failure))
        });
        join_all(asking).await.into_iter().collect()
    }

    /// Whether anybody answers.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        let map = self.map().await?;
        let ping = Request::keyless(&["PING"]);
        let asking = map.parts.iter().map(|part| async {
            let lane = self.lane(&part.address)?;
            lane.ask(&ping, Entry::Plainly).await.map_err(|failure| self.no_way_on(failure))
        });
        let mut answers = join_all(asking).await;
        match answers.iter().position(Result::is_ok) {
            Some(_) => Ok(()),
            None => answers.pop().unwrap_or(Ok(Value::Nil)).map(drop),
        }
    }
}

fn address(map: &Map, slot: u16) -> Result<&Address, StoreError> {
    map.address(slot).ok_or_else(|| StoreError::Unavailable(format!("no node holds the slot {slot}")))
}
