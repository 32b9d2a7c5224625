//! What a store has one of, not one for each user: the cutoff and the audit trails. One long random sequence of steps on
//! a store that nobody else uses, beside the model.

use std::fmt::Debug;
use std::sync::Arc;

use proptest::option::of;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use relatch::ambient::Clock;
use relatch::store::{AuditEntry, AuditId, CutoffRaised, Store, StoreError, Trail};
use relatch_domain::{UnixMillis, UnixSeconds};

use super::pair::{Divergence, Pair};
use super::random::Coverage;
use crate::clock::ManualClock;
use crate::model_store::ModelStore;

/// More than a trail ever holds here.
const ALL: usize = 100_000;

#[derive(Debug, Clone)]
enum Command {
    /// So many milliseconds, forwards or backwards.
    MoveClock(i64),
    /// To so many seconds from now.
    RaiseCutoff(i64),
    Append {
        trail: Trail,
        bytes: usize,
        keep: usize,
    },
    /// Before the record that comes so many places after the latest.
    Page {
        trail: Trail,
        before: Option<usize>,
        limit: usize,
    },
}

fn trail() -> impl Strategy<Value = Trail> {
    prop_oneof![2 => Just(Trail::Acts), 1 => Just(Trail::Refused)]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        2 => prop_oneof![6 => 0_i64..300_000, 2 => -2_000_i64..0, 1 => -600_000_i64..600_000].prop_map(Command::MoveClock),
        2 => prop_oneof![-4_i64..4, -10_000_i64..10].prop_map(Command::RaiseCutoff),
        12 => (trail(), 0_usize..200, prop_oneof![4 => Just(60), 1 => 0_usize..200])
            .prop_map(|(trail, bytes, keep)| Command::Append { trail, bytes, keep }),
        4 => (trail(), of(0_usize..150), prop_oneof![1 => Just(0), 9 => 0_usize..40])
            .prop_map(|(trail, before, limit)| Command::Page { trail, before, limit }),
    ]
}

/// Runs so many random steps on a store that takes its time from `clock`, beside the model. The store must be new.
///
/// # Errors
/// The first step on which the store and the model do not agree.
pub async fn run_shared(
    store: Arc<dyn Store>,
    clock: ManualClock,
    steps: u32,
) -> Result<Coverage, Divergence> {
    let model = ModelStore::new(Arc::new(clock.clone()));
    let mut run = Run { pair: Pair { store, model }, clock, records: 0, coverage: Coverage::default() };
    let mut runner = TestRunner::default();
    for _ in 0..steps {
        let drawn = command().new_tree(&mut runner);
        let command = drawn.map_err(|reason| Divergence::of_rule("a command is drawn", &reason))?.current();
        run.step(&command).await?;
    }
    Ok(run.coverage)
}

struct Run {
    pair: Pair,
    clock: ManualClock,
    records: u64,
    coverage: Coverage,
}

impl Run {
    async fn step(&mut self, command: &Command) -> Result<(), Divergence> {
        match *command {
            Command::MoveClock(by) => {
                let now = self.clock.now().0;
                self.clock.set(UnixMillis(now.saturating_add_signed(by)));
                Ok(())
            }
            Command::RaiseCutoff(from_now) => self.raise_cutoff(from_now).await,
            Command::Append { trail, bytes, keep } => {
                self.records += 1;
                let record = [self.records.to_be_bytes().as_slice(), &vec![0xff; bytes]].concat();
                let append = async |store: &dyn Store| store.append_audit(trail, &record, keep).await;
                self.pair.ask(command, append).await
            }
            Command::Page { trail, before, limit } => self.page(trail, before, limit).await,
        }
    }

    async fn raise_cutoff(&mut self, from_now: i64) -> Result<(), Divergence> {
        let now = i64::from(self.clock.now().seconds().0);
        let wanted = UnixSeconds(u32::try_from(now.saturating_add(from_now)).unwrap_or(0));
        let raise = async |store: &dyn Store| store.raise_cutoff(wanted).await;
        let raised = self.pair.ask(("raise the cutoff", wanted), raise).await?;
        self.coverage.happened(match raised {
            CutoffRaised::InFuture => "cutoff_in_future",
            CutoffRaised::Raised { cutoff, .. } if cutoff == wanted => "cutoff_raised",
            CutoffRaised::Raised { .. } => "cutoff_stays",
        });
        self.pair.ask("the cutoff", async |store| store.cutoff().await).await.map(drop)
    }

    /// The store numbers the records by a clock of its own and may keep more of them than the model, though none fewer.
    async fn page(&mut self, trail: Trail, before: Option<usize>, limit: usize) -> Result<(), Divergence> {
        let all = in_order(read(&*self.pair.store, trail, None, ALL).await?)?;
        let model_all = in_order(read(&self.pair.model, trail, None, ALL).await?)?;
        let (kept, latest) = (records(&all), records(&model_all));
        if !kept.starts_with(&latest) {
            return Err(Divergence::of_rule("a trail keeps the latest records", &(kept, latest)));
        }
        if kept.len() > latest.len() {
            self.coverage.happened("trail_keeps_more");
        }
        let place = before.and_then(|place| all.get(place)).map(|entry| entry.id);
        let page = read(&*self.pair.store, trail, place, limit).await?;
        let start = place.map_or(0, |_| before.unwrap_or(0) + 1);
        let expected: Vec<_> = all.into_iter().skip(start).take(limit).collect();
        self.coverage.happened(if expected.is_empty() { "empty_page" } else { "page" });
        if page == expected {
            Ok(())
        } else {
            Err(Divergence::of_rule("a page is a part of the whole", &page))
        }
    }
}

async fn read(
    store: &dyn Store,
    trail: Trail,
    before: Option<AuditId>,
    limit: usize,
) -> Result<Vec<AuditEntry>, Divergence> {
    let failed = |error: StoreError| Divergence::of_rule("a trail can be read", &error);
    store.audit(trail, before, limit).await.map_err(failed)
}

fn in_order(entries: Vec<AuditEntry>) -> Result<Vec<AuditEntry>, Divergence> {
    let falling = entries.iter().zip(entries.iter().skip(1)).all(|(later, earlier)| later.id > earlier.id);
    if falling { Ok(entries) } else { Err(Divergence::of_rule("later records have higher ids", &entries)) }
}

fn records(entries: &[AuditEntry]) -> Vec<&[u8]> {
    entries.iter().map(|entry| entry.record.as_slice()).collect()
}
