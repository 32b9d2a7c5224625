//! Admission to the hashing queue, permits to use a hashing thread, and what the threads do.

use std::sync::Arc;

use relatch_domain::password_rules::Password;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::even::verify_evenly;
use super::hasher::{HashingError, Pool};
use super::queue::{Place, ShareKey};
use super::scheme::PasswordHash;

/// Wakes a caller that waits for a permit.
pub(super) type PermitSender = oneshot::Sender<Result<Permit, HashingError>>;

/// A caller that waits in the queue. Dropped, it leaves.
struct Waiting<'a> {
    pool: &'a Pool,
    place: Place,
}

impl Waiting<'_> {
    /// Leaves the queue. False if the caller was no longer in it.
    fn leave(&self) -> bool {
        self.pool.state().queue.remove(self.place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Admission to the hashing queue. Asked for before anything is looked up for the caller, so that under load most are refused
/// early, and kept until there is nothing more to hash. Its rank is that of the moment of admission.
#[derive(Debug)]
pub struct Admission {
    pool: Arc<Pool>,
    pub(super) keys: Vec<ShareKey>,
    pub(super) rank: usize,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.pool.state().queue.release(&self.keys);
    }
}

impl Admission {
    pub(super) const fn new(pool: Arc<Pool>, keys: Vec<ShareKey>, rank: usize) -> Self {
        Self { pool, keys, rank }
    }

    /// Waits until the caller may use a hashing thread.
    ///
    /// # Errors
    /// If it would have to wait too long, or has.
    pub async fn permit(&self) -> Result<Permit, HashingError> {
        let (waiter, mut told) = oneshot::channel();
        let pool = &self.pool;
        let waiting = Waiting { pool, place: pool.push(self, waiter)? };
        pool.grant_permits();
        let told = match timeout(pool.size.max_wait, &mut told).await {
            Ok(told) => told,
            Err(_) if waiting.leave() => return Err(pool.busy(pool.size.max_wait)),
            // It has left the queue, so the permit is on its way.
            Err(_) => told.await,
        };
        told.map_err(|_| HashingError::Stopped)?
    }

    /// The hash of a new password, once there is a permit.
    ///
    /// # Errors
    /// If it was not hashed.
    pub async fn hash(&self, password: Password) -> Result<String, HashingError> {
        self.permit().await?.hash(password).await
    }
}

/// A permit to have passwords hashed, one after the other, as of a semaphore. It is freed when it has been dropped and no thread
/// hashes for it any more.
#[derive(Debug)]
pub struct Permit(Arc<PermitInner>);

#[derive(Debug)]
struct PermitInner {
    pool: Arc<Pool>,
    keys: Vec<ShareKey>,
}

impl Drop for PermitInner {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.queue.end_permit(&self.keys);
        state.free += 1;
        drop(state);
        self.pool.grant_permits();
    }
}

impl Permit {
    pub(super) fn new(pool: Arc<Pool>, keys: Vec<ShareKey>) -> Self {
        Self(Arc::new(PermitInner { pool, keys }))
    }

    /// Whether the password is the one of `hash`. Without a hash (there is no such user, or no password) the answer
    /// is no, after the same work.
    ///
    /// # Errors
    /// If the hash cannot be read, or the threads have ended.
    pub async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, HashingError> {
        self.done(password, |reply| Task::Verify { hash, reply }).await
    }

    /// Says no after as much work as [`Self::verify`] takes: for what was typed and cannot be anybody's password.
    ///
    /// # Errors
    /// If the work was not done.
    pub async fn refuse(&self) -> Result<bool, HashingError> {
        let anything = Password::parse("any password").map_err(|_| HashingError::Stopped)?;
        self.verify(anything, None).await
    }

    /// The hash of a new password.
    ///
    /// # Errors
    /// If it was not hashed.
    pub async fn hash(&self, password: Password) -> Result<String, HashingError> {
        let salt = self.0.pool.random.bytes()?;
        self.done(password, |reply| Task::Hash { salt, reply }).await
    }

    async fn done<T>(
        &self,
        password: Password,
        task: impl FnOnce(oneshot::Sender<Result<T, HashingError>>) -> Task,
    ) -> Result<T, HashingError> {
        let (reply, answer) = oneshot::channel();
        self.0.pool.give(Job { password, task: task(reply), permit: Arc::clone(&self.0) });
        answer.await.map_err(|_| HashingError::Stopped)?
    }
}

/// What a thread does with a password.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) password: Password,
    task: Task,
    permit: Arc<PermitInner>,
}

enum Task {
    Verify { hash: Option<String>, reply: oneshot::Sender<Result<bool, HashingError>> },
    Hash { salt: [u8; 16], reply: oneshot::Sender<Result<String, HashingError>> },
}

impl Job {
    /// Whether the caller still waits for the answer.
    pub(super) fn is_wanted(&self) -> bool {
        match &self.task {
            Task::Verify { reply, .. } => !reply.is_closed(),
            Task::Hash { reply, .. } => !reply.is_closed(),
        }
    }

    /// The time that it took is noted before the answer is sent, so that metrics have it when the caller does.
    pub(super) fn run(self) {
        let Self { password, task, permit } = self;
        let pool = &permit.pool;
        // The caller may go while the thread works; then the answer is dropped.
        match task {
            Task::Verify { hash, reply } => {
                let right = pool.timed(|| verify_evenly(&password, hash.as_deref(), pool.cost));
                let _ = reply.send(right.map_err(HashingError::from));
            }
            Task::Hash { salt, reply } => {
                let hash = pool.timed(|| PasswordHash::make(&password, pool.cost, salt));
                let _ = reply.send(hash.map_err(HashingError::from));
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
