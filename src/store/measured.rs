//! A store whose steps are timed, and whose errors are counted by what they mean.

use std::array;
use std::collections::BTreeMap;
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
use relatch_domain::user::{User, Username};
use relatch_domain::{OperationId, SessionId, SessionRef, UnixMillis, UserId};

use super::{
    Bearing, BeginStep, Begun, Credentials, CutoffRaised, EndStep, Ended, EntryId, GuessStep, Guesser,
    JournalPage, JournalWrite, JournalWritten, KeyShelf, LogEntry, Look, Marker, NewUser, Observation,
    RotateStep, Rotated, Settled, Shard, Shards, Store, StoreError, StoredKey, SwapStep, Trail, TrailEntry,
    UserChange, UserChangeOutcome, UserCreation, UserDeleted, UserQuery, UserSessions, WholeUser,
};
use crate::telemetry::request::UnderWay;

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
                StoreError::Unavailable(_) | StoreError::Misconfigured(_) => unavailable.inc(),
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

    /// A step that changes nothing.
    fn reads<T>(
        &self,
        step: Step,
        answering: impl Future<Output = Result<T, StoreError>>,
    ) -> impl Future<Output = Result<T, StoreError>> {
        self.noted(step, answering)
    }

    /// A step that only counts tries to sign in, before a password is looked at or after: the client may go while the hash
    /// is waited for, and nothing has to be told of it.
    fn counts<T>(
        &self,
        step: Step,
        answering: impl Future<Output = Result<T, StoreError>>,
    ) -> impl Future<Output = Result<T, StoreError>> {
        self.noted(step, answering)
    }

    /// A step that changes something: the request under way runs to its end from here on.
    fn writes<T>(
        &self,
        step: Step,
        answering: impl Future<Output = Result<T, StoreError>>,
    ) -> impl Future<Output = Result<T, StoreError>> {
        UnderWay::begins_to_write();
        self.noted(step, answering)
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

/// All steps of a store that answer once, each with what it does there; what waits or is answered from memory is passed on
/// as it is.
macro_rules! steps {
    ($($does:ident $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[expect(non_camel_case_types, reason = "the names of the methods, which are those of the metrics")]
        #[derive(Debug, Clone, Copy)]
        enum Step { $($name),* }

        /// The names of the steps, in the order of [`Step`].
        const STEPS: [&str; [$(stringify!($name)),*].len()] = [$(stringify!($name)),*];

        #[async_trait]
        impl Store for Measured {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.$does(Step::$name, self.store.$name($($argument),*)).await
            })*

            async fn rearranged(&self) {
                self.store.rearranged().await;
            }

            fn asks_replicas(&self) -> bool {
                self.store.asks_replicas()
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
    writes rotate(step: &RotateStep) -> Rotated;
    writes swap(step: &SwapStep) -> Rotated;
    reads observe(session: SessionRef) -> Observation;
    writes end_sessions(step: &EndStep) -> Ended;
    reads sessions_of(user: UserId) -> UserSessions;
    writes append_history(session: SessionRef, line: &str) -> ();
    reads history(session: SessionRef) -> Vec<String>;
    reads histories(user: UserId) -> BTreeMap<SessionId, Vec<String>>;
    writes begin_session(step: &BeginStep) -> Begun;
    writes create_user(new: &NewUser) -> UserCreation;
    writes claim_skeleton(name: &Username, user: UserId) -> bool;
    writes release_skeleton(name: &Username, user: UserId) -> ();
    reads user(id: UserId) -> Option<User>;
    reads credentials(name: &Username) -> Option<Credentials>;
    reads list_users(query: &UserQuery) -> Vec<User>;
    reads count_users() -> u64;
    writes change_user(change: &UserChange) -> UserChangeOutcome;
    writes delete_user(user: UserId, operation: Option<OperationId>) -> Option<UserDeleted>;
    writes settle_operation(user: UserId, operation: OperationId) -> Settled;
    reads cutoffs() -> Cutoffs;
    writes raise_cutoff(whose: Whose, at: UnixMillis) -> CutoffRaised;
    reads latest_time() -> UnixMillis;
    writes append_audit(trail: Trail, record: &[u8], keep: usize) -> ();
    reads audit(trail: Trail, before: Option<EntryId>, limit: usize) -> Vec<TrailEntry>;
    writes write_journal(write: &JournalWrite) -> JournalWritten;
    reads journal(after: Option<EntryId>, limit: usize) -> JournalPage;
    counts guess(step: &GuessStep) -> Result<Try, Duration>;
    counts take_back_guess(step: &GuessStep, counted: Try) -> ();
    reads guesses(guesser: Guesser) -> Option<Guesses>;
    writes forget_guesses(guesser: Guesser) -> bool;
    reads keys() -> KeyShelf;
    writes put_key(expected: u64, key: &StoredKey) -> bool;
    writes remove_key(expected: u64, id: &str) -> bool;
    writes identify(marker: &Marker) -> Option<Marker>;
    writes adopt(marker: &Marker) -> (Marker, bool);
    reads marker() -> Option<Marker>;
    reads bearing(shard: &Shard, marker: &Marker, look: Look) -> Bearing;
    reads shards() -> Shards;
    writes place_user(user: &WholeUser) -> ();
    writes relabel(marker: &Marker) -> ();
    reads last_words(of: &Shard, after: Option<EntryId>, limit: usize) -> Vec<LogEntry>;
    reads ping() -> ();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::SystemClock;
    use crate::store::embedded::EmbeddedStore;

    #[tokio::test]
    async fn a_request_is_marked_by_its_first_write() {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&dir.path().join("relatch.redb"), Arc::new(SystemClock)).unwrap();
        let metrics = StoreMetrics::registered(&mut Registry::default());
        let store = Measured::new(store.handle(), Arc::new(metrics));
        let under_way = UnderWay::default();
        let told = under_way.told.clone();
        let request = async {
            store.count_users().await.unwrap();
            store.audit(Trail::Acts, None, 1).await.unwrap();
            assert!(!told.has_begun_to_write());
            store.append_audit(Trail::Acts, b"{}", 1).await.unwrap();
            assert!(told.has_begun_to_write());
        };
        under_way.during(request).await;
        // What the server does by itself has no request to mark.
        store.append_audit(Trail::Acts, b"{}", 1).await.unwrap();
    }
}
