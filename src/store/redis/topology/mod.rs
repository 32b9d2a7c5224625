//! Which process holds what: known from the start of a single server, asked of Sentinels, or of the nodes of a Cluster.
//!
//! One map is shared by all workers. Whoever watches over the store draws it anew several times a second; a worker that finds it
//! wrong says so, and follows the redirection meanwhile.

mod cluster;
mod sentinel;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::AsyncConnectionConfig;

use super::lane::Lane;
use super::process::Wanted;
use super::target::{Address, Doors, Form, Target};
use crate::store::StoreError;
use crate::store::shard::{SLOTS, SlotSet};

pub(super) use cluster::parse;

/// How long those who have not answered are waited for once most have.
const STRAGGLERS: Duration = Duration::from_millis(20);

/// A part of the store, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) address: Address,
    /// The slots that it holds; none for all.
    pub(super) slots: Option<Arc<SlotSet>>,
}

/// Which process holds what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Map {
    pub(super) parts: Vec<Part>,
    /// The number of the part that holds each slot, [`NOBODY`] if none does. Empty if the first holds all of them.
    by_slot: Vec<u16>,
}

const NOBODY: u16 = u16::MAX;

impl Map {
    fn whole(address: Address) -> Self {
        Self { parts: vec![Part { address, slots: None }], by_slot: Vec::new() }
    }

    fn of(parts: Vec<(Address, SlotSet)>) -> Self {
        let mut by_slot = vec![NOBODY; usize::from(SLOTS)];
        for (number, (_, slots)) in (0..).zip(&parts) {
            for slot in slots.iter() {
                if let Some(holder) = by_slot.get_mut(usize::from(slot)) {
                    *holder = number;
                }
            }
        }
        let part = |(address, slots)| Part { address, slots: Some(Arc::new(slots)) };
        Self { parts: parts.into_iter().map(part).collect(), by_slot }
    }

    /// Where the slot is, if anybody holds it.
    pub(super) fn address(&self, slot: u16) -> Option<&Address> {
        let number = if self.by_slot.is_empty() { 0 } else { *self.by_slot.get(usize::from(slot))? };
        self.parts.get(usize::from(number)).map(|part| &part.address)
    }
}

/// Finds out who holds what, and remembers it.
pub(super) struct Topology {
    form: Form,
    doors: Doors,
    config: AsyncConnectionConfig,
    map: ArcSwapOption<Map>,
    /// How often the map has become another one.
    arrangement: AtomicU64,
    stale: AtomicBool,
    /// How many drawings of the map have begun.
    begun: AtomicU64,
    /// Held by whoever draws it, so that nobody else does.
    drawing: tokio::sync::Mutex<Drawing>,
}

/// Of those who are asked.
#[derive(Default)]
struct Drawing {
    /// The ways to them.
    lanes: HashMap<Address, Arc<Lane>>,
    /// The number of the last drawing that came to its end.
    ended: u64,
    /// Whether it will stay so for a moment, as far as they know.
    is_certain: bool,
}

/// What those who were asked say, and whether that is most of them and none is about to say otherwise.
struct Said<T> {
    answer: T,
    is_certain: bool,
}

impl Topology {
    pub(super) fn new(target: Target, config: AsyncConnectionConfig) -> Self {
        let Target { form, doors } = target;
        let map = match &form {
            Form::Single(address) => Some(Arc::new(Map::whole(address.clone()))),
            Form::Sentinel { .. } | Form::Cluster { .. } => None,
        };
        Self {
            form,
            doors,
            config,
            map: ArcSwapOption::new(map),
            arrangement: AtomicU64::new(0),
            stale: AtomicBool::new(false),
            begun: AtomicU64::new(0),
            drawing: tokio::sync::Mutex::default(),
        }
    }

    /// What is known.
    pub(super) fn known(&self) -> Option<Arc<Map>> {
        self.map.load_full()
    }

    /// Whether the store is a Cluster.
    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.form, Form::Cluster { .. })
    }

    /// What is known turned out to be wrong.
    pub(super) fn is_stale(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    /// What is known, found out anew if it is wrong or there is nothing.
    ///
    /// # Errors
    /// If nothing is known and nobody answers.
    pub(super) async fn current(&self) -> Result<Arc<Map>, StoreError> {
        match self.known() {
            Some(map) if !self.stale.load(Ordering::Relaxed) => Ok(map),
            _ => self.refreshed().await,
        }
    }

    /// What is so now, or what was last known if nobody answers.
    ///
    /// # Errors
    /// If nothing is known and nobody answers.
    pub(super) async fn refreshed(&self) -> Result<Arc<Map>, StoreError> {
        let mut drawing = self.drawing.lock().await;
        self.draw(&mut drawing).await
    }

    /// The number of the map that is known: another one each time that it becomes another.
    pub(super) fn arrangement(&self) -> u64 {
        self.arrangement.load(Ordering::Acquire)
    }

    /// Whether most Sentinels are there, name the primary that was known then, and are not about to name another. One that is not primary any more may take
    /// writes for a moment, and a replica may acknowledge them, which will both lose them. Of a Cluster such a one holds its
    /// clients back.
    pub(super) async fn is_still(&self, arrangement: u64) -> bool {
        if !matches!(self.form, Form::Sentinel { .. }) {
            return true;
        }
        let begun = self.begun.load(Ordering::Acquire);
        let mut drawing = self.drawing.lock().await;
        // One that somebody else has begun meanwhile will do.
        if drawing.ended <= begun && self.draw(&mut drawing).await.is_err() {
            return false;
        }
        drawing.is_certain && self.arrangement() == arrangement
    }

    async fn draw(&self, drawing: &mut Drawing) -> Result<Arc<Map>, StoreError> {
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        self.stale.store(false, Ordering::Relaxed);
        let said = self.ask(&mut drawing.lanes).await;
        drawing.ended = number;
        drawing.is_certain = said.as_ref().is_ok_and(|said| said.is_certain);
        match (said, self.known()) {
            (Ok(said), Some(known)) if said.answer == *known => Ok(known),
            (Ok(said), known) => {
                let drawn = Arc::new(said.answer);
                self.map.store(Some(drawn.clone()));
                if known.is_some() {
                    self.arrangement.fetch_add(1, Ordering::AcqRel);
                }
                Ok(drawn)
            }
            (Err(error), Some(known)) => {
                tracing::debug!(%error, "nobody says who holds what; going on with what is known");
                Ok(known)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn ask(&self, lanes: &mut HashMap<Address, Arc<Lane>>) -> Result<Said<Map>, StoreError> {
        match &self.form {
            Form::Single(address) => Ok(Said { answer: Map::whole(address.clone()), is_certain: true }),
            Form::Sentinel { sentinels, service } => {
                let lanes = self.lanes(lanes, sentinels.iter().cloned(), Wanted::Sentinel)?;
                let Said { answer, is_certain } = sentinel::primary(&lanes, service).await?;
                Ok(Said { answer: Map::whole(answer), is_certain })
            }
            Form::Cluster { seeds } => {
                let known = self.known();
                let known = known.iter().flat_map(|map| &map.parts).map(|part| part.address.clone());
                let lanes = self.lanes(lanes, known.chain(seeds.iter().cloned()), Wanted::Any)?;
                cluster::map(&lanes, self.doors.is_tls()).await
            }
        }
    }

    /// The lanes to these addresses, and no more to others.
    fn lanes(
        &self,
        lanes: &mut HashMap<Address, Arc<Lane>>,
        addresses: impl Iterator<Item = Address>,
        wanted: Wanted,
    ) -> Result<Vec<(Address, Arc<Lane>)>, StoreError> {
        let mut asked: Vec<(Address, Arc<Lane>)> = Vec::new();
        for address in addresses {
            if asked.iter().any(|(other, _)| *other == address) {
                continue;
            }
            let lane = match lanes.get(&address) {
                Some(lane) => lane.clone(),
                None => self.lane(&address, wanted)?,
            };
            asked.push((address, lane));
        }
        *lanes = asked.iter().cloned().collect();
        Ok(asked)
    }

    fn lane(&self, address: &Address, wanted: Wanted) -> Result<Arc<Lane>, StoreError> {
        let client = match wanted {
            Wanted::Sentinel => self.doors.sentinel(address),
            Wanted::Any | Wanted::Primary => self.doors.redis(address),
        };
        let client = client.map_err(|error| StoreError::Unavailable(format!("{address}: {error}")))?;
        Ok(Arc::new(Lane::new(client, self.config.clone(), wanted, None)))
    }
}

/// The error of one who was asked, with its address.
fn says(at: &Address, error: &StoreError) -> StoreError {
    let at = at.to_string();
    let located = |text: &str| if text.contains(&at) { text.to_owned() } else { format!("{at}: {text}") };
    match error {
        StoreError::Misconfigured(text) => StoreError::Misconfigured(located(text)),
        StoreError::Unavailable(text) | StoreError::Indeterminate(text) | StoreError::Corrupt(text) => {
            StoreError::Unavailable(located(text))
        }
    }
}

/// What those who are asked say: as soon as all have answered, or most and nobody else for a moment.
async fn answers<T>(
    mut asking: FuturesUnordered<impl Future<Output = Result<T, StoreError>>>,
) -> Result<Said<Vec<T>>, StoreError> {
    let all = asking.len();
    let (mut said, mut failure) = (Vec::new(), None);
    loop {
        let next = if said.len() * 2 > all {
            tokio::time::timeout(STRAGGLERS, asking.next()).await.unwrap_or(None)
        } else {
            asking.next().await
        };
        match next {
            Some(Ok(answer)) => said.push(answer),
            // The settings are to blame only if nothing else is.
            Some(Err(StoreError::Misconfigured(_))) if failure.is_some() => {}
            Some(Err(error)) => failure = Some(error),
            None => break,
        }
    }
    match failure {
        Some(error) if said.is_empty() => Err(error),
        _ => Ok(Said { is_certain: said.len() * 2 > all, answer: said }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_leads_from_slots_to_addresses() {
        let (a, b) = (Address::Tcp("a".into(), 1), Address::Tcp("b".into(), 2));
        let whole = Map::whole(a.clone());
        assert_eq!(whole.address(16_383), Some(&a));
        let (mut low, mut high) = (SlotSet::default(), SlotSet::default());
        (0..100).for_each(|slot| low.insert(slot));
        (200..SLOTS).for_each(|slot| high.insert(slot));
        let map = Map::of(vec![(a.clone(), low), (b.clone(), high)]);
        let found = [0, 99, 100, 199, 200, 16_383, SLOTS].map(|slot| map.address(slot));
        assert_eq!(found, [Some(&a), Some(&a), None, None, Some(&b), Some(&b), None]);
    }

    #[tokio::test]
    async fn whoever_is_silent_is_waited_for_only_while_most_are() {
        let after = |millis: u64, answer| async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            answer
        };
        let error = || StoreError::Unavailable("away".into());
        let asking: FuturesUnordered<_> =
            [after(1, Ok(1)), after(2, Ok(2)), after(10_000, Ok(3))].into_iter().collect();
        let said = async |asking| answers(asking).await.map(|said| (said.answer, said.is_certain));
        assert_eq!(said(asking).await, Ok((vec![1, 2], true)));
        let asking: FuturesUnordered<_> =
            [after(1, Ok(1)), after(2, Err(error())), after(80, Ok(3))].into_iter().collect();
        assert_eq!(said(asking).await, Ok((vec![1, 3], true)));
        let asking: FuturesUnordered<_> =
            [after(1, Err(error())), after(2, Err(error())), after(80, Ok(3))].into_iter().collect();
        assert_eq!(said(asking).await, Ok((vec![3], false)));
        let asking: FuturesUnordered<_> = [after(1, Err(error()))].into_iter().collect();
        assert_eq!(said(asking).await, Err(error()));
    }
}
