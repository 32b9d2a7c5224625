//! Tokens whose signatures were found good, so that they need not be checked again.

use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::{hmac, rand};

/// Tags that are made at once: memory is taken as it is used.
const PAGE: usize = 1024;

type Page = Box<[Slot]>;
type Tag = [u64; 2];

/// Where one tag is kept.
#[derive(Default)]
struct Slot(AtomicU64, AtomicU64);

/// Remembers tokens whose signatures were found good, by a keyed hash of the whole token, signature included: a token
/// that differs in one character is another one. What a token says (its times, its audience) and whether its key is
/// still in the set is checked each time, remembered or not.
///
/// It belongs to one issuer, whose key ids never come to name another key. It has room for a fixed number of tokens; a
/// new one takes the place of an old one.
pub struct SignatureMemory {
    key: hmac::Key,
    pages: Box<[OnceLock<Page>]>,
}

impl SignatureMemory {
    /// Room for this many tokens, 16 bytes each, rounded up to full pages of 1,024.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn with_room_for(tokens: NonZeroUsize) -> Result<Self, NoRandomness> {
        let key =
            hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).map_err(|_| NoRandomness)?;
        let pages = (0..tokens.get().div_ceil(PAGE)).map(|_| OnceLock::new()).collect();
        Ok(Self { key, pages })
    }

    /// Remembers a token, whose signature is good: because it was checked, or made just now.
    pub fn learn(&self, token: &str) {
        let (tag, page, at) = self.place_of(token);
        let page = self.pages.get(page).map(|page| page.get_or_init(blank_page));
        if let (Some(Slot(first, second)), [one, two]) = (page.and_then(|page| page.get(at)), tag) {
            first.store(one, Ordering::Relaxed);
            second.store(two, Ordering::Relaxed);
        }
    }

    /// Whether the token was learnt, and is not forgotten. Halves of two tags that are written at the same time may end
    /// up side by side: that is the tag of no token that anybody could find.
    pub(crate) fn knows(&self, token: &str) -> bool {
        let (tag, page, at) = self.place_of(token);
        let page = self.pages.get(page).and_then(OnceLock::get);
        page.and_then(|page| page.get(at)).is_some_and(|Slot(first, second)| {
            [first.load(Ordering::Relaxed), second.load(Ordering::Relaxed)] == tag
        })
    }

    /// The tag, and the page and the slot that it belongs into.
    fn place_of(&self, token: &str) -> (Tag, usize, usize) {
        let digest = hmac::sign(&self.key, token.as_bytes());
        let mut words = digest
            .as_ref()
            .chunks_exact(8)
            .map(|word| word.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)));
        let mut word = || words.next().unwrap_or_default();
        // The empty slot is all zeros, which must be no tag.
        let tag = [word() | 1, word()];
        let slots = (self.pages.len() * PAGE) as u64;
        let slot = usize::try_from(word() % slots).unwrap_or_default();
        (tag, slot / PAGE, slot % PAGE)
    }
}

fn blank_page() -> Page {
    (0..PAGE).map(|_| Slot::default()).collect()
}

/// The system has no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system has no randomness")]
pub struct NoRandomness;

impl std::fmt::Debug for SignatureMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignatureMemory").field("room", &(self.pages.len() * PAGE)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(tokens: usize) -> SignatureMemory {
        SignatureMemory::with_room_for(NonZeroUsize::new(tokens).unwrap()).unwrap()
    }

    #[test]
    fn what_was_learnt_is_known_and_nothing_else() {
        let memory = memory(100_000);
        let tokens: Vec<_> = (0..100).map(|number| format!("header.payload.signature{number}x")).collect();
        assert!(tokens.iter().all(|token| !memory.knows(token)));
        for token in &tokens {
            memory.learn(token);
        }
        // Of a hundred some may have taken each other's place, once in many runs.
        assert!(tokens.iter().filter(|token| memory.knows(token)).count() >= 98);
        for token in &tokens {
            for other in [&token[1..], &token[..token.len() - 1], &format!("{token}="), &token.to_uppercase()]
            {
                assert!(!memory.knows(other), "{other}");
            }
        }
        assert!(!self::memory(100_000).knows(&tokens[0]), "each memory has a key of its own");
    }

    #[test]
    fn room_is_limited_and_taken_as_it_is_used() {
        let memory = memory(5000);
        assert_eq!(memory.pages.len(), 5);
        assert!(memory.pages.iter().all(|page| page.get().is_none()));
        for number in 0..50_000 {
            memory.learn(&number.to_string());
        }
        let known = (0..50_000).filter(|number| memory.knows(&number.to_string())).count();
        assert!((4500..=5120).contains(&known), "{known}");
        assert!(memory.knows("49999"), "the last one is there");
    }

    #[test]
    fn threads_do_not_get_in_each_others_way() {
        let memory = memory(1024);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let memory = &memory;
                scope.spawn(move || {
                    for number in 0..20_000 {
                        memory.learn(&format!("{thread}.{number}"));
                        assert!(!memory.knows(&format!("{thread}.{number}.never")));
                    }
                });
            }
        });
    }
}
