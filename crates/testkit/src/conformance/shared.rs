//! What a store has one of, not one for each user: the cutoffs, the journal and the audit trails. One long random sequence of steps on
//! a store that nobody else uses, beside the model.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use proptest::option::of;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use relatch::ambient::Clock;
use relatch::store::{
    CutoffRaised, EntryId, JournalPage, JournalWrite, NewEntry, Store, StoreError, Trail, TrailEntry,
};
use relatch_domain::cutoff::Whose;
use relatch_domain::revocation::{KeyId, Revocation};
use relatch_domain::session::EndReason;
use relatch_domain::{ClientNumber, OperationId, SessionId, SessionRef, UnixMillis, UserId};

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
    /// A write to the journal: so many entries, of which some have been written before, and audit records, by a node whose
    /// access tokens live for so many minutes.
    Write {
        entries: usize,
        records: usize,
        lifetime: u64,
        open: Option<u8>,
        close: Option<u8>,
    },
    /// What the journal has after the entry at this place.
    Follow(Option<usize>),
    /// Before the record that comes so many places after the latest.
    Page {
        trail: Trail,
        before: Option<usize>,
        limit: usize,
    },
}

fn trail() -> impl Strategy<Value = Trail> {
    prop_oneof![2 => Just(Trail::Acts), 1 => Just(Trail::Refused), 1 => Just(Trail::Reads)]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        2 => prop_oneof![6 => 0_i64..300_000, 2 => -2_000_i64..0, 1 => -600_000_i64..600_000].prop_map(Command::MoveClock),
        4 => (of(0_u16..3), prop_oneof![-4_i64..4, -10_000_000_i64..10_000])
            .prop_map(|(client, from_now)| Command::RaiseCutoff(client, from_now)),
        12 => (trail(), 0_usize..200, prop_oneof![4 => Just(60), 1 => 0_usize..200])
            .prop_map(|(trail, bytes, keep)| Command::Append { trail, bytes, keep }),
        6 => (0_usize..5, 0_usize..3, prop_oneof![3 => Just(60), 1 => 0_u64..120], of(0_u8..6), of(0_u8..6))
            .prop_map(|(entries, records, lifetime, open, close)| {
                Command::Write { entries, records, lifetime, open, close }
            }),
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
    /// How long the log was when it was read last.
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
            Command::Write { entries, records, lifetime, open, close } => {
                let entries = (0..entries).map(|_| self.some_entry()).collect();
                let records = (0..records).map(|_| self.some_record()).collect();
                let open = open.map(|number| (operation(number), self.some_record()));
                let (close, lifetime) = (close.map(operation), Duration::from_mins(lifetime));
                let write = JournalWrite { open, close, entries, records, lifetime, audit_keep: 60 };
                self.write(&write).await
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

    async fn write(&mut self, write: &JournalWrite) -> Result<(), Divergence> {
        let before = self.pair.model.journal(None, ALL).await.map_err(|error| failed(&error))?;
        let written = self.pair.ask(write, async |store| store.write_journal(write).await).await?;
        let after = self.pair.model.journal(None, ALL).await.map_err(|error| failed(&error))?;
        self.coverage.happened(match (write.close, written.closed) {
            (Some(_), true) => "operation_closed",
            (Some(_), false) => "operation_was_not_open",
            (None, _) => "nothing_to_close",
        });
        if after.entries.len() < before.entries.len() + write.entries.len() {
            self.coverage.happened("subject_has_an_entry");
        }
        if written.until.age_since(written.now) > write.lifetime {
            self.coverage.happened("other_nodes_tokens_live_longer");
        }
        self.follow(None).await
    }

    fn some_entry(&mut self) -> NewEntry {
        self.records += 1;
        // One in three is of a subject that may have an entry.
        let number = if self.records.is_multiple_of(3) { self.records / 7 } else { self.records };
        let mut bytes = [7; 16];
        bytes.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
        let session = SessionRef { user: UserId::from_bytes(bytes), session: SessionId::from_bytes(bytes) };
        let revocation = match number % 8 {
            0 => Revocation::User(session.user),
            1 => Revocation::SignedInBefore(UnixMillis(u64::from_be_bytes([1; 8]))),
            3 => Revocation::Client { client: ClientNumber(7), before: UnixMillis(number) },
            2 => KeyId::new("a-key").map_or(Revocation::User(session.user), Revocation::Key),
            _ => Revocation::Session { session, reason: EndReason::RevokedByAdmin },
        };
        let record = self.records.is_multiple_of(2).then(|| self.some_record());
        NewEntry { revocation, record }
    }

    fn some_record(&mut self) -> Vec<u8> {
        self.records += 1;
        self.records.to_be_bytes().to_vec()
    }

    async fn follow(&mut self, place: Option<usize>) -> Result<(), Divergence> {
        let all = journal(&*self.pair.store, None, ALL).await?;
        let model_all = journal(&self.pair.model, None, ALL).await?;
        if without_ids(&all) != without_ids(&model_all) {
            return Err(Divergence::of_rule("a journal holds what was written into it", &(all, model_all)));
        }
        let all = all.entries;
        if !all.is_sorted_by(|earlier, later| earlier.id < later.id) {
            return Err(Divergence::of_rule("later entries have higher ids", &all));
        }
        let forgot = all.len() < std::mem::replace(&mut self.followed, all.len());
        self.coverage.happened(if forgot { "log_forgets" } else { "log_goes_on" });
        let after = place.and_then(|place| all.get(place)).map(|entry| entry.id);
        let start = after.map_or(0, |_| place.unwrap_or(0) + 1);
        let expected: Vec<_> = all.into_iter().skip(start).take(10).collect();
        let found = journal(&*self.pair.store, after, 10).await?.entries;
        if found == expected {
            Ok(())
        } else {
            Err(Divergence::of_rule("a log goes on after any of its entries", &found))
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

async fn journal(store: &dyn Store, after: Option<EntryId>, limit: usize) -> Result<JournalPage, Divergence> {
    store.journal(after, limit).await.map_err(|error| failed(&error))
}

fn failed(error: &StoreError) -> Divergence {
    Divergence::of_rule("the journal can be read", error)
}

/// The store numbers its entries by a clock of its own.
fn without_ids(page: &JournalPage) -> JournalPage {
    let mut page = page.clone();
    page.entries.iter_mut().for_each(|entry| entry.id = EntryId { millis: 0, seq: 0 });
    page
}

fn operation(number: u8) -> OperationId {
    OperationId::from_bytes([number; 16])
}

fn in_order(entries: Vec<TrailEntry>) -> Result<Vec<TrailEntry>, Divergence> {
    let falling = entries.iter().zip(entries.iter().skip(1)).all(|(later, earlier)| later.id > earlier.id);
    if falling { Ok(entries) } else { Err(Divergence::of_rule("later records have higher ids", &entries)) }
}

fn records(entries: &[TrailEntry]) -> Vec<&[u8]> {
    entries.iter().map(|entry| entry.record.as_slice()).collect()
}
