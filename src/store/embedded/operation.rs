//! What waits for the writer, and how it is handed over.

use std::sync::Mutex;
use std::thread::JoinHandle;

use relatch_domain::UnixMillis;
use tokio::sync::{mpsc, oneshot, watch};

use super::tables::{Failure, Tables};
use super::writer::Message;
use crate::store::StoreError;

/// One waiting operation.
pub(super) trait Operation: Send {
    /// Does the work. An error fails the whole batch; what concerns this operation alone is kept for the answer.
    fn run(&mut self, tables: &mut Tables<'_>, now: UnixMillis) -> Result<(), redb::Error>;

    /// Answers, now that it is known what became of the batch.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Asked<F, A> {
    step: F,
    answer: Option<Result<A, StoreError>>,
    reply: oneshot::Sender<Result<A, StoreError>>,
}

impl<F, A> Operation for Asked<F, A>
where
    F: FnMut(&mut Tables<'_>, UnixMillis) -> Result<A, Failure> + Send,
    A: Send,
{
    fn run(&mut self, tables: &mut Tables<'_>, now: UnixMillis) -> Result<(), redb::Error> {
        self.answer = Some(match (self.step)(tables, now) {
            Ok(answer) => Ok(answer),
            Err(Failure::Storage(error)) => return Err(error),
            // Nothing has been written: steps look before they write.
            Err(failure) => Err(failure.into()),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { answer, reply, .. } = *self;
        let answer = committed.and_then(|()| answer.unwrap_or_else(|| Err(no_answer())));
        // Whoever asked may have gone away.
        let _ = reply.send(answer);
    }
}

/// Where the answer to an operation arrives.
pub(super) type Answer<A> = oneshot::Receiver<Result<A, StoreError>>;

/// An operation and the place where its answer arrives.
pub(super) fn asked<F, A>(step: F) -> (Box<dyn Operation>, Answer<A>)
where
    F: FnMut(&mut Tables<'_>, UnixMillis) -> Result<A, Failure> + Send + 'static,
    A: Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Asked { step, answer: None, reply }), answer)
}

/// The answer to an operation that the writer itself made, and has answered.
pub(super) fn answered<A>(mut answer: Answer<A>) -> Result<A, StoreError> {
    answer.try_recv().unwrap_or_else(|_| Err(no_answer()))
}

fn no_answer() -> StoreError {
    StoreError::Indeterminate("the writer gave no answer".to_owned())
}

/// The way to the writer. When the last one goes, the writer ends, and the file is closed.
pub(super) struct Queue {
    /// Taken on drop, so that the writer sees that nobody is left before its end is awaited.
    sender: Option<mpsc::Sender<Message>>,
    ended: watch::Receiver<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Queue {
    pub(super) fn new(
        sender: mpsc::Sender<Message>,
        ended: watch::Receiver<()>,
        thread: JoinHandle<()>,
    ) -> Self {
        Self { sender: Some(sender), ended, thread: Mutex::new(Some(thread)) }
    }

    /// Has the writer do a step, and waits until it is committed.
    pub(super) async fn run<F, A>(&self, step: F) -> Result<A, StoreError>
    where
        F: FnMut(&mut Tables<'_>, UnixMillis) -> Result<A, Failure> + Send + 'static,
        A: Send + 'static,
    {
        let (operation, answer) = asked(step);
        self.send(Message::Run(operation)).await?;
        answer.await.unwrap_or_else(|_| Err(no_answer()))
    }

    /// Tells the writer to end, and waits until it has closed the file.
    pub(super) async fn stop(&self) {
        // An error says that it has ended already.
        let _ = self.send(Message::Stop).await;
        let mut ended = self.ended.clone();
        while ended.changed().await.is_ok() {}
    }

    async fn send(&self, message: Message) -> Result<(), StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".to_owned());
        self.sender.as_ref().ok_or_else(closed)?.send(message).await.map_err(|_| closed())
    }
}

impl Drop for Queue {
    /// Waits for the writer: a few milliseconds, for the operations that are under way. So whoever opens the file next
    /// finds it free.
    fn drop(&mut self) {
        self.sender = None;
        let thread = self.thread.get_mut().map(Option::take).unwrap_or_default();
        // A writer that panicked has nothing more to say.
        thread.map(JoinHandle::join);
    }
}
