//! The one writer: a thread that gathers waiting operations, commits them together, and only then answers.
//!
//! A durable commit costs the same for one operation as for hundreds, so whoever comes while one is under way shares
//! the next. An operation that wrote nothing waits for the commit as well: what it saw may have been written by its
//! neighbour in the batch, and must not be told before it is certain.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redb::{CommitError, Database, WriteTransaction};
use relatch_domain::SessionRef;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::file::OpenError;
use super::operation::{Operation, Queue, answered, asked};
use super::sweep::{Housekeeping, sweep};
use super::tables::Tables;
use crate::ambient::Clock;
use crate::store::StoreError;

/// How many operations one commit carries at the most.
const BATCH: usize = 256;
/// How many operations may wait; whoever comes then waits for a place.
const WAITING: usize = 1024;
/// How long to wait before a database that failed is opened again.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// Opens the database again after it failed.
pub(super) type Reopen = Box<dyn Fn() -> Result<Database, OpenError> + Send>;

/// What the writer shares with those who read.
pub(super) struct Shared {
    /// The database; nothing while it is closed or has failed.
    pub(super) database: ArcSwapOption<Database>,
    pub(super) commits: AtomicU64,
    pub(super) operations: AtomicU64,
}

/// What is asked of the writer.
pub(super) enum Message {
    Run(Box<dyn Operation>),
    Stop,
}

/// The writer as its thread knows it.
pub(super) struct Writer {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    reopen: Reopen,
    housekeeping: Housekeeping,
    next_sweep: Instant,
    next_reopen: Instant,
    swept_to: Option<SessionRef>,
}

/// Starts the thread. It ends when it is told to or when nobody can ask any more, and has closed the database when
/// `ended` says so.
pub(super) fn start(
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    reopen: Reopen,
    housekeeping: Housekeeping,
) -> std::io::Result<Queue> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let (alive, ended) = watch::channel(());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let now = Instant::now();
    let mut writer = Writer {
        shared,
        clock,
        reopen,
        next_sweep: now + housekeeping.every,
        housekeeping,
        next_reopen: now,
        swept_to: None,
    };
    let thread = std::thread::Builder::new().name("relatch-writer".to_owned()).spawn(move || {
        runtime.block_on(writer.run(receiver));
        drop(writer);
        drop(alive);
    })?;
    Ok(Queue::new(sender, ended, thread))
}

impl Drop for Writer {
    /// Closes the file, however the thread came to its end.
    fn drop(&mut self) {
        self.shared.database.store(None);
    }
}

impl Writer {
    async fn run(&mut self, mut receiver: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH);
        loop {
            let came = timeout(self.patience(), receiver.recv_many(&mut messages, BATCH)).await;
            if matches!(came, Ok(0)) {
                // Closed and empty: nobody is left who could ask.
                return;
            }
            let mut batch = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    Message::Run(operation) => batch.push(operation),
                    // Who is waiting already still gets an answer.
                    Message::Stop => receiver.close(),
                }
            }
            if !batch.is_empty() {
                self.serve(batch);
            }
            self.keep_house();
        }
    }

    /// How long the writer may wait for somebody to come.
    fn patience(&self) -> Duration {
        let broken = self.shared.database.load().is_none();
        let next = if broken { self.next_reopen } else { self.next_sweep };
        next.saturating_duration_since(Instant::now())
    }

    fn serve(&mut self, mut batch: Vec<Box<dyn Operation>>) {
        let outcome = match self.database() {
            Some(database) => self.commit(&database, &mut batch),
            None => Err(StoreError::Unavailable("the database has failed".to_owned())),
        };
        for operation in batch {
            operation.answer(outcome.clone());
        }
    }

    /// Runs a batch in one transaction. After an error nothing of it was applied, unless it is `Indeterminate`.
    fn commit(&mut self, database: &Database, batch: &mut [Box<dyn Operation>]) -> Result<(), StoreError> {
        let Ok(begun) = catch_unwind(AssertUnwindSafe(|| database.begin_write())) else {
            return Err(self.failed(&"beginning a transaction failed", StoreError::Unavailable));
        };
        let transaction = match begun {
            Ok(transaction) => transaction,
            Err(error) => return Err(self.failed(&error, StoreError::Unavailable)),
        };
        // A transaction that is dropped, be it by a panic, has changed nothing.
        match catch_unwind(AssertUnwindSafe(|| self.run_all(&transaction, batch))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "a batch of operations failed and was not applied");
                return Err(StoreError::Unavailable(error.to_string()));
            }
            Err(_) => {
                tracing::error!("an operation panicked, its batch was not applied");
                return Err(StoreError::Unavailable("an operation of the same batch panicked".to_owned()));
            }
        }
        match catch_unwind(AssertUnwindSafe(|| transaction.commit())) {
            Ok(Ok(())) => {
                let operations = u64::try_from(batch.len()).unwrap_or(u64::MAX);
                self.shared.commits.fetch_add(1, Ordering::Relaxed);
                self.shared.operations.fetch_add(operations, Ordering::Relaxed);
                Ok(())
            }
            Ok(Err(error @ CommitError::TransactionPoisoned)) => {
                Err(self.failed(&error, StoreError::Unavailable))
            }
            Ok(Err(error)) => Err(self.failed(&error, StoreError::Indeterminate)),
            Err(_) => Err(self.failed(&"the commit panicked", StoreError::Indeterminate)),
        }
    }

    fn run_all(
        &self,
        transaction: &WriteTransaction,
        batch: &mut [Box<dyn Operation>],
    ) -> Result<(), redb::Error> {
        let mut tables = Tables::open(transaction)?;
        batch.iter_mut().try_for_each(|operation| operation.run(&mut tables, self.clock.now()))
    }

    /// Lets go of the database: after a failed commit it takes no more writes until it is opened anew, and what
    /// readers would see of it is not certain.
    fn failed(
        &mut self,
        error: &dyn std::fmt::Display,
        what_it_means: fn(String) -> StoreError,
    ) -> StoreError {
        tracing::error!(%error, "the database failed, opening it again");
        self.shared.database.store(None);
        self.next_reopen = Instant::now();
        what_it_means(error.to_string())
    }

    /// The database, opened again if it had failed and it is time to try.
    fn database(&mut self) -> Option<Arc<Database>> {
        if let Some(database) = self.shared.database.load_full() {
            return Some(database);
        }
        if Instant::now() < self.next_reopen {
            return None;
        }
        self.next_reopen = Instant::now() + REOPEN_AFTER;
        match (self.reopen)() {
            Ok(database) => {
                tracing::info!("the database is open again");
                self.shared.database.store(Some(Arc::new(database)));
            }
            Err(error) => tracing::error!(%error, "the database cannot be opened again yet"),
        }
        self.shared.database.load_full()
    }

    /// One step of the sweep if it is due, and an attempt to open a database that failed: readers wait for it even
    /// if nobody writes.
    fn keep_house(&mut self) {
        let Some(database) = self.database() else { return };
        if Instant::now() < self.next_sweep {
            return;
        }
        self.next_sweep = Instant::now() + self.housekeeping.every;
        let (after, housekeeping) = (self.swept_to, self.housekeeping);
        let (operation, answer) = asked(move |tables, now| sweep(tables, now, after, &housekeeping));
        let mut batch: Vec<Box<dyn Operation>> = vec![operation];
        let outcome = self.commit(&database, &mut batch);
        for operation in batch {
            operation.answer(outcome.clone());
        }
        match answered(answer) {
            Ok(swept) => {
                self.swept_to = swept.reached;
                tracing::debug!(forgotten = swept.forgotten, "swept");
            }
            Err(error) => tracing::warn!(%error, "a step of the sweep failed"),
        }
    }
}
