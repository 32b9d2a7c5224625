//! Who computes password hashes: a few threads of their own, with a queue before them.
//!
//! Hashing is slow on purpose. Left to the server's own threads, a handful of sign-ins would starve every refresh;
//! with an unbounded queue, a flood of them would be worked off long after everyone has gone. So: fewer threads than
//! cores, which the system lets run when nobody else wants to; a caller that would wait too long is refused at once, and work
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

use super::hash_time::HashTime;
use super::permit::{Admission, Job, Permit, PermitSender};
use super::queue::{Place, Queue, ShareKey};
use super::scheme::{Cost, UnreadableHash};
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
/// How many callers are admitted for each place in the queue. Most of them are refused by the sign-in throttle and hash nothing.
const ADMISSIONS_PER_PLACE: usize = 4;
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

/// One of the parties that compete for the hashing threads. While several wait, each gets its share (fair queueing).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share<'a> {
    /// Which.
    pub of: ShareOf<'a>,
    /// For how many callers it stands.
    pub callers: u32,
    /// How many of its admissions may hold a permit at once.
    pub at_once: u32,
}

/// What the share belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShareOf<'a> {
    /// An account, by its parsed name, or by what was typed if that cannot be a name.
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
    pool: Arc<Pool>,
}

/// What callers and threads share.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) size: HasherSize,
    pub(super) cost: Cost,
    pub(super) random: Random,
    keys: RandomState,
    state: Mutex<State>,
    /// Told of each job, and of the end.
    more: Condvar,
    hash_time: Mutex<HashTime>,
    refused: AtomicU64,
    durations: Histogram,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: Queue<PermitSender>,
    /// Permits that are free.
    pub(super) free: usize,
    /// What is to be hashed now: at most one for each permit.
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

impl Pool {
    fn new(cost: Cost, size: HasherSize, random: Random) -> Self {
        Self {
            size,
            cost,
            random,
            keys: RandomState::new(),
            state: Mutex::new(State {
                queue: Queue::default(),
                // One more than threads: with a permit the caller first asks the store, before there is anything to hash.
                free: size.threads.get() + 1,
                jobs: VecDeque::new(),
                is_stopping: false,
            }),
            more: Condvar::new(),
            hash_time: Mutex::new(HashTime::of_cost(cost.get())),
            refused: AtomicU64::new(0),
            durations: Histogram::new(BUCKETS),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash_time(&self) -> MutexGuard<'_, HashTime> {
        self.hash_time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long one waits behind so many.
    fn wait(&self, ahead: usize) -> Duration {
        let rounds = u32::try_from(ahead / self.size.threads.get()).unwrap_or(u32::MAX);
        self.hash_time().expected(Instant::now()).saturating_mul(rounds)
    }

    /// How many may wait at most.
    fn places(&self) -> usize {
        let hash_time = self.hash_time().expected(Instant::now()).as_micros().max(1);
        let each = usize::try_from(self.size.max_wait.as_micros() / hash_time).unwrap_or(usize::MAX);
        each.clamp(1, MOST_WAITING).saturating_mul(self.size.threads.get())
    }

    /// How many may wait at most, however fast they are hashed.
    const fn most_waiting(&self) -> usize {
        MOST_WAITING.saturating_mul(self.size.threads.get())
    }

    /// Whether one may wait behind so many.
    fn check_wait(&self, ahead: usize) -> Result<(), HashingError> {
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

    pub(super) fn admit(self: &Arc<Self>, shares: &[Share<'_>]) -> Result<Admission, HashingError> {
        let keys: Vec<ShareKey> = shares.iter().map(|share| self.key(share)).collect();
        let mut state = self.state();
        let admitted = state.queue.admitted();
        let standing = state.queue.admit(&keys);
        // A party with nothing else under way is admitted up to the bound of memory.
        let places = if standing.rank > 1 { self.places() } else { self.most_waiting() };
        let is_full = admitted >= places.saturating_mul(ADMISSIONS_PER_PLACE);
        let ahead = state.queue.ahead(standing.rank).max(standing.own);
        drop(state);
        let admission = Admission::new(Arc::clone(self), keys, standing.rank);
        if is_full {
            return Err(self.busy(self.size.max_wait));
        }
        self.check_wait(ahead).map(|()| admission)
    }

    fn key(&self, share: &Share<'_>) -> ShareKey {
        ShareKey { id: self.keys.hash_one(share.of), callers: share.callers, at_once: share.at_once }
    }

    /// Has a caller wait. The last of a crowd goes if there is no room.
    pub(super) fn push(&self, admission: &Admission, waiter: PermitSender) -> Result<Place, HashingError> {
        let mut state = self.state();
        self.check_wait(state.queue.ahead(admission.rank))?;
        let gone = if state.queue.len() >= self.most_waiting() {
            Some(state.queue.evict_behind(admission.rank).ok_or_else(|| self.busy(self.size.max_wait))?)
        } else {
            None
        };
        let place = state.queue.push(admission.rank, admission.keys.clone(), waiter);
        drop(state);
        if let Some(gone) = gone {
            // It may have gone by itself.
            drop(gone.send(Err(self.busy(self.size.max_wait))));
        }
        Ok(place)
    }

    /// Gives the free permits to the callers that wait.
    pub(super) fn grant_permits(self: &Arc<Self>) {
        loop {
            let mut state = self.state();
            if state.free == 0 {
                return;
            }
            let Some((keys, waiter)) = state.queue.grant_next() else { return };
            state.free -= 1;
            drop(state);
            let permit = Permit::new(Arc::clone(self), keys);
            // If the caller has gone meanwhile, the permit is dropped, which frees it.
            drop(waiter.send(Ok(permit)));
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
        self.hash_time().took(time, Instant::now());
    }
}

impl PasswordHasher {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn start(cost: Cost, size: HasherSize, random: Random) -> io::Result<Self> {
        let hasher = Self { pool: Arc::new(Pool::new(cost, size, random)) };
        for number in 0..size.threads.get() {
            let pool = Arc::clone(&hasher.pool);
            thread::Builder::new().name(format!("password-{number}")).spawn(move || {
                stand_back();
                work(&pool, Job::run);
            })?;
        }
        Ok(hasher)
    }

    /// Admits a caller that belongs to these shares. A caller without shares, an operator, is served first.
    ///
    /// # Errors
    /// If it would have to wait too long.
    pub fn admit(&self, shares: &[Share<'_>]) -> Result<Admission, HashingError> {
        self.pool.admit(shares)
    }

    /// How much there is to do at the moment.
    pub fn load(&self) -> LoadNow {
        LoadNow { waiting: self.pool.state().queue.len(), refused: self.pool.refused.load(Ordering::Relaxed) }
    }

    /// How long passwords took, in seconds; it goes on counting.
    pub fn durations(&self) -> Histogram {
        self.pool.durations.clone()
    }

    /// The cost of the hashes that it makes.
    pub fn cost(&self) -> Cost {
        self.pool.cost
    }
}

impl Drop for PasswordHasher {
    fn drop(&mut self) {
        self.pool.state().is_stopping = true;
        self.pool.more.notify_all();
    }
}

/// Lets all other threads of the machine go before this one. Where that is not allowed they share the machine.
fn stand_back() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "passwords are hashed at the priority of everything else");
    }
}

/// A thread's life: one job after the other, until the hasher is dropped and all is done. One that panics has no answer, and
/// its permit is freed.
fn work(pool: &Pool, run: fn(Job)) {
    while let Some(job) = pool.next() {
        if job.is_wanted() && catch_unwind(AssertUnwindSafe(|| run(job))).is_err() {
            tracing::error!("a password was not hashed, for the hashing panicked");
        }
    }
}

#[cfg(test)]
#[path = "hasher_tests.rs"]
mod tests;
