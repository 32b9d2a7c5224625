//! The search: what needs fewer faults first, then breadth first, so that a counterexample is as short as can be.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::moves::{Move, next};
use super::rest::broken_now;
use super::world::{Case, World};

/// What a search came to.
pub(crate) struct Found {
    /// How many states can be reached with no fault, one, two, and so on, that could not be with fewer.
    pub(crate) states: Vec<usize>,
    /// Those of them in which nothing runs.
    pub(crate) rests: usize,
    pub(crate) broken: Option<Counterexample>,
}

impl Found {
    pub(crate) fn all_states(&self) -> usize {
        self.states.iter().sum()
    }
}

pub(crate) struct Counterexample {
    pub(crate) broken: &'static str,
    pub(crate) moves: Vec<Move>,
}

impl Counterexample {
    pub(crate) fn faults(&self) -> usize {
        self.moves.iter().filter(|step| step.is_fault()).count()
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.broken)?;
        for (number, step) in self.moves.iter().enumerate() {
            writeln!(f, "{:4}. {step}", number + 1)?;
        }
        Ok(())
    }
}

/// Mixes words by the folded product of 128 bits.
#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = u128::from(self.0 ^ 0x9e37_79b9_7f4a_7c15) * u128::from(word ^ 0xd6e8_feb8_6659_fd93);
        let folded = (mixed ^ (mixed >> 64)) & u128::from(u64::MAX);
        self.0 = u64::try_from(folded).unwrap().rotate_left(29).wrapping_add(word);
    }
}

/// A fingerprint is its own hash.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }
}

type Identity = BuildHasherDefault<AsItIs>;

/// 64 bits that stand for a state.
fn fingerprint(world: &World) -> u64 {
    let mut hasher = Fold::default();
    world.hash(&mut hasher);
    hasher.write_u64(1);
    hasher.finish()
}

/// What was seen, and perhaps how it was reached.
trait Seen {
    fn has(&self, mark: u64) -> bool;
    fn add(&mut self, mark: u64, from: &World, step: Move);
    /// What is known already stays as it is.
    fn add_all(&mut self, others: Self);
}

impl Seen for HashSet<u64, Identity> {
    fn has(&self, mark: u64) -> bool {
        self.contains(&mark)
    }

    fn add(&mut self, mark: u64, _: &World, _: Move) {
        self.insert(mark);
    }

    fn add_all(&mut self, others: Self) {
        self.extend(others);
    }
}

impl Seen for HashMap<u64, (u64, Move), Identity> {
    fn has(&self, mark: u64) -> bool {
        self.contains_key(&mark)
    }

    fn add(&mut self, mark: u64, from: &World, step: Move) {
        self.insert(mark, (fingerprint(from), step));
    }

    fn add_all(&mut self, others: Self) {
        for (mark, how) in others {
            self.entry(mark).or_insert(how);
        }
    }
}

/// Visits every state that can be reached, and stops at the first that breaks something.
struct Search<'a, S> {
    case: &'a Case,
    /// What is reached with the faults so far, and what with one more.
    seen: S,
    seen_next: S,
    begin_next: Vec<World>,
    states: Vec<usize>,
    rests: usize,
}

impl<'a, S: Seen + Default> Search<'a, S> {
    fn of(case: &'a Case) -> Self {
        let (seen, seen_next) = (S::default(), S::default());
        Self { case, seen, seen_next, begin_next: vec![World::new(case)], states: Vec::new(), rests: 0 }
    }

    fn run(&mut self) -> Option<(u64, &'static str)> {
        for faults in 0..=self.case.faults {
            let mut level = std::mem::take(&mut self.begin_next);
            level.retain(|world| !self.seen.has(fingerprint(world)));
            self.seen.add_all(std::mem::take(&mut self.seen_next));
            self.states.push(level.len());
            for world in &level {
                if let Some(broken) = broken_now(self.case, world) {
                    return Some((fingerprint(world), broken));
                }
            }
            while !level.is_empty() {
                match self.go_deeper(&level, faults < self.case.faults) {
                    Ok(deeper) => level = deeper,
                    Err(broken) => return Some(broken),
                }
                self.states[usize::from(faults)] += level.len();
            }
        }
        None
    }

    fn go_deeper(&mut self, level: &[World], more: bool) -> Result<Vec<World>, (u64, &'static str)> {
        let mut deeper = Vec::new();
        let mut after = Vec::new();
        for world in level {
            self.rests += usize::from(world.rests());
            next(self.case, world, more, &mut after);
            for (step, reached) in &after {
                let mark = fingerprint(reached);
                if self.seen.has(mark) {
                    continue;
                }
                if step.is_fault() {
                    if !self.seen_next.has(mark) {
                        self.seen_next.add(mark, world, *step);
                        self.begin_next.push(*reached);
                    }
                    continue;
                }
                self.seen.add(mark, world, *step);
                if let Some(broken) = broken_now(self.case, reached) {
                    return Err((mark, broken));
                }
                deeper.push(*reached);
            }
        }
        Ok(deeper)
    }
}

pub(crate) fn search(case: &Case) -> Found {
    let mut search = Search::<HashSet<u64, Identity>>::of(case);
    let broken = search.run().map(|_| retell(case));
    Found { states: search.states, rests: search.rests, broken }
}

/// The same search once more, keeping how each state was reached.
fn retell(case: &Case) -> Counterexample {
    let mut search = Search::<HashMap<u64, (u64, Move), Identity>>::of(case);
    let (mut at, broken) = search.run().unwrap();
    let mut moves = Vec::new();
    let start = fingerprint(&World::new(case));
    while at != start {
        let (before, step) = search.seen[&at];
        moves.push(step);
        at = before;
    }
    moves.reverse();
    Counterexample { broken, moves }
}
