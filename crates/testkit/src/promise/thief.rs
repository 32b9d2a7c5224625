//! A thief who copies what the client has stored, and the count of what it gets.

use std::time::Duration;

use relatch_domain::Generation;
use relatch_domain::attempt::AttemptHash;
use relatch_domain::ids::Thumbprint;

use super::client::{Kind, Storage};
use super::operation::ThiefsKey;
use super::server::{Request, Token};

/// A token in the wrong hands, with the attempt keys that may go with it.
#[derive(Debug, Clone, Copy)]
struct Loot {
    token: Token,
    copied: Option<AttemptHash>,
    own: Option<AttemptHash>,
}

/// Who copies and presents.
#[derive(Default)]
pub(super) struct Thief {
    loot: Vec<Loot>,
    keys: u64,
    /// Whether it has ever presented anything.
    pub(super) acted: bool,
    watch: Watch,
}

impl Thief {
    pub(super) fn copy(&mut self, storage: &Storage, with_key: bool) {
        let copied = storage.key.filter(|_| with_key);
        self.loot.push(Loot { token: storage.token, copied, own: None });
        self.watch.start(storage.token.generation, copied.is_some());
    }

    /// What it presents: one of its tokens, the latest for 0.
    pub(super) fn request(&mut self, which: usize, key: ThiefsKey, kind: Kind) -> Option<Request> {
        let index = self.loot.len().checked_sub(1 + which % self.loot.len().max(1))?;
        self.acted = true;
        let fresh = AttemptHash::from_bytes((1_000_000 + self.keys).to_be_bytes());
        let loot = self.loot.get_mut(index)?;
        let attempt = match key {
            ThiefsKey::None => None,
            ThiefsKey::Copied => loot.copied,
            ThiefsKey::Same => loot.own,
            ThiefsKey::Fresh => {
                self.keys += 1;
                loot.own = fresh;
                fresh
            }
        };
        // Of a bound session it has the tokens, never the key.
        let thumbprint = (kind == Kind::Dpop && attempt.is_some()).then_some(Thumbprint([0xee; 32]));
        Some(Request { token: loot.token, attempt, thumbprint })
    }

    /// It got a token. `shadowed`: a client that can be told from it by nothing had presented the same token less
    /// than `grace` ago. Says what is broken by it, if anything.
    pub(super) fn succeeds(&mut self, token: Token, shadowed: bool) -> Result<(), String> {
        self.loot.push(Loot { token, copied: None, own: None });
        self.watch.thief(shadowed)
    }

    /// The honest client rotated or healed by this token.
    pub(super) fn honest_goes_on(&mut self, presented: Token, elapsed: Duration) {
        self.watch.honest(presented.generation, elapsed);
    }

    pub(super) fn sees_a_rollback(&mut self) {
        self.watch.roll_back(!self.loot.is_empty());
    }

    pub(super) const fn has_succeeded(&self) -> bool {
        self.watch.succeeded
    }

    pub(super) const fn had_the_pending_key(&self) -> bool {
        self.watch.pending_key
    }
}

/// Counts the honest client's refreshes since the thief's first success after its last copy.
#[derive(Default)]
struct Watch {
    copied: Generation,
    succeeded: bool,
    honest: u32,
    last: Duration,
    pending_key: bool,
    rolled_back: bool,
}

impl Watch {
    /// Honest refreshes closer to each other than this count as one: within it, a token that a rollback made one
    /// ahead of the record is still believed.
    const APART: Duration = Duration::from_mins(3);

    fn start(&mut self, copied: Generation, pending_key: bool) {
        self.copied = copied;
        self.succeeded = false;
        self.honest = 0;
        self.pending_key |= pending_key;
    }

    /// What came before it is undone, and with it what the honest client's refreshes had made of the thief's tokens.
    fn roll_back(&mut self, loot: bool) {
        self.rolled_back |= loot;
        self.honest = 0;
    }

    /// The refresh that made the token which was copied, or one before it, may arrive once more after a rollback. It makes
    /// that same token again and is not the client's next.
    fn honest(&mut self, presented: Generation, elapsed: Duration) {
        let is_next = self.succeeded && presented >= self.copied;
        if is_next && (self.honest == 0 || elapsed.saturating_sub(self.last) >= Self::APART) {
            self.honest += 1;
            self.last = elapsed;
        }
    }

    fn thief(&mut self, shadowed: bool) -> Result<(), String> {
        if shadowed {
            self.honest = 0;
        }
        self.succeeded = true;
        // Either may cost one honest refresh more; both together cost no more than one.
        let allowed = u32::from(self.pending_key || self.rolled_back);
        if self.honest > allowed {
            return Err(format!(
                "the thief got a token after {} refreshes of the honest client since its first success, and the \
                 session lives",
                self.honest
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_mins(minutes)
    }

    #[test]
    fn after_two_refreshes_at_the_most_a_thief_is_out() {
        let mut watch = Watch::default();
        watch.start(Generation(1), true);
        assert_eq!(watch.thief(false), Ok(()));
        watch.honest(Generation(1), minutes(1));
        assert_eq!(watch.thief(false), Ok(()), "the copied pending key costs one");
        watch.honest(Generation(2), minutes(9));
        assert!(watch.thief(false).is_err());
    }

    #[test]
    fn a_refresh_of_before_the_theft_that_arrives_again_is_not_the_next() {
        let mut watch = Watch::default();
        watch.start(Generation(1), true);
        assert_eq!(watch.thief(false), Ok(()));
        watch.roll_back(true);
        watch.honest(Generation(0), minutes(1));
        watch.honest(Generation(1), minutes(9));
        assert_eq!(watch.thief(false), Ok(()));
        watch.honest(Generation(2), minutes(19));
        assert!(watch.thief(false).is_err());
    }
}
