//! What a connection and the requests on it know of one another.

use std::cell::Cell;
use std::rc::Rc;

use super::crowding::Connection;

/// A connection as its requests find it, in its data.
#[derive(Debug, Default)]
pub struct Exchange {
    /// Counts for its address as long as it is open.
    counted: Option<Connection>,
    under_way: Cell<u32>,
    begun: Cell<u64>,
}

impl Exchange {
    /// A connection, which counts for its address if connections are limited.
    pub fn new(counted: Option<Connection>) -> Rc<Self> {
        Rc::new(Self { counted, ..Self::default() })
    }

    /// Whether its address had as many connections as it may have before it.
    pub fn is_one_too_many(&self) -> bool {
        self.counted.as_ref().is_some_and(|counted| counted.is_one_too_many)
    }

    /// A request begins: its head has been read.
    pub fn begin(self: &Rc<Self>) -> Exchanging {
        self.begun.set(self.begun.get().wrapping_add(1));
        self.under_way.set(self.under_way.get().saturating_add(1));
        Exchanging(Rc::clone(self))
    }

    /// How many requests have begun.
    pub fn begun(&self) -> u64 {
        self.begun.get()
    }

    /// Whether a request is under way.
    pub fn is_busy(&self) -> bool {
        self.under_way.get() > 0
    }
}

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub struct Exchanging(Rc<Exchange>);

impl Drop for Exchanging {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get().saturating_sub(1));
    }
}
