//! Guesses: a long random sequence of tries on a store, beside the model, by a clock that goes back now and then.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use relatch::ambient::Clock;
use relatch::store::{GuessKind, GuessStep, Guesser, Store, StoreError};
use relatch_domain::UnixMillis;
use relatch_domain::guesses::{GuessLimit, Try};

use super::pair::{Divergence, Pair};
use super::random::Coverage;
use crate::clock::ManualClock;
use crate::model_store::ModelStore;

/// How many guess.
const GUESSERS: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Command {
    /// So many milliseconds.
    Wait(u64),
    /// The clock, by so many milliseconds.
    GoBack(u64),
    Guess(usize),
    /// The last try that was counted.
    TakeBack(usize),
    Forget(usize),
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => prop_oneof![3 => 0_u64..100_000, 1 => 0_u64..4_000_000].prop_map(Command::Wait),
        1 => prop_oneof![1_u64..100_000, 1_u64..20_000_000].prop_map(Command::GoBack),
        8 => (0..GUESSERS).prop_map(Command::Guess),
        2 => (0..GUESSERS).prop_map(Command::TakeBack),
        1 => (0..GUESSERS).prop_map(Command::Forget),
    ]
}

/// Somebody, and how often they may.
fn step(who: usize) -> GuessStep {
    let number = u8::try_from(who).unwrap_or_default();
    let limit = GuessLimit {
        forgotten_after: Duration::from_mins(30 + u64::from(number)),
        free: 3 * u32::from(number),
        first_wait: Duration::from_millis(70_001),
        longest_wait: Duration::from_mins(20),
    };
    GuessStep { guesser: Guesser::new(GuessKind::Account, &[number]), limit }
}

/// Redis forgets by its own clock, which does not go back: what it is about to forget, or could have forgotten, goes on both
/// sides.
async fn forget_the_nearly_forgotten(pair: &Pair, now: UnixMillis) -> Result<(), Divergence> {
    for who in 0..GUESSERS {
        let kept = pair.model.guesses(step(who).guesser).await.unwrap_or_default();
        if kept.is_none_or(|guesses| guesses.until < now.plus(Duration::from_mins(2))) {
            let forget = async |store: &dyn Store| store.forget_guesses(step(who).guesser).await.map(drop);
            pair.ask(("the nearly forgotten", who), forget).await?;
        }
    }
    Ok(())
}

/// Makes so many random tries on a store that takes its time from `clock`, beside the model. Nobody else may guess there.
///
/// # Errors
/// The first on which the store and the model do not agree.
pub async fn run_guesses(
    store: Arc<dyn Store>,
    clock: ManualClock,
    commands: u32,
) -> Result<Coverage, Divergence> {
    let model = ModelStore::new(Arc::new(clock.clone()));
    let (pair, mut runner) = (Pair { store, model }, TestRunner::default());
    let (mut coverage, mut counted): (_, [Option<Try>; GUESSERS]) = (Coverage::default(), [None; GUESSERS]);
    for _ in 0..commands {
        let drawn = command().new_tree(&mut runner);
        let command = drawn.map_err(|reason| Divergence::of_rule("a command is drawn", &reason))?.current();
        match command {
            Command::Wait(millis) => clock.advance(Duration::from_millis(millis)),
            Command::GoBack(millis) => {
                forget_the_nearly_forgotten(&pair, clock.now()).await?;
                clock.set(UnixMillis(clock.now().0.saturating_sub(millis)));
            }
            Command::Guess(who) => {
                let before = pair.model.guesses(step(who).guesser).await.unwrap_or_default();
                let answer = pair.ask(command, async |store| store.guess(&step(who)).await).await?;
                if before.is_some_and(|guesses| guesses.last > clock.now()) {
                    coverage.happened(if answer.is_ok() {
                        "guess_counted_ahead"
                    } else {
                        "guess_waits_ahead"
                    });
                }
                coverage.happened(if answer.is_ok() { "guess_counted" } else { "guess_has_to_wait" });
                if let (Ok(this), Some(place)) = (answer, counted.get_mut(who)) {
                    *place = Some(this);
                }
            }
            Command::TakeBack(who) => {
                let Some(this) = counted.get_mut(who).and_then(Option::take) else { continue };
                let take_back = async |store: &dyn Store| store.take_back_guess(&step(who), this).await;
                pair.ask(command, take_back).await?;
                coverage.happened("guess_taken_back");
            }
            Command::Forget(who) => {
                // Whether anything counted is not for a store to say that forgets by another clock.
                let forget =
                    async |store: &dyn Store| store.forget_guesses(step(who).guesser).await.map(drop);
                pair.ask(command, forget).await?;
                coverage.happened("guesses_forgotten");
            }
        }
        let now = clock.now();
        for who in 0..GUESSERS {
            let look = async |store: &dyn Store| {
                let guesses = store.guesses(step(who).guesser).await?;
                Ok::<_, StoreError>(guesses.filter(|guesses| guesses.until > now))
            };
            pair.ask(("guesses", who), look).await?;
        }
    }
    Ok(coverage)
}
