//! What a store has one of, not one for each user: the cutoffs, the feed of revocations and the audit trails. One long random sequence of steps on
//! a store that nobody else uses, beside the model.

use std::fmt::Debug;
use std::sync::Arc;

use proptest::option::of;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use relatch::ambient::Clock;
use relatch::store::{CutoffRaised, EntryId, FeedEntry, Store, StoreError, Trail, TrailEntry};
use relatch_domain::cutoff::Whose;
use relatch_domain::revocation::Revocation;
use relatch_domain::session::EndReason;
use relatch_domain::{ClientNumber, SessionId, SessionRef, UnixMillis, UserId};

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
    /// Everyone's or a client's, to so many milliseconds from now.
    RaiseCutoff(Option<u16>, i64),
    Append {
        trail: Trail,
        bytes: usize,
        keep: usize,
    },
    /// So many revocations.
    Announce(usize),
    /// What the feed has after the entry at this place.
    Follow(Option<usize>),
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
        2 => (of(0_u16..3), prop_oneof![-4_i64..4, -10_000_000_i64..10_000])
            .prop_map(|(client, from_now)| Command::RaiseCutoff(client, from_now)),
        12 => (trail(), 0_usize..200, prop_oneof![4 => Just(60), 1 => 0_usize..200])
            .prop_map(|(trail, bytes, keep)| Command::Append { trail, bytes, keep }),
        4 => (0_usize..5).prop_map(Command::Announce),
        2 => of(0_usize..40).prop_map(Command::Follow),
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
    let mut run =
        Run { pair: Pair { store, model }, clock, records: 0, followed: 0, coverage: Coverage::default() };
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
    /// How long the feed was when it was read last.
    followed: usize,
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
            Command::RaiseCutoff(client, from_now) => self.raise_cutoff(client, from_now).await,
            Command::Append { trail, bytes, keep } => {
                self.records += 1;
                let record = [self.records.to_be_bytes().as_slice(), &vec![0xff; bytes]].concat();
                let append = async |store: &dyn Store| store.append_audit(trail, &record, keep).await;
                self.pair.ask(command, append).await
            }
            Command::Announce(count) => {
                let revocations: Vec<_> = (0..count).map(|_| self.some_revocation()).collect();
                self.pair.ask(command, async |store| store.announce(&revocations).await).await
            }
            Command::Follow(place) => self.follow(place).await,
            Command::Page { trail, before, limit } => self.page(trail, before, limit).await,
        }
    }

    async fn raise_cutoff(&mut self, client: Option<u16>, from_now: i64) -> Result<(), Divergence> {
        let whose = client.map_or(Whose::Everyone, |number| Whose::Client(ClientNumber(number)));
        let now = self.pair.ask("the time", async |store| store.latest_time().await).await?;
        let wanted = UnixMillis(now.0.saturating_add_signed(from_now));
        let raise = async |store: &dyn Store| store.raise_cutoff(whose, wanted).await;
        let raised = self.pair.ask(("raise a cutoff", whose, wanted), raise).await?;
        if client.is_some() && wanted > now {
            self.coverage.happened("client_cutoff_ahead");
        }
        self.coverage.happened(match raised {
            CutoffRaised::InFuture => "cutoff_in_future",
            CutoffRaised::Raised { cutoff, .. } if cutoff == wanted => "cutoff_raised",
            CutoffRaised::Raised { .. } => "cutoff_stays",
        });
        self.pair.ask("the cutoffs", async |store| store.cutoffs().await).await.map(drop)
    }

    fn some_revocation(&mut self) -> Revocation {
        self.records += 1;
        let mut bytes = [7; 16];
        bytes.iter_mut().zip(self.records.to_be_bytes()).for_each(|(to, from)| *to = from);
        let session = SessionRef { user: UserId::from_bytes(bytes), session: SessionId::from_bytes(bytes) };
        match self.records % 8 {
            0 => Revocation::User(session.user),
            1 => Revocation::SignedInBefore(UnixMillis(u64::from_be_bytes([1; 8]))),
            2 => Revocation::Client { client: ClientNumber(7), before: UnixMillis(self.records) },
            _ => Revocation::Session { session, reason: EndReason::RevokedByAdmin },
        }
    }

    /// The store may keep more of the feed than the model: it may have another clock.
    async fn follow(&mut self, place: Option<usize>) -> Result<(), Divergence> {
        let all = feed(&*self.pair.store, None, ALL).await?;
        let model_all = feed(&self.pair.model, None, ALL).await?;
        let words = |entries: &[FeedEntry]| entries.iter().map(|entry| entry.revocation).collect::<Vec<_>>();
        if !words(&all).ends_with(&words(&model_all)) {
            return Err(Divergence::of_rule("a feed keeps what is of the last hour", &(all, model_all)));
        }
        if !all.is_sorted_by(|earlier, later| earlier.id < later.id) {
            return Err(Divergence::of_rule("later entries have higher ids", &all));
        }
        let forgot = model_all.len() < std::mem::replace(&mut self.followed, model_all.len());
        self.coverage.happened(if forgot { "feed_forgets" } else { "feed_goes_on" });
        let after = place.and_then(|place| all.get(place)).map(|entry| entry.id);
        let start = after.map_or(0, |_| place.unwrap_or(0) + 1);
        let expected: Vec<_> = all.into_iter().skip(start).take(10).collect();
        let found = feed(&*self.pair.store, after, 10).await?;
        if found == expected {
            Ok(())
        } else {
            Err(Divergence::of_rule("a feed goes on after any of its entries", &found))
        }
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
    before: Option<EntryId>,
    limit: usize,
) -> Result<Vec<TrailEntry>, Divergence> {
    let failed = |error: StoreError| Divergence::of_rule("a trail can be read", &error);
    store.audit(trail, before, limit).await.map_err(failed)
}

async fn feed(store: &dyn Store, after: Option<EntryId>, limit: usize) -> Result<Vec<FeedEntry>, Divergence> {
    let failed = |error: StoreError| Divergence::of_rule("the feed can be read", &error);
    store.announced(after, limit).await.map_err(failed)
}

fn in_order(entries: Vec<TrailEntry>) -> Result<Vec<TrailEntry>, Divergence> {
    let falling = entries.iter().zip(entries.iter().skip(1)).all(|(later, earlier)| later.id > earlier.id);
    if falling { Ok(entries) } else { Err(Divergence::of_rule("later records have higher ids", &entries)) }
}

fn records(entries: &[TrailEntry]) -> Vec<&[u8]> {
    entries.iter().map(|entry| entry.record.as_slice()).collect()
}
