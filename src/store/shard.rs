//! The processes that a store consists of: one, or the shards of a cluster, each with a part of the users.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relatch_domain::{UnixMillis, UserId};

use super::{Marker, StoreError};

/// How many hash slots a Redis Cluster has.
pub const SLOTS: u16 = 16_384;

/// The hash slot of a key: of what stands in its first pair of braces if there is something, else of all of it (Redis
/// Cluster specification, "Hash tags").
pub fn slot_of_key(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    slot_of_tag(tag.filter(|tag| !tag.is_empty()).unwrap_or(key))
}

/// The hash slot of whatever has this hash tag.
pub(super) fn slot_of_tag(tag: &str) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes()) % SLOTS
}

/// A set of hash slots.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet(Box<[u64; SLOTS as usize / 64]>);

impl Default for SlotSet {
    fn default() -> Self {
        Self(Box::new([0; SLOTS as usize / 64]))
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} slots", self.iter().count())
    }
}

impl SlotSet {
    /// Whether the slot is one of them.
    pub fn contains(&self, slot: u16) -> bool {
        self.0.get(usize::from(slot / 64)).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Adds a slot. One that does not exist is passed over.
    pub fn insert(&mut self, slot: u16) {
        if let Some(word) = self.0.get_mut(usize::from(slot / 64)) {
            *word |= 1 << (slot % 64);
        }
    }

    /// The slots, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..SLOTS).filter(|slot| self.contains(*slot))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    fn without(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        for (word, taken) in rest.0.iter_mut().zip(other.0.iter()) {
            *word &= !taken;
        }
        rest
    }
}

/// A process that holds the store, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Where it is, for operators to read.
    pub at: String,
    /// Names the process, as what it is at present. Another name means that it was started again, has been replaced or
    /// was made primary anew, and may have lost the last writes.
    pub process: String,
    /// What it holds; none where one process holds everything.
    pub slots: Option<Arc<SlotSet>>,
}

impl Shard {
    /// A process that holds everything.
    pub fn whole(at: impl Into<String>, process: impl Into<String>) -> Self {
        Self { at: at.into(), process: process.into(), slots: None }
    }

    /// Whether what belongs to this user is here.
    pub fn holds(&self, user: UserId) -> bool {
        self.slots.as_ref().is_none_or(|slots| slots.contains(slot_of_tag(&user.to_string())))
    }

    /// The part of it that it did not have before. None if it has nothing new.
    pub fn beyond(&self, before: &Self) -> Option<Self> {
        let (now, before) = (self.slots.as_ref()?, before.slots.as_ref()?);
        let new = now.without(before);
        (!new.is_empty()).then(|| Self { slots: Some(Arc::new(new)), ..self.clone() })
    }
}

/// What a store consists of at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shards {
    /// Those that answer.
    pub there: Vec<Shard>,
    /// Those that do not.
    pub away: Vec<Away>,
    /// What the clocks of those that answer showed, if they are not the server's own.
    pub clocks: Vec<ShownTime>,
}

impl Shards {
    /// A store of one process.
    pub fn one(shard: Shard) -> Self {
        Self { there: vec![shard], ..Self::default() }
    }
}

/// A process that should hold a part of the store and does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// Where it should be.
    pub at: String,
    /// What came instead of an answer.
    pub error: StoreError,
    /// Whether it answers that it is a replica. If not, nothing is known of it: it may still be what it was.
    pub is_replica: bool,
}

/// What the clock of a process showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownTime {
    /// Where the process is.
    pub at: String,
    /// What it showed, about in the middle of the round trip.
    pub time: UnixMillis,
    /// When the answer was there.
    pub heard: Instant,
    /// How long it took.
    pub round_trip: Duration,
}

/// How closely a shard is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// At one place: for every now and then.
    Glance,
    /// At every place that can be lost by itself.
    Everywhere,
}

/// Whose a shard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearing {
    /// It bears the marker.
    Known,
    /// It bears none, at some place at least: it was emptied.
    Wiped,
    /// It bears another.
    Another,
}

impl Bearing {
    /// What a marker that was found says, if this one was expected.
    pub(super) fn of(found: Option<&Marker>, expected: &Marker) -> Self {
        match found {
            None => Self::Wiped,
            Some(found) if found.is_of_the_same_store(expected) => Self::Known,
            Some(_) => Self::Another,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_whose_master_key_was_changed_is_no_other_store() {
        let marker = |store_id: &str, issuer: &str, check: &str| Marker {
            store_id: store_id.into(),
            issuer: issuer.into(),
            master_key_check: check.into(),
        };
        let ours = marker("one", "us", "old");
        assert_eq!(Bearing::of(Some(&marker("one", "us", "new")), &ours), Bearing::Known);
        assert_eq!(Bearing::of(Some(&marker("two", "us", "old")), &ours), Bearing::Another);
        assert_eq!(Bearing::of(Some(&marker("one", "them", "old")), &ours), Bearing::Another);
        assert_eq!(Bearing::of(None, &ours), Bearing::Wiped);
    }

    #[test]
    fn slots_are_as_redis_has_them() {
        // From the Redis Cluster specification, and from `CLUSTER KEYSLOT` of Redis 7.0.15.
        for (key, slot) in [
            ("123456789", 12_739),
            ("foo", 12_182),
            ("{user1000}.following", 3443),
            ("user1000", 3443),
            ("foo{}{bar}", 8363),
            ("foo{{bar}}zap", 4015),
            ("foo{bar}{zap}", 5061),
            ("bar", 5061),
            ("relatch:cutoff", 294),
            ("", 0),
        ] {
            assert_eq!(slot_of_key(key), slot, "{key}");
        }
    }

    #[test]
    fn a_set_has_what_was_put_into_it() {
        let mut set = SlotSet::default();
        assert!(set.is_empty());
        for slot in [0, 63, 64, 5461, 16_383, SLOTS, u16::MAX] {
            set.insert(slot);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 5461, 16_383]);
        assert!(!set.contains(1) && !set.contains(SLOTS));
    }

    #[test]
    fn a_shard_knows_its_users_and_what_it_has_gained() {
        let user = UserId::from_bytes([7; 16]);
        let slot = slot_of_key(&format!("relatch:{{{user}}}:s"));
        assert!(Shard::whole("here", "a").holds(user));
        let of = |slots: &[u16]| {
            let mut set = SlotSet::default();
            for slot in slots {
                set.insert(*slot);
            }
            Shard { slots: Some(Arc::new(set)), ..Shard::whole("here", "a") }
        };
        let (less, more) = (of(&[1]), of(&[1, slot]));
        assert!(!less.holds(user) && more.holds(user));
        assert_eq!(more.beyond(&less), Some(of(&[slot])));
        assert_eq!(less.beyond(&more), None);
    }
}
