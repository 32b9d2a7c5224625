//! Whose password is hashed next.
//!
//! Each claim belongs to shares: its account, its address. A claim's rank is the number of claims that its shares had when it
//! was made, and the lowest rank goes first. So whoever asks for much stands behind whoever asks for little, as long as
//! both ask; alone, one share may use everything. Of one share only so many have their turn at once.

use std::collections::{BTreeMap, HashMap};

/// One share of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// Which.
    pub(super) id: u64,
    /// For how many callers it stands.
    pub(super) callers: u32,
    /// How many of its claims may have their turn at once.
    pub(super) at_once: u32,
}

/// Where somebody waits: by rank, and within a rank in the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    rank: usize,
    number: u64,
}

/// How a claim stands to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// One more than the claims that its shares had before it, summed up. Zero without shares.
    pub(super) rank: usize,
    /// Claims that the largest of its shares had before it.
    pub(super) own: usize,
}

/// What a share has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    claims: u32,
    turns: u32,
}

/// The claims that there are, and the tickets of those that wait for their turn.
#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: BTreeMap<Place, (Vec<Key>, T)>,
    shares: HashMap<u64, Counts>,
    claimed: usize,
    next: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), shares: HashMap::new(), claimed: 0, next: 0 }
    }
}

impl<T> Queue<T> {
    /// Counts a claim. To be given back with [`Self::release`].
    pub(super) fn claim(&mut self, keys: &[Key]) -> Standing {
        self.claimed += 1;
        let mut standing = Standing { rank: usize::from(!keys.is_empty()), own: 0 };
        for key in keys {
            let counts = self.shares.entry(key.id).or_default();
            let before = usize::try_from(counts.claims / key.callers.max(1)).unwrap_or(usize::MAX);
            counts.claims = counts.claims.saturating_add(1);
            standing.rank = standing.rank.saturating_add(before);
            standing.own = standing.own.max(before);
        }
        standing
    }

    /// Gives a claim back.
    pub(super) fn release(&mut self, keys: &[Key]) {
        self.claimed = self.claimed.saturating_sub(1);
        self.change(keys, |counts| counts.claims = counts.claims.saturating_sub(1));
    }

    /// How many claims there are.
    pub(super) const fn claimed(&self) -> usize {
        self.claimed
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many wait that go before a new one of this rank.
    pub(super) fn ahead(&self, rank: usize) -> usize {
        self.waiting.range(..Place { rank: rank.saturating_add(1), number: 0 }).count()
    }

    /// Has a ticket wait.
    pub(super) fn push(&mut self, rank: usize, keys: Vec<Key>, ticket: T) -> Place {
        let place = Place { rank, number: self.next };
        self.next += 1;
        self.waiting.insert(place, (keys, ticket));
        place
    }

    /// Gives the next one its turn. To be given back with [`Self::end_turn`].
    pub(super) fn take_turn(&mut self) -> Option<(Vec<Key>, T)> {
        let shares = &self.shares;
        let turns = |key: &Key| shares.get(&key.id).map_or(0, |counts| counts.turns);
        let may = |keys: &[Key]| keys.iter().all(|key| turns(key) < key.at_once.max(1));
        let place = self.waiting.iter().find(|(_, (keys, _))| may(keys)).map(|(place, _)| *place)?;
        let (keys, ticket) = self.waiting.remove(&place)?;
        for key in &keys {
            let counts = self.shares.entry(key.id).or_default();
            counts.turns = counts.turns.saturating_add(1);
        }
        Some((keys, ticket))
    }

    /// Ends a turn.
    pub(super) fn end_turn(&mut self, keys: &[Key]) {
        self.change(keys, |counts| counts.turns = counts.turns.saturating_sub(1));
    }

    /// The ticket that is last, if it is of a higher rank than this.
    pub(super) fn pop_behind(&mut self, rank: usize) -> Option<T> {
        let last = self.waiting.last_entry().filter(|last| last.key().rank > rank);
        last.map(|last| last.remove().1)
    }

    /// Whoever waits there waits no longer. Whether anybody did.
    pub(super) fn remove(&mut self, place: Place) -> bool {
        self.waiting.remove(&place).is_some()
    }

    fn change(&mut self, keys: &[Key], change: impl Fn(&mut Counts)) {
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

    const fn key(id: u64) -> Key {
        Key { id, callers: 1, at_once: u32::MAX }
    }

    /// Claims and waits.
    fn ask(queue: &mut Queue<&'static str>, keys: &[Key], name: &'static str) {
        let rank = queue.claim(keys).rank;
        queue.push(rank, keys.to_vec(), name);
    }

    fn order(queue: &mut Queue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.take_turn()).map(|(_, ticket)| ticket).collect()
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
        let (account, address, proxy) = (key(1), key(2), Key { callers: 32, ..key(3) });
        assert_eq!(queue.claim(&[account, address]), Standing { rank: 1, own: 0 });
        assert_eq!(queue.claim(&[account, address]), Standing { rank: 3, own: 1 });
        assert_eq!(queue.claim(&[key(9), address]), Standing { rank: 3, own: 2 });
        let ranks: Vec<_> = (0..65).map(|_| queue.claim(&[proxy]).rank).collect();
        assert_eq!((ranks[31], ranks[32], ranks[64]), (1, 2, 3));
    }

    #[test]
    fn of_one_share_only_so_many_have_their_turn_at_once() {
        let mut queue = Queue::default();
        let mine = Key { at_once: 2, ..key(1) };
        for name in ["m1", "m2", "m3"] {
            ask(&mut queue, &[mine], name);
        }
        let held: Vec<_> = std::iter::from_fn(|| queue.take_turn()).collect();
        assert_eq!(held.len(), 2);
        ask(&mut queue, &[key(2)], "other");
        assert_eq!(order(&mut queue), ["other"]);
        queue.end_turn(&held[0].0);
        assert_eq!(order(&mut queue), ["m3"]);
    }

    #[test]
    fn the_last_makes_room_for_one_of_a_lower_rank_only() {
        let mut queue = Queue::default();
        ask(&mut queue, &[key(1)], "first");
        ask(&mut queue, &[key(1)], "second");
        assert_eq!(queue.pop_behind(2), None);
        assert_eq!(queue.pop_behind(1), Some("second"));
        assert_eq!(order(&mut queue), ["first"]);
    }

    proptest! {
        /// Whatever is claimed and given back: in the end nothing is left, and a claim that shares nothing is first but for
        /// those that have waited as long with as little.
        #[test]
        fn claims_are_given_back_and_the_modest_go_first(shares in prop::collection::vec((0_u64..4, 4_u64..8), 1..60)) {
            let mut queue = Queue::default();
            let claims: Vec<Vec<Key>> =
                shares.iter().map(|(account, address)| vec![key(*account), key(*address)]).collect();
            for (number, keys) in claims.iter().enumerate() {
                let rank = queue.claim(keys).rank;
                queue.push(rank, keys.clone(), (rank, number));
            }
            prop_assert_eq!(queue.ahead(usize::MAX - 1), claims.len());
            let modest = vec![key(100)];
            let rank = queue.claim(&modest).rank;
            prop_assert_eq!(rank, 1);
            let ahead = queue.ahead(rank);
            let place = queue.push(rank, modest.clone(), (rank, claims.len()));
            let turns: Vec<_> = std::iter::from_fn(|| queue.take_turn()).collect();
            let served: Vec<_> = turns.iter().map(|(_, ticket)| *ticket).collect();
            prop_assert_eq!(served.iter().position(|ticket| ticket.1 == claims.len()), Some(ahead));
            prop_assert!(served.is_sorted());
            prop_assert!(!queue.remove(place));
            for (keys, _) in &turns {
                queue.end_turn(keys);
            }
            queue.release(&modest);
            for keys in &claims {
                queue.release(keys);
            }
            prop_assert_eq!((queue.claimed(), queue.shares.len(), queue.len()), (0, 0, 0));
        }
    }
}
