//! Claims to have passwords hashed, turns in which it is done, and what the threads do.

use std::sync::Arc;

use relatch_domain::password_rules::Password;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::hasher::{Desk, HashingError};
use super::queue::{Key, Place};
use super::scheme::{PasswordHash, verify_evenly};

/// By this somebody who waits is told.
pub(super) type Ticket = oneshot::Sender<Result<Turn, HashingError>>;

/// Somebody who waits. Dropped, nobody waits there any longer.
struct Waiting<'a> {
    desk: &'a Desk,
    place: Place,
}

impl Waiting<'_> {
    /// Whether somebody still waited there.
    fn leave(&self) -> bool {
        self.desk.state().queue.remove(self.place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A claim to have passwords hashed: made before other work is done for somebody, so that in a crowd most are turned away
/// early, and kept until there is nothing more to hash. Its rank is that of the moment when it was made.
#[derive(Debug)]
pub struct Claim {
    desk: Arc<Desk>,
    pub(super) keys: Vec<Key>,
    pub(super) rank: usize,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.desk.state().queue.release(&self.keys);
    }
}

impl Claim {
    pub(super) const fn new(desk: Arc<Desk>, keys: Vec<Key>, rank: usize) -> Self {
        Self { desk, keys, rank }
    }

    /// Waits until a password can be hashed now.
    ///
    /// # Errors
    /// If it would have to wait too long, or has.
    pub async fn turn(&self) -> Result<Turn, HashingError> {
        let (ticket, mut told) = oneshot::channel();
        let desk = &self.desk;
        let waiting = Waiting { desk, place: desk.push(self, ticket)? };
        desk.hand_out();
        let told = match timeout(desk.size.max_wait, &mut told).await {
            Ok(told) => told,
            Err(_) if waiting.leave() => return Err(desk.busy(desk.size.max_wait)),
            // It is being told.
            Err(_) => told.await,
        };
        told.map_err(|_| HashingError::Stopped)?
    }

    /// The hash of a new password, when its turn has come.
    ///
    /// # Errors
    /// If it was not hashed.
    pub async fn hash(&self, password: Password) -> Result<String, HashingError> {
        self.turn().await?.hash(password).await
    }
}

/// One's turn to have passwords hashed, one after the other. It ends when it is dropped and nothing is hashed for it any more.
#[derive(Debug)]
pub struct Turn(Arc<Held>);

#[derive(Debug)]
struct Held {
    desk: Arc<Desk>,
    keys: Vec<Key>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        state.queue.end_turn(&self.keys);
        state.free += 1;
        drop(state);
        self.desk.hand_out();
    }
}

impl Turn {
    pub(super) fn new(desk: Arc<Desk>, keys: Vec<Key>) -> Self {
        Self(Arc::new(Held { desk, keys }))
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
        let anything = Password::parse("nobody's").map_err(|_| HashingError::Stopped)?;
        self.verify(anything, None).await
    }

    /// The hash of a new password.
    ///
    /// # Errors
    /// If it was not hashed.
    pub async fn hash(&self, password: Password) -> Result<String, HashingError> {
        let salt = self.0.desk.random.bytes()?;
        self.done(password, |reply| Task::Hash { salt, reply }).await
    }

    async fn done<T>(
        &self,
        password: Password,
        task: impl FnOnce(oneshot::Sender<Result<T, HashingError>>) -> Task,
    ) -> Result<T, HashingError> {
        let (reply, answer) = oneshot::channel();
        self.0.desk.give(Job { password, task: task(reply), turn: Arc::clone(&self.0) });
        answer.await.map_err(|_| HashingError::Stopped)?
    }
}

/// What a thread does with a password.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) password: Password,
    task: Task,
    turn: Arc<Held>,
}

enum Task {
    Verify { hash: Option<String>, reply: oneshot::Sender<Result<bool, HashingError>> },
    Hash { salt: [u8; 16], reply: oneshot::Sender<Result<String, HashingError>> },
}

impl Job {
    /// Whether somebody still waits for the answer.
    pub(super) fn is_wanted(&self) -> bool {
        match &self.task {
            Task::Verify { reply, .. } => !reply.is_closed(),
            Task::Hash { reply, .. } => !reply.is_closed(),
        }
    }

    /// The time that it took is noted before the answer is sent: whoever has the answer finds it counted.
    pub(super) fn run(self) {
        let Self { password, task, turn } = self;
        let desk = &turn.desk;
        // The caller may go while we work; then nobody hears the answer, which is fine.
        match task {
            Task::Verify { hash, reply } => {
                let right = desk.timed(|| verify_evenly(&password, hash.as_deref(), desk.cost));
                let _ = reply.send(right.map_err(HashingError::from));
            }
            Task::Hash { salt, reply } => {
                let hash = desk.timed(|| PasswordHash::make(&password, desk.cost, salt));
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
