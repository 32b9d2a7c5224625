//! Requests that run to their end although their client has gone.
//!
//! The HTTP library drops a request's future when the connection breaks. What the store has begun by then it brings to its
//! end; what the use case would have done next, the audit record and the news to the other nodes, would not happen. So a
//! request that has begun to write is not dropped: its connection keeps it, and is not over before the request is.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::ServiceResponse;

use crate::telemetry::request::Told;

type Answer = Result<ServiceResponse<BoxBody>, Error>;
type Answering = Pin<Box<dyn Future<Output = Answer>>>;

tokio::task_local! {
    /// What a connection that is served leaves unfinished. One request at a time is under way on a connection.
    static LEFT: Rc<Cell<Option<Answering>>>;
}

/// A request that is being answered. Dropped before the end it is left to its connection, if it has begun to write.
pub struct ToItsEnd {
    told: Told,
    answering: Option<Answering>,
}

impl ToItsEnd {
    /// What is told of the request, and what answers it.
    pub fn new(told: Told, answering: impl Future<Output = Answer> + 'static) -> Self {
        Self { told, answering: Some(Box::pin(answering)) }
    }
}

impl Future for ToItsEnd {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let Some(answering) = &mut self.answering else { return Poll::Pending };
        let answer = ready!(answering.as_mut().poll(cx));
        self.answering = None;
        Poll::Ready(answer)
    }
}

impl Drop for ToItsEnd {
    fn drop(&mut self) {
        let Some(rest) = self.answering.take() else { return };
        // What panics has come to its end.
        if self.told.has_begun_to_write() && !std::thread::panicking() {
            self.told.lose_client();
            // Where no connection is being served there is nobody left to finish it: the worker itself has ended.
            let _ = LEFT.try_with(|left| left.set(Some(rest)));
        }
    }
}

/// Serves a connection, and then brings to its end what the connection has left unfinished. The worker counts it as a
/// connection until then: a server that is asked to stop waits for it.
///
/// It is boxed, since a future that is held by another one takes its room twice.
pub fn served<T>(connection: impl Future<Output = T> + 'static) -> impl Future<Output = T> {
    let left = Rc::<Cell<Option<Answering>>>::default();
    let serving = Box::pin(LEFT.scope(left.clone(), connection));
    async move {
        let served = serving.await;
        if let Some(rest) = left.take() {
            // Nobody is there to be answered.
            let _ = rest.await;
        }
        served
    }
}
