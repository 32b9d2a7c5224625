//! Who guesses, and a book of it in memory.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use relatch_domain::UnixMillis;
use relatch_domain::base64url;
use relatch_domain::guesses::{GuessLimit, Guesses, Try};

/// How many guessers are kept in memory. Above that those go that would be forgotten first.
const MOST: usize = 100_000;

/// What guesses are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GuessKind {
    /// The passwords of an account, whoever tries.
    Account,
    /// Those that come from an address.
    Address,
    /// Those that come from a block of addresses.
    Block,
    /// Those for an account from a device on which its user has signed in before.
    Device,
    /// Those for an account from all such devices together.
    Devices,
    /// The current password in a password change.
    Reauthentication,
    /// Those of all who come from no known device, to whatever account.
    Strangers,
}

/// For whom or what guesses are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guesser {
    kind: GuessKind,
    hash: [u8; 16],
}

impl Guesser {
    /// The guesser of this kind and name. Names are hashed, so that each takes up as little as any other, whatever a
    /// stranger calls itself.
    pub fn new(kind: GuessKind, name: &[u8]) -> Self {
        let mut hash = [0; 16];
        let digest = digest::digest(&digest::SHA256, name);
        hash.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Self { kind, hash }
    }
}

impl fmt::Display for Guesser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            GuessKind::Account => 'a',
            GuessKind::Address => 'i',
            GuessKind::Block => 'b',
            GuessKind::Device => 'd',
            GuessKind::Devices => 'k',
            GuessKind::Reauthentication => 'r',
            GuessKind::Strangers => 's',
        };
        write!(f, "{kind}{}", base64url::encode(&self.hash))
    }
}

/// A try that is to be counted, if it need not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessStep {
    /// For whom.
    pub guesser: Guesser,
    /// How many are allowed.
    pub limit: GuessLimit,
}

/// Guesses in memory, for a store that one node has for itself: what it has counted may be forgotten with it.
#[derive(Debug, Default)]
pub struct GuessBook(Mutex<HashMap<Guesser, Guesses>>);

impl GuessBook {
    /// See [`super::Store::guess`].
    ///
    /// # Errors
    /// The time after which it may be made.
    pub fn guess(&self, step: &GuessStep, now: UnixMillis) -> Result<Try, Duration> {
        let mut book = self.book();
        let seen = book.get_mut(&step.guesser).map(|seen| {
            *seen = seen.as_of(now);
            *seen
        });
        let (guesses, counted) = step.limit.guess(seen, now)?;
        if book.len() >= MOST && !book.contains_key(&step.guesser) {
            make_room(&mut book, now);
        }
        book.insert(step.guesser, guesses);
        Ok(counted)
    }

    /// See [`super::Store::take_back_guess`].
    pub fn take_back(&self, step: &GuessStep, counted: Try, now: UnixMillis) {
        let mut book = self.book();
        let Some(seen) = book.remove(&step.guesser) else { return };
        if let Some(left) = step.limit.take_back(seen, counted, now) {
            book.insert(step.guesser, left);
        }
    }

    /// See [`super::Store::guesses`].
    pub fn of(&self, guesser: Guesser, now: UnixMillis) -> Option<Guesses> {
        self.book().get(&guesser).copied().filter(|guesses| guesses.until > now)
    }

    /// See [`super::Store::forget_guesses`].
    pub fn forget(&self, guesser: Guesser, now: UnixMillis) -> bool {
        self.book().remove(&guesser).is_some_and(|guesses| guesses.until > now)
    }

    fn book(&self) -> MutexGuard<'_, HashMap<Guesser, Guesses>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets those of whom nothing counts any more, and if that is not enough, the half that would be forgotten first.
fn make_room(book: &mut HashMap<Guesser, Guesses>, now: UnixMillis) {
    book.retain(|_, guesses| guesses.until > now);
    if book.len() >= MOST {
        let mut untils: Vec<_> = book.values().map(|guesses| guesses.until).collect();
        let middle = untils.len() / 2;
        let (_, median, _) = untils.select_nth_unstable(middle);
        let median = *median;
        book.retain(|_, guesses| guesses.until > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_has_room_for_so_many_guessers() {
        let book = GuessBook::default();
        let limit = GuessLimit {
            forgotten_after: Duration::from_secs(1),
            free: 1,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(1),
        };
        for number in 0..=u32::try_from(MOST).unwrap() {
            let step = GuessStep { guesser: Guesser::new(GuessKind::Account, &number.to_be_bytes()), limit };
            assert!(book.guess(&step, UnixMillis(u64::from(number) / 1000)).is_ok());
        }
        let left = book.book().len();
        assert!((MOST / 2 - 2000..=MOST / 2 + 2000).contains(&left), "{left}");
        let latest = Guesser::new(GuessKind::Account, &u32::try_from(MOST).unwrap().to_be_bytes());
        assert!(book.of(latest, UnixMillis(100)).is_some());
    }

    #[test]
    fn kinds_and_names_are_told_apart() {
        let names: std::collections::BTreeSet<_> = [
            (GuessKind::Account, "ada"),
            (GuessKind::Account, "eve"),
            (GuessKind::Address, "ada"),
            (GuessKind::Block, "ada"),
            (GuessKind::Device, "ada"),
            (GuessKind::Devices, "ada"),
            (GuessKind::Reauthentication, "ada"),
            (GuessKind::Strangers, "ada"),
        ]
        .into_iter()
        .map(|(kind, name)| Guesser::new(kind, name.as_bytes()).to_string())
        .collect();
        assert_eq!(names.len(), 8);
        assert!(names.iter().all(|name| name.len() == 23));
    }
}
