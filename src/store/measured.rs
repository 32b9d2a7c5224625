//! A store whose steps are timed, and whose errors are counted by what they mean.

use std::array;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use relatch_domain::cutoff::{Cutoffs, Whose};
use relatch_domain::guesses::{Guesses, Try};
use relatch_domain::revocation::Revocation;
use relatch_domain::user::{User, Username};
use relatch_domain::{SessionRef, UnixMillis, UserId};

use super::{
    Bearing, BeginStep, Begun, Credentials, CutoffRaised, EndStep, Ended, EntryId, FeedEntry, GuessStep,
    Guesser, KeyShelf, Look, Marker, NewUser, Observation, RotateStep, Rotated, Shard, Shards, Store,
    StoreError, StoredKey, SwapStep, Trail, TrailEntry, UserChange, UserChangeOutcome, UserCreation,
    UserDeleted, UserQuery, UserSessions, WholeUser,
};

/// Upper bounds of the histogram's buckets, in seconds.
const BUCKETS: [f64; 14] =
    [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStep {
    step: &'static str,
}

/// The classes of errors, as the metrics name them.
const CLASSES: [&str; 3] = ["unavailable", "indeterminate", "corrupt"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfError {
    class: &'static str,
}

/// How long the steps of a store take, and how often they fail.
#[derive(Debug)]
pub struct StoreMetrics {
    durations: [Histogram; STEPS.len()],
    errors: [Counter; CLASSES.len()],
}

impl StoreMetrics {
    /// Those that a registry shows.
    pub fn registered(registry: &mut Registry) -> Self {
        let durations: Family<OfStep, Histogram> = Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let errors: Family<OfError, Counter> = Family::default();
        registry.register_with_unit(
            "store_step_duration",
            "How long the store took for a step",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register(
            "store_errors",
            "Steps that failed: unavailable (not done), indeterminate (perhaps done), corrupt (what was read makes no sense)",
            errors.clone(),
        );
        let of_step = |at: usize| {
            durations.get_or_create_owned(&OfStep { step: STEPS.get(at).copied().unwrap_or_default() })
        };
        let of_error = |at: usize| {
            errors.get_or_create_owned(&OfError { class: CLASSES.get(at).copied().unwrap_or_default() })
        };
        Self { durations: array::from_fn(of_step), errors: array::from_fn(of_error) }
    }

    fn note<T>(&self, step: Step, took: Duration, answer: &Result<T, StoreError>) {
        if let Some(histogram) = self.durations.get(step as usize) {
            histogram.observe(took.as_secs_f64());
        }
        if let Err(error) = answer {
            let [unavailable, indeterminate, corrupt] = &self.errors;
            match error {
                StoreError::Unavailable(_) => unavailable.inc(),
                StoreError::Indeterminate(_) => indeterminate.inc(),
                StoreError::Corrupt(_) => corrupt.inc(),
            };
        }
    }
}

/// A store, and where its steps are noted.
pub struct Measured {
    store: Arc<dyn Store>,
    metrics: Arc<StoreMetrics>,
}

impl Measured {
    /// Has the steps of `store` noted.
    pub fn new(store: Arc<dyn Store>, metrics: Arc<StoreMetrics>) -> Self {
        Self { store, metrics }
    }

    async fn noted<T>(
        &self,
        step: Step,
        answering: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let answer = answering.await;
        self.metrics.note(step, begun.elapsed(), &answer);
        answer
    }
}

/// All steps of a store that answer once; what waits or is answered from memory is passed on as it is.
macro_rules! steps {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[expect(non_camel_case_types, reason = "the names of the methods, which are those of the metrics")]
        #[derive(Debug, Clone, Copy)]
        enum Step { $($name),* }

        /// The names of the steps, in the order of [`Step`].
        const STEPS: [&str; [$(stringify!($name)),*].len()] = [$(stringify!($name)),*];

        #[async_trait]
        impl Store for Measured {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.noted(Step::$name, self.store.$name($($argument),*)).await
            })*

            async fn rearranged(&self) {
                self.store.rearranged().await;
            }

            fn arrangement(&self) -> u64 {
                self.store.arrangement()
            }

            async fn is_still(&self, arrangement: u64) -> bool {
                self.store.is_still(arrangement).await
            }
        }
    };
}

steps! {
    rotate(step: &RotateStep) -> Rotated;
    swap(step: &SwapStep) -> Rotated;
    observe(session: SessionRef) -> Observation;
    end_sessions(step: &EndStep) -> Ended;
    sessions_of(user: UserId) -> UserSessions;
    append_history(session: SessionRef, line: &str) -> ();
    begin_session(step: &BeginStep) -> Begun;
    create_user(new: &NewUser) -> UserCreation;
    user(id: UserId) -> Option<User>;
    credentials(name: &Username) -> Option<Credentials>;
    list_users(query: &UserQuery) -> Vec<User>;
    count_users() -> u64;
    change_user(change: &UserChange) -> UserChangeOutcome;
    delete_user(user: UserId) -> Option<UserDeleted>;
    cutoffs() -> Cutoffs;
    raise_cutoff(whose: Whose, at: UnixMillis) -> CutoffRaised;
    latest_time() -> UnixMillis;
    append_audit(trail: Trail, record: &[u8], keep: usize) -> ();
    audit(trail: Trail, before: Option<EntryId>, limit: usize) -> Vec<TrailEntry>;
    announce(revocations: &[Revocation]) -> ();
    announced(after: Option<EntryId>, limit: usize) -> Vec<FeedEntry>;
    guess(step: &GuessStep) -> Result<Try, Duration>;
    take_back_guess(step: &GuessStep, counted: Try) -> ();
    guesses(guesser: Guesser) -> Option<Guesses>;
    forget_guesses(guesser: Guesser) -> bool;
    keys() -> KeyShelf;
    put_key(expected: u64, key: &StoredKey) -> bool;
    identify(marker: &Marker) -> Option<Marker>;
    adopt(marker: &Marker) -> (Marker, bool);
    marker() -> Option<Marker>;
    bearing(shard: &Shard, marker: &Marker, look: Look) -> Bearing;
    shards() -> Shards;
    place_user(user: &WholeUser) -> ();
    relabel(marker: &Marker) -> ();
    last_words(of: &Shard, after: Option<EntryId>, limit: usize) -> Vec<FeedEntry>;
    ping() -> ();
}
