//! Bodies that nobody has read to their end.
//!
//! The HTTP library drains a chunked body that was dropped, without a limit of size or time, before it takes the next
//! request. While the body is not dropped it closes the connection instead. So a body lives as long as its answer.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage as _;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::Stream;

/// A request's body, if it has one, kept while the request is answered.
pub struct Kept(Option<Shared>);

impl Kept {
    /// Keeps the body, and lends it to whoever answers the request.
    pub fn of(request: &mut ServiceRequest) -> Self {
        let payload = request.take_payload();
        if matches!(payload, Payload::None) {
            return Self(None);
        }
        let shared = Shared(Rc::new(RefCell::new(payload)));
        let lent: Pin<Box<dyn Stream<Item = Chunk>>> = Box::pin(shared.clone());
        request.set_payload(lent.into());
        Self(Some(shared))
    }

    /// Keeps it until the answer has been sent.
    pub fn with(self, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        match self.0 {
            Some(shared) => response.map_body(|_, body| Holding { body, _request: shared }.boxed()),
            None => response,
        }
    }
}

type Chunk = Result<Bytes, PayloadError>;

/// A request's body, read by one and kept by another.
#[derive(Clone)]
struct Shared(Rc<RefCell<Payload>>);

impl Stream for Shared {
    type Item = Chunk;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(cx)
    }
}

/// An answer's body that keeps the request's.
struct Holding {
    body: BoxBody,
    _request: Shared,
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}
