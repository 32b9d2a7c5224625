//! Who computes password hashes: a few threads of their own, with a queue before them.
//!
//! Hashing is slow on purpose. Left to the server's own threads, a handful of sign-ins would starve every refresh;
//! with an unbounded queue, a flood of them would be worked off long after everyone has gone. So: fewer threads than
//! cores, which the system lets run when nobody else wants to; one who would wait too long is told so at once, and work
//! whose caller has gone is not done (ASVS 2.4.1). In a crowd each account and each address has a fair share: see
//! [`super::queue`].

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use bcrypt::BcryptError;
use prometheus_client::metrics::histogram::Histogram;
use relatch_domain::UserId;

use super::pace::Pace;
use super::queue::{Key, Place, Queue};
use super::scheme::{Cost, UnreadableHash};
use super::turn::{Claim, Job, Ticket, Turn};
use crate::ambient::{NoEntropy, Random};

/// Why a password was neither hashed nor verified. A wrong password is none of these.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// There is too much to do: nothing was done, and it may be tried again after this time.
    #[error("too many passwords are being checked at once")]
    Busy(Duration),
    /// The work was given up: it panicked.
    #[error("the password hasher has stopped")]
    Stopped,
    /// The stored hash cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableHash),
    /// There was no salt to be had.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// The library refused what it says it supports.
    #[error("bcrypt failed: {0}")]
    Bcrypt(#[from] BcryptError),
}

/// The most passwords that wait for each thread, however fast they are hashed: what they hold in memory is bounded.
const MOST_WAITING: usize = 1000;
/// For each password that may wait so many claims may be made: most of those who make them find that they need not wait for a
/// hash, because their guesses have to wait.
const CLAIMS: usize = 4;
/// Upper bounds of the histogram's buckets, in seconds.
const BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// By how much the threads stand back behind all others (`nice`).
const NICE: i32 = 10;

/// How much hashing goes on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HasherSize {
    /// Threads that hash.
    pub threads: NonZeroUsize,
    /// How long a password may wait for one of them. So many wait as can be hashed in this time.
    pub max_wait: Duration,
}

impl HasherSize {
    /// One thread fewer than there are cores, and at least one.
    pub fn default_threads() -> NonZeroUsize {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        NonZeroUsize::new(cores - 1).unwrap_or(NonZeroUsize::MIN)
    }
}

/// What a claim is part of. In a crowd each of these gets its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share<'a> {
    /// Which.
    pub of: ShareOf<'a>,
    /// For how many callers it stands.
    pub callers: u32,
    /// How many of its claims may have their turn at once.
    pub at_once: u32,
}

/// The kinds of shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShareOf<'a> {
    /// An account: its name, parsed or, if it is nobody's, as it was typed.
    Account(&'a str),
    /// The owner of an account, known by a session or a device. Strangers who type the name have no part in it.
    Owner(UserId),
    /// An address, or the first of a network that counts as one.
    Address(IpAddr),
    /// All who make accounts for themselves: they stand behind those who have one.
    Registrations,
}

/// Hashes and verifies passwords. Share it; its threads end when it is dropped.
#[derive(Debug)]
pub struct PasswordHasher {
    desk: Arc<Desk>,
}

/// What callers and threads share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) size: HasherSize,
    pub(super) cost: Cost,
    pub(super) random: Random,
    keys: RandomState,
    state: Mutex<State>,
    /// Told of each job, and of the end.
    more: Condvar,
    pace: Mutex<Pace>,
    refused: AtomicU64,
    durations: Histogram,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: Queue<Ticket>,
    /// Turns that nobody has.
    pub(super) free: usize,
    /// What is to be hashed now: at most one for each turn.
    jobs: VecDeque<Job>,
    is_stopping: bool,
}

/// How much there is to do, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadNow {
    /// Passwords that wait.
    pub waiting: usize,
    /// Passwords that would have waited too long, since the start.
    pub refused: u64,
}

impl Desk {
    fn new(cost: Cost, size: HasherSize, random: Random) -> Self {
        Self {
            size,
            cost,
            random,
            keys: RandomState::new(),
            state: Mutex::new(State {
                queue: Queue::default(),
                // One more than threads: whoever has a turn asks the store before there is anything to hash.
                free: size.threads.get() + 1,
                jobs: VecDeque::new(),
                is_stopping: false,
            }),
            more: Condvar::new(),
            pace: Mutex::new(Pace::of_cost(cost.get())),
            refused: AtomicU64::new(0),
            durations: Histogram::new(BUCKETS),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long one waits behind so many.
    fn wait(&self, ahead: usize) -> Duration {
        let rounds = u32::try_from(ahead / self.size.threads.get()).unwrap_or(u32::MAX);
        self.pace().expected(Instant::now()).saturating_mul(rounds)
    }

    /// How many may wait at most.
    fn places(&self) -> usize {
        let pace = self.pace().expected(Instant::now()).as_micros().max(1);
        let each = usize::try_from(self.size.max_wait.as_micros() / pace).unwrap_or(usize::MAX);
        each.clamp(1, MOST_WAITING).saturating_mul(self.size.threads.get())
    }

    /// How many may wait at most, however fast they are hashed.
    const fn most_waiting(&self) -> usize {
        MOST_WAITING.saturating_mul(self.size.threads.get())
    }

    /// Whether one may wait behind so many.
    fn admits(&self, ahead: usize) -> Result<(), HashingError> {
        let wait = self.wait(ahead);
        if wait <= self.size.max_wait { Ok(()) } else { Err(self.busy(wait)) }
    }

    /// When to try again: some of those who are refused after one second, others later, and the last when the queue of
    /// now is worked off. All at once would only be a crowd once more.
    pub(super) fn busy(&self, wait: Duration) -> HashingError {
        let seconds = wait.min(self.size.max_wait).as_secs().max(1);
        let refused = self.refused.fetch_add(1, Ordering::Relaxed);
        HashingError::Busy(Duration::from_secs(1 + refused % seconds))
    }

    pub(super) fn claim(self: &Arc<Self>, shares: &[Share<'_>]) -> Result<Claim, HashingError> {
        let keys: Vec<Key> = shares.iter().map(|share| self.key(share)).collect();
        let mut state = self.state();
        let claimed = state.queue.claimed();
        let standing = state.queue.claim(&keys);
        // Whoever has nothing else under way is let in as long as memory is bounded.
        let places = if standing.rank > 1 { self.places() } else { self.most_waiting() };
        let is_full = claimed >= places.saturating_mul(CLAIMS);
        let ahead = state.queue.ahead(standing.rank).max(standing.own);
        drop(state);
        let claim = Claim::new(Arc::clone(self), keys, standing.rank);
        if is_full {
            return Err(self.busy(self.size.max_wait));
        }
        self.admits(ahead).map(|()| claim)
    }

    fn key(&self, share: &Share<'_>) -> Key {
        Key { id: self.keys.hash_one(share.of), callers: share.callers, at_once: share.at_once }
    }

    /// Has somebody wait. The last of a crowd goes if there is no room.
    pub(super) fn push(&self, claim: &Claim, ticket: Ticket) -> Result<Place, HashingError> {
        let mut state = self.state();
        self.admits(state.queue.ahead(claim.rank))?;
        let gone = if state.queue.len() >= self.most_waiting() {
            Some(state.queue.pop_behind(claim.rank).ok_or_else(|| self.busy(self.size.max_wait))?)
        } else {
            None
        };
        let place = state.queue.push(claim.rank, claim.keys.clone(), ticket);
        drop(state);
        if let Some(gone) = gone {
            // It may have gone by itself.
            drop(gone.send(Err(self.busy(self.size.max_wait))));
        }
        Ok(place)
    }

    /// Gives the turns that nobody has to those who wait.
    pub(super) fn hand_out(self: &Arc<Self>) {
        loop {
            let mut state = self.state();
            if state.free == 0 {
                return;
            }
            let Some((keys, ticket)) = state.queue.take_turn() else { return };
            state.free -= 1;
            drop(state);
            let turn = Turn::new(Arc::clone(self), keys);
            // Whoever has gone meanwhile gives it back.
            drop(ticket.send(Ok(turn)));
        }
    }

    /// Has a thread do a job.
    pub(super) fn give(&self, job: Job) {
        self.state().jobs.push_back(job);
        self.more.notify_one();
    }

    /// The next job, once there is one; nothing when the hasher has been dropped and all is done.
    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.is_stopping {
                return None;
            }
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        self.took(begun.elapsed());
        done
    }

    fn took(&self, time: Duration) {
        self.durations.observe(time.as_secs_f64());
        self.pace().took(time, Instant::now());
    }
}

impl PasswordHasher {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn start(cost: Cost, size: HasherSize, random: Random) -> io::Result<Self> {
        let hasher = Self { desk: Arc::new(Desk::new(cost, size, random)) };
        for number in 0..size.threads.get() {
            let desk = Arc::clone(&hasher.desk);
            thread::Builder::new().name(format!("password-{number}")).spawn(move || {
                stand_back();
                work(&desk, Job::run);
            })?;
        }
        Ok(hasher)
    }

    /// A claim that is part of these shares. One without shares, an operator's, goes before all that have some.
    ///
    /// # Errors
    /// If it would have to wait too long.
    pub fn claim(&self, shares: &[Share<'_>]) -> Result<Claim, HashingError> {
        self.desk.claim(shares)
    }

    /// How much there is to do at the moment.
    pub fn load(&self) -> LoadNow {
        LoadNow { waiting: self.desk.state().queue.len(), refused: self.desk.refused.load(Ordering::Relaxed) }
    }

    /// How long passwords took, in seconds; it goes on counting.
    pub fn durations(&self) -> Histogram {
        self.desk.durations.clone()
    }

    /// The cost of the hashes that it makes.
    pub fn cost(&self) -> Cost {
        self.desk.cost
    }
}

impl Drop for PasswordHasher {
    fn drop(&mut self) {
        self.desk.state().is_stopping = true;
        self.desk.more.notify_all();
    }
}

/// Lets all other threads of the machine go before this one. Where that is not allowed they share the machine.
fn stand_back() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "passwords are hashed at the priority of everything else");
    }
}

/// A thread's life: one job after the other, until the hasher is dropped and all is done. One that panics has no answer, and
/// its turn ends.
fn work(desk: &Desk, run: fn(Job)) {
    while let Some(job) = desk.next() {
        if job.is_wanted() && catch_unwind(AssertUnwindSafe(|| run(job))).is_err() {
            tracing::error!("a password was not hashed, for the hashing panicked");
        }
    }
}

#[cfg(test)]
#[path = "hasher_tests.rs"]
mod tests;
