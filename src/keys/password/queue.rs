//! The order in which callers get a permit to hash: fair queueing.
//!
//! Each admission belongs to shares: its account, its address. Its rank grows with the admissions that these shares had when it
//! was made, and the lowest rank is served first. So a party with many requests is served after a party with few, as long as both
//! wait; alone, one party may use everything. A share holds a limited number of permits at once.

use std::collections::{BTreeMap, HashMap};

/// One share of an admission, by a hash of what it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShareKey {
    /// Which.
    pub(super) id: u64,
    /// For how many callers it stands.
    pub(super) callers: u32,
    /// How many of its admissions may hold a permit at once.
    pub(super) at_once: u32,
}

/// A place in the queue: by rank, and within a rank in the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    rank: usize,
    number: u64,
}

/// How an admission ranks among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// One more than the admissions that its shares had before it, summed up. Zero without shares.
    pub(super) rank: usize,
    /// Claims that the largest of its shares had before it.
    pub(super) own: usize,
}

/// What a share has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    admissions: u32,
    permits: u32,
}

/// The admissions that there are, and those of them that wait for a permit.
#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: BTreeMap<Place, (Vec<ShareKey>, T)>,
    shares: HashMap<u64, Counts>,
    admitted: usize,
    next: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), shares: HashMap::new(), admitted: 0, next: 0 }
    }
}

impl<T> Queue<T> {
    /// Counts an admission. To be given back with [`Self::release`].
    pub(super) fn admit(&mut self, keys: &[ShareKey]) -> Standing {
        self.admitted += 1;
        let mut standing = Standing { rank: usize::from(!keys.is_empty()), own: 0 };
        for key in keys {
            let counts = self.shares.entry(key.id).or_default();
            let before = usize::try_from(counts.admissions / key.callers.max(1)).unwrap_or(usize::MAX);
            counts.admissions = counts.admissions.saturating_add(1);
            standing.rank = standing.rank.saturating_add(before);
            standing.own = standing.own.max(before);
        }
        standing
    }

    /// Gives an admission back.
    pub(super) fn release(&mut self, keys: &[ShareKey]) {
        self.admitted = self.admitted.saturating_sub(1);
        self.change(keys, |counts| counts.admissions = counts.admissions.saturating_sub(1));
    }

    /// How many admissions there are.
    pub(super) const fn admitted(&self) -> usize {
        self.admitted
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many wait that go before a new one of this rank.
    pub(super) fn ahead(&self, rank: usize) -> usize {
        self.waiting.range(..Place { rank: rank.saturating_add(1), number: 0 }).count()
    }

    /// Adds one to the queue.
    pub(super) fn push(&mut self, rank: usize, keys: Vec<ShareKey>, waiter: T) -> Place {
        let place = Place { rank, number: self.next };
        self.next += 1;
        self.waiting.insert(place, (keys, waiter));
        place
    }

    /// Grants a permit to the next one. To be given back with [`Self::end_permit`].
    pub(super) fn grant_next(&mut self) -> Option<(Vec<ShareKey>, T)> {
        let shares = &self.shares;
        let permits = |key: &ShareKey| shares.get(&key.id).map_or(0, |counts| counts.permits);
        let may = |keys: &[ShareKey]| keys.iter().all(|key| permits(key) < key.at_once.max(1));
        let place = self.waiting.iter().find(|(_, (keys, _))| may(keys)).map(|(place, _)| *place)?;
        let (keys, waiter) = self.waiting.remove(&place)?;
        for key in &keys {
            let counts = self.shares.entry(key.id).or_default();
            counts.permits = counts.permits.saturating_add(1);
        }
        Some((keys, waiter))
    }

    /// Ends a permit.
    pub(super) fn end_permit(&mut self, keys: &[ShareKey]) {
        self.change(keys, |counts| counts.permits = counts.permits.saturating_sub(1));
    }

    /// Removes the one that is served last, if it is of a higher rank than this.
    pub(super) fn evict_behind(&mut self, rank: usize) -> Option<T> {
        let last = self.waiting.last_entry().filter(|last| last.key().rank > rank);
        last.map(|last| last.remove().1)
    }

    /// Removes one from the queue. False if it was not in it.
    pub(super) fn remove(&mut self, place: Place) -> bool {
        self.waiting.remove(&place).is_some()
    }

    fn change(&mut self, keys: &[ShareKey], change: impl Fn(&mut Counts)) {
        for key in keys {
            if let Some(counts) = self.shares.get_mut(&key.id) {
                change(counts);
                if *counts == Counts::default() {
                    self.shares.remove(&key.id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn key(id: u64) -> ShareKey {
        ShareKey { id, callers: 1, at_once: u32::MAX }
    }

    /// Admits one, and has it wait.
    fn ask(queue: &mut Queue<&'static str>, keys: &[ShareKey], name: &'static str) {
        let rank = queue.admit(keys).rank;
        queue.push(rank, keys.to_vec(), name);
    }

    fn order(queue: &mut Queue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.grant_next()).map(|(_, waiter)| waiter).collect()
    }

    #[test]
    fn one_who_asks_once_goes_before_one_who_has_asked_already() {
        let mut queue = Queue::default();
        for name in ["m1", "m2", "m3", "m4"] {
            ask(&mut queue, &[key(1)], name);
        }
        ask(&mut queue, &[key(2)], "one");
        ask(&mut queue, &[key(3)], "another");
        ask(&mut queue, &[], "operator");
        assert_eq!(order(&mut queue), ["operator", "m1", "one", "another", "m2", "m3", "m4"]);
    }

    #[test]
    fn shares_add_up_and_an_address_of_many_callers_counts_for_as_many() {
        let mut queue = Queue::<()>::default();
        let (account, address, proxy) = (key(1), key(2), ShareKey { callers: 32, ..key(3) });
        assert_eq!(queue.admit(&[account, address]), Standing { rank: 1, own: 0 });
        assert_eq!(queue.admit(&[account, address]), Standing { rank: 3, own: 1 });
        assert_eq!(queue.admit(&[key(9), address]), Standing { rank: 3, own: 2 });
        let ranks: Vec<_> = (0..65).map(|_| queue.admit(&[proxy]).rank).collect();
        assert_eq!((ranks[31], ranks[32], ranks[64]), (1, 2, 3));
    }

    #[test]
    fn of_one_share_only_so_many_have_their_turn_at_once() {
        let mut queue = Queue::default();
        let mine = ShareKey { at_once: 2, ..key(1) };
        for name in ["m1", "m2", "m3"] {
            ask(&mut queue, &[mine], name);
        }
        let held: Vec<_> = std::iter::from_fn(|| queue.grant_next()).collect();
        assert_eq!(held.len(), 2);
        ask(&mut queue, &[key(2)], "other");
        assert_eq!(order(&mut queue), ["other"]);
        queue.end_permit(&held[0].0);
        assert_eq!(order(&mut queue), ["m3"]);
    }

    #[test]
    fn the_last_makes_room_for_one_of_a_lower_rank_only() {
        let mut queue = Queue::default();
        ask(&mut queue, &[key(1)], "first");
        ask(&mut queue, &[key(1)], "second");
        assert_eq!(queue.evict_behind(2), None);
        assert_eq!(queue.evict_behind(1), Some("second"));
        assert_eq!(order(&mut queue), ["first"]);
    }

    proptest! {
        /// Whatever is admitted and given back: in the end nothing is left, and one that shares nothing is first but for
        /// those that have waited as long with as little.
        #[test]
        fn claims_are_given_back_and_the_modest_go_first(shares in prop::collection::vec((0_u64..4, 4_u64..8), 1..60)) {
            let mut queue = Queue::default();
            let admissions: Vec<Vec<ShareKey>> =
                shares.iter().map(|(account, address)| vec![key(*account), key(*address)]).collect();
            for (number, keys) in admissions.iter().enumerate() {
                let rank = queue.admit(keys).rank;
                queue.push(rank, keys.clone(), (rank, number));
            }
            prop_assert_eq!(queue.ahead(usize::MAX - 1), admissions.len());
            let modest = vec![key(100)];
            let rank = queue.admit(&modest).rank;
            prop_assert_eq!(rank, 1);
            let ahead = queue.ahead(rank);
            let place = queue.push(rank, modest.clone(), (rank, admissions.len()));
            let permits: Vec<_> = std::iter::from_fn(|| queue.grant_next()).collect();
            let served: Vec<_> = permits.iter().map(|(_, waiter)| *waiter).collect();
            prop_assert_eq!(served.iter().position(|waiter| waiter.1 == admissions.len()), Some(ahead));
            prop_assert!(served.is_sorted());
            prop_assert!(!queue.remove(place));
            for (keys, _) in &permits {
                queue.end_permit(keys);
            }
            queue.release(&modest);
            for keys in &admissions {
                queue.release(keys);
            }
            prop_assert_eq!((queue.admitted(), queue.shares.len(), queue.len()), (0, 0, 0));
        }
    }
}
