//! The names of all keys.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `prefix:{user id}:s` | hash | session id, 16 raw bytes of which the first six are when it began (ms) → packed record of 64 |
//! | `prefix:{user id}:u` | hash | `name`, `roles` (JSON), `disabled` (0 or 1), `attributes` (JSON), `password`, `created` (ms); no expiry; `deleted` instead of `name` while a deletion is under way |
//! | `prefix:{user id}:m` | hash | `d`, `t` or `n` and session id → details (JSON), thumbprint, note |
//! | `prefix:{user id}:h` | hash | session id → lines of its history, a line break between two; `bytes` → what all of them take up or more |
//! | `prefix:name:NAME` | string | id of the user who has the name; while it is being claimed, a space and the time (ms) |
//! | `prefix:skeleton:SKELETON` | string | of the names that look like each other (UTS 39), the id of a user who has one, a space and when that was claimed (ms) |
//! | `prefix:users` | sorted set | name, NUL and user id, all of score 0: in the byte order of names |
//! | `prefix:keys` | hash | `version`; `k` and key id → sealed key |
//! | `prefix:{journal}:cutoffs` | hash | `everyone`, or `c` and a client's number → sessions that began before this are over (ms) |
//! | `prefix:{journal}:log` | stream | `r` → a revocation, in words; `u` → until when it is kept (ms); `s` → its subject; `a` → its audit record |
//! | `prefix:{journal}:subjects` | hash | subject → nothing; those that have an entry in the log |
//! | `prefix:{journal}:operations` | hash | operation id, 16 raw bytes → when it was opened (ms), a space, what it takes to finish it (JSON) |
//! | `prefix:{journal}:lifetimes` | hash | how long access tokens live and more (ms) → when a node last said so (ms) |
//! | `prefix:{journal}:audit`, `prefix:{journal}:audit:refused`, `prefix:{journal}:audit:reads` | stream | `r` → audit record; of what was refused in the second, of what administrators have read in the third |
//! | `prefix:guesses:{kind and hash}` | string | when all failed sign-ins of an account, an address… will be forgotten and when the last was (ms); expires then |
//! | `prefix:marker` | string | what identifies the store (JSON) |
//! | `prefix:marker:{number}` | string | of a Cluster, one in each slot: the store's id |
//!
//! What stands in braces is the hash tag: all keys of one user share a slot of a cluster, as do all keys of the journal, and no
//! step touches two slots.

use std::fmt::Write as _;
use std::sync::LazyLock;

use relatch_domain::UserId;
use relatch_domain::unicode::Skeleton;
use relatch_domain::user::Username;

use super::settings::OpenError;
use crate::store::shard::{SLOTS, slot_of_key};
use crate::store::{Guesser, Trail};

/// Names keys under one prefix.
#[derive(Debug, Clone)]
pub(super) struct Keyspace {
    prefix: String,
}

/// The keys of one user, in one slot, but for [`Keyspace::histories`].
pub(super) struct UserKeys {
    pub(super) sessions: String,
    pub(super) user: String,
    pub(super) details: String,
}

impl Keyspace {
    pub(super) fn new(prefix: &str) -> Result<Self, OpenError> {
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'{' && byte != b'}';
        if (1..=64).contains(&prefix.len()) && prefix.bytes().all(plain) {
            Ok(Self { prefix: prefix.to_owned() })
        } else {
            Err(OpenError::KeyPrefix)
        }
    }

    pub(super) fn of_user(&self, user: UserId) -> UserKeys {
        // With room for the id and what stands around it: this is on the way of each refresh.
        let room = self.prefix.len() + 41;
        let [mut sessions, mut details, mut user_key] = [(); 3].map(|()| String::with_capacity(room));
        // Writing to a text does not fail.
        let _ = write!(user_key, "{}:{{{user}}}:", self.prefix);
        for (key, last) in [(&mut sessions, 's'), (&mut details, 'm')] {
            key.push_str(&user_key);
            key.push(last);
        }
        user_key.push('u');
        UserKeys { sessions, details, user: user_key }
    }

    pub(super) fn histories(&self, user: UserId) -> String {
        format!("{}:{{{user}}}:h", self.prefix)
    }

    pub(super) fn user(&self, user: UserId) -> String {
        format!("{}:{{{user}}}:u", self.prefix)
    }

    pub(super) fn name(&self, name: &Username) -> String {
        format!("{}:name:{name}", self.prefix)
    }

    pub(super) fn skeleton(&self, name: &Username) -> String {
        format!("{}:skeleton:{}", self.prefix, Skeleton::of(name).as_str())
    }

    pub(super) fn users(&self) -> String {
        format!("{}:users", self.prefix)
    }

    pub(super) fn keys(&self) -> String {
        format!("{}:keys", self.prefix)
    }

    pub(super) fn cutoffs(&self) -> String {
        format!("{}:{{journal}}:cutoffs", self.prefix)
    }

    pub(super) fn log(&self) -> String {
        self.of_journal("log")
    }

    pub(super) fn subjects(&self) -> String {
        self.of_journal("subjects")
    }

    pub(super) fn operations(&self) -> String {
        self.of_journal("operations")
    }

    pub(super) fn lifetimes(&self) -> String {
        self.of_journal("lifetimes")
    }

    pub(super) fn audit(&self, trail: Trail) -> String {
        self.of_journal(match trail {
            Trail::Acts => "audit",
            Trail::Refused => "audit:refused",
            Trail::Reads => "audit:reads",
        })
    }

    fn of_journal(&self, what: &str) -> String {
        format!("{}:{{journal}}:{what}", self.prefix)
    }

    pub(super) fn guesses(&self, guesser: Guesser) -> String {
        format!("{}:guesses:{guesser}", self.prefix)
    }

    pub(super) fn marker(&self) -> String {
        format!("{}:marker", self.prefix)
    }

    /// The key of the mark that is in this slot.
    pub(super) fn mark(&self, slot: u16) -> String {
        let number = TAGS.get(usize::from(slot)).copied().unwrap_or_default();
        format!("{}:marker:{{{number}}}", self.prefix)
    }
}

/// For each slot the smallest number that is in it as a hash tag.
static TAGS: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let mut tags = vec![None; usize::from(SLOTS)];
    let mut missing = tags.len();
    for number in 0.. {
        if missing == 0 {
            break;
        }
        if let Some(tag @ None) = tags.get_mut(usize::from(slot_of_key(&number.to_string()))) {
            *tag = Some(number);
            missing -= 1;
        }
    }
    tags.into_iter().map(Option::unwrap_or_default).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_has_a_mark_of_its_own() {
        let keyspace = Keyspace::new("relatch").unwrap();
        for slot in 0..SLOTS {
            assert_eq!(slot_of_key(&keyspace.mark(slot)), slot);
        }
    }

    #[test]
    fn keys_of_one_user_share_a_hash_tag_and_no_prefix_moves_it() {
        let keyspace = Keyspace::new("relatch").unwrap();
        let id = UserId::from_bytes([7; 16]);
        let UserKeys { sessions, user, details } = keyspace.of_user(id);
        for key in [&sessions, &user, &details, &keyspace.histories(id)] {
            let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
            assert_eq!(tag, Some(id.to_string().as_str()));
        }
        assert_eq!(user, keyspace.user(id));
        for wrong in ["", "a{b", "a}b", "a b", "ä", &"a".repeat(65)] {
            assert!(matches!(Keyspace::new(wrong), Err(OpenError::KeyPrefix)), "{wrong}");
        }
    }
}
