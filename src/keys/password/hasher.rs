//! Who computes password hashes: a few threads of their own, with a bounded queue before them.
//!
//! Hashing is slow on purpose. Left to the server's own threads, a handful of sign-ins would starve every refresh;
//! with an unbounded queue, a flood of them would be worked off long after everyone has gone. So: fewer threads than
//! cores, which the system lets run when nobody else wants to; whoever would wait too long is told so at once, and work
//! whose caller has gone is not done (ASVS 2.4.1).

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use bcrypt::BcryptError;
use prometheus_client::metrics::histogram::Histogram;
use relatch_domain::password_rules::Password;
use tokio::sync::oneshot;

use super::scheme::{Cost, PasswordHash, UnreadableHash, verify_evenly};
use crate::ambient::{NoEntropy, Random};

/// Why a password was neither hashed nor verified. A wrong password is none of these.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// There is too much to do: nothing was done, and it may be tried again after this time.
    #[error("too many passwords are being checked at once")]
    Busy(Duration),
    /// The pool's threads have ended.
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

/// Nobody is let into the queue who would wait longer: people do not wait longer, either.
const PATIENCE: Duration = Duration::from_secs(4);
/// For each place in the queue so many may look for what they want to have hashed: most of them find that they need not wait for it,
/// because their guesses have to wait.
const VISITORS: usize = 4;
/// Upper bounds of the histogram's buckets, in seconds.
const BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// By how much the threads stand back behind all others (`nice`).
const NICE: i32 = 10;

/// How much hashing goes on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HasherSize {
    /// Threads that hash.
    pub threads: NonZeroUsize,
    /// Passwords that may wait for a thread.
    pub queue: usize,
}

impl HasherSize {
    /// Passwords that wait for each thread: some four seconds at cost 12, about as long as people wait.
    const QUEUE_PER_THREAD: usize = 16;

    /// This many threads, and a queue to match.
    pub const fn with_threads(threads: NonZeroUsize) -> Self {
        Self { threads, queue: threads.get() * Self::QUEUE_PER_THREAD }
    }
}

impl Default for HasherSize {
    /// One thread fewer than there are cores, and at least one.
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::with_threads(NonZeroUsize::new(cores - 1).unwrap_or(NonZeroUsize::MIN))
    }
}

/// Hashes and verifies passwords. Share it; its threads end when it is dropped.
#[derive(Debug)]
pub struct PasswordHasher {
    queue: SyncSender<Job>,
    load: Arc<Load>,
    cost: Cost,
    random: Random,
}

/// How much there is to do, and how long it takes.
#[derive(Debug)]
struct Load {
    size: HasherSize,
    /// Those who are about to join the queue, if they find what they look for.
    visiting: AtomicUsize,
    /// Those in the queue.
    waiting: AtomicUsize,
    /// How long a hash has taken of late, in microseconds. Zero before the first.
    pace: AtomicU64,
    refused: AtomicU64,
    durations: Histogram,
}

/// How much there is to do, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadNow {
    /// Passwords that wait.
    pub waiting: usize,
    /// Passwords that would have waited too long, since the start.
    pub refused: u64,
}

impl Load {
    fn of(size: HasherSize) -> Self {
        let (visiting, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let durations = Histogram::new(BUCKETS);
        Self { size, visiting, waiting, pace: AtomicU64::new(0), refused: AtomicU64::new(0), durations }
    }

    /// Comes in, unless the queue is too long already.
    fn visit(self: &Arc<Self>) -> Result<Visit, HashingError> {
        let before_us = self.visiting.fetch_add(1, Ordering::Relaxed);
        let visit = Visit(Arc::clone(self));
        if before_us >= self.size.queue.saturating_mul(VISITORS) {
            return Err(HashingError::Busy(self.again_after(PATIENCE)));
        }
        self.admits(self.waiting.load(Ordering::Relaxed)).map(|()| visit)
    }

    /// Joins the queue, unless it is too long.
    fn join(self: &Arc<Self>) -> Result<Place, HashingError> {
        let before_us = self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(self));
        self.admits(before_us).map(|()| place)
    }

    /// Whether one more may wait behind so many.
    fn admits(&self, before_us: usize) -> Result<(), HashingError> {
        let all = u64::try_from(before_us / self.size.threads.get()).unwrap_or(u64::MAX);
        let wait = Duration::from_micros(self.pace.load(Ordering::Relaxed).saturating_mul(all));
        if wait <= PATIENCE && before_us < self.size.queue {
            return Ok(());
        }
        Err(HashingError::Busy(self.again_after(wait)))
    }

    /// When to try again: some of those who are refused after one second, others later, and the last when the queue of
    /// now is worked off. All at once would only be a crowd once more.
    fn again_after(&self, wait: Duration) -> Duration {
        let seconds = wait.min(PATIENCE).as_secs().max(1);
        Duration::from_secs(1 + self.refused.fetch_add(1, Ordering::Relaxed) % seconds)
    }

    fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        self.took(begun.elapsed());
        done
    }

    fn took(&self, time: Duration) {
        self.durations.observe(time.as_secs_f64());
        let took = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        // Of two threads at once one may be forgotten: it is a mean anyway.
        let pace = self.pace.load(Ordering::Relaxed);
        self.pace.store(if pace == 0 { took } else { pace - pace / 8 + took / 8 }, Ordering::Relaxed);
    }
}

/// Somebody who will want to join the queue before long, and for whom other work may be done until then.
#[derive(Debug)]
pub struct Visit(Arc<Load>);

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.visiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place in the queue. Dropped, it is free again.
#[derive(Debug)]
struct Place(Arc<Load>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PasswordHasher {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn start(cost: Cost, size: HasherSize, random: Random) -> io::Result<Self> {
        let (hasher, jobs) = Self::without_threads(cost, size, random);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..size.threads.get() {
            let (jobs, load) = (Arc::clone(&jobs), Arc::clone(&hasher.load));
            thread::Builder::new().name(format!("password-{number}")).spawn(move || {
                stand_back();
                work(&jobs, &load, cost);
            })?;
        }
        Ok(hasher)
    }

    fn without_threads(cost: Cost, size: HasherSize, random: Random) -> (Self, Receiver<Job>) {
        let (queue, jobs) = sync_channel(size.queue);
        (Self { queue, load: Arc::new(Load::of(size)), cost, random }, jobs)
    }

    /// Comes in before other work is done for somebody: in a crowd most are turned away here.
    ///
    /// # Errors
    /// If there is too much to do.
    pub fn visit(&self) -> Result<Visit, HashingError> {
        self.load.visit()
    }

    /// Whether the password is the one of `hash`. Without a hash (there is no such user, or no password) the answer
    /// is no, after the same work.
    ///
    /// # Errors
    /// If it was not checked.
    pub async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, HashingError> {
        let place = self.load.join()?;
        let (reply, answer) = oneshot::channel();
        self.queue(Job { password, task: Task::Verify { hash, reply }, place })?;
        Ok(answer.await.map_err(|_| HashingError::Stopped)??)
    }

    /// Says no after as much work as [`Self::verify`] takes: for what was typed and cannot be anybody's password.
    ///
    /// # Errors
    /// If the work was not done.
    pub async fn refuse(&self) -> Result<bool, HashingError> {
        let anything = Password::parse("nobody's").map_err(|_| HashingError::Stopped)?;
        self.verify(anything, None).await
    }

    /// The hash of a new password.
    ///
    /// # Errors
    /// If it was not hashed.
    pub async fn hash(&self, password: Password) -> Result<String, HashingError> {
        let place = self.load.join()?;
        let salt = self.random.bytes()?;
        let (reply, answer) = oneshot::channel();
        self.queue(Job { password, task: Task::Hash { salt, reply }, place })?;
        Ok(answer.await.map_err(|_| HashingError::Stopped)??)
    }

    /// How much there is to do at the moment.
    pub fn load(&self) -> LoadNow {
        let Load { waiting, refused, .. } = &*self.load;
        LoadNow { waiting: waiting.load(Ordering::Relaxed), refused: refused.load(Ordering::Relaxed) }
    }

    /// How long passwords took, in seconds; it goes on counting.
    pub fn durations(&self) -> Histogram {
        self.load.durations.clone()
    }

    /// The cost of the hashes that it makes.
    pub const fn cost(&self) -> Cost {
        self.cost
    }

    fn queue(&self, job: Job) -> Result<(), HashingError> {
        self.queue.try_send(job).map_err(|refused| match refused {
            // There are no more places than the queue has room for.
            TrySendError::Full(_) => HashingError::Busy(Duration::from_secs(1)),
            TrySendError::Disconnected(_) => HashingError::Stopped,
        })
    }
}

/// What a thread does with a password.
#[derive(Debug)]
struct Job {
    password: Password,
    task: Task,
    place: Place,
}

enum Task {
    Verify { hash: Option<String>, reply: oneshot::Sender<Result<bool, UnreadableHash>> },
    Hash { salt: [u8; 16], reply: oneshot::Sender<Result<String, BcryptError>> },
}

impl Job {
    /// Whether somebody still waits for the answer.
    fn is_wanted(&self) -> bool {
        match &self.task {
            Task::Verify { reply, .. } => !reply.is_closed(),
            Task::Hash { reply, .. } => !reply.is_closed(),
        }
    }

    /// The time that it took is noted before the answer is sent: whoever has the answer finds it counted.
    fn run(self, load: &Load, cost: Cost) {
        // It waits no more.
        drop(self.place);
        // The caller may go while we work; then nobody hears the answer, which is fine.
        match self.task {
            Task::Verify { hash, reply } => {
                let _ = reply.send(load.timed(|| verify_evenly(&self.password, hash.as_deref(), cost)));
            }
            Task::Hash { salt, reply } => {
                let _ = reply.send(load.timed(|| PasswordHash::make(&self.password, cost, salt)));
            }
        }
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Verify { .. } => "Verify",
            Self::Hash { .. } => "Hash",
        })
    }
}

/// Lets all other threads of the machine go before this one. Where that is not allowed they share the machine.
fn stand_back() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "passwords are hashed at the priority of everything else");
    }
}

/// A thread's life: one job after the other, until the hasher is dropped and the queue is empty.
fn work(jobs: &Mutex<Receiver<Job>>, load: &Load, cost: Cost) {
    loop {
        // One thread waits at the queue, the others for it; the lock is let go before the work begins.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if job.is_wanted() {
            job.run(load, cost);
        }
    }
}

#[cfg(test)]
#[path = "hasher_tests.rs"]
mod tests;
