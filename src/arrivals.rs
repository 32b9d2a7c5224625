//! Clients that have connected and have yet to say something: so many at once, and the oldest goes when one more comes.
//!
//! A client that connects and says nothing costs some kilobytes until its time is up. It must not cost others their turn: the
//! others do not wait because there are too many.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Those who have arrived. Clones are one.
#[derive(Clone)]
pub struct Arrivals {
    most: usize,
    all: Arc<Mutex<All>>,
}

#[derive(Default)]
struct All {
    begun: u64,
    /// Each by its number. Dropped, it is over.
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
}

/// Somebody who has arrived, until this is dropped.
pub struct Arrival<'a> {
    arrivals: &'a Arrivals,
    number: u64,
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.arrivals.all().waiting.remove(&self.number);
    }
}

impl Arrivals {
    /// At most so many at once.
    pub fn of_at_most(most: usize) -> Self {
        Self { most, all: Arc::default() }
    }

    /// Somebody arrives. The second part ends when too many others have come since.
    pub fn arrive(&self) -> (Arrival<'_>, oneshot::Receiver<()>) {
        let mut all = self.all();
        if all.waiting.len() >= self.most {
            all.waiting.pop_first();
        }
        let number = all.begun;
        all.begun = number.wrapping_add(1);
        let (over, is_over) = oneshot::channel();
        all.waiting.insert(number, over);
        drop(all);
        (Arrival { arrivals: self, number }, is_over)
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    #[test]
    fn of_too_many_the_oldest_goes() {
        let arrivals = Arrivals::of_at_most(3);
        let mut three: Vec<_> = (0..3).map(|_| arrivals.arrive()).collect();
        assert!(three.iter_mut().all(|(_, is_over)| is_over.try_recv() == Err(TryRecvError::Empty)));
        let one_more = arrivals.arrive();
        let states: Vec<_> = three.iter_mut().map(|(_, is_over)| is_over.try_recv().unwrap_err()).collect();
        assert_eq!(states, [TryRecvError::Closed, TryRecvError::Empty, TryRecvError::Empty]);
        drop((three, one_more));
        assert!(arrivals.all().waiting.is_empty());
    }
}
