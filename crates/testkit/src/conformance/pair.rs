//! A store and the model, asked the same and compared.

use std::fmt::{self, Debug};
use std::sync::Arc;

use relatch::store::{Store, StoreError};

use crate::model_store::ModelStore;

/// The store gave another answer than the model.
#[derive(Debug, Clone)]
pub struct Divergence {
    asked: String,
    store: String,
    model: String,
}

impl Divergence {
    /// A rule that is broken whatever the model says.
    pub(super) fn of_rule(rule: &str, saw: &impl Debug) -> Self {
        Self { asked: rule.to_owned(), store: format!("{saw:?}"), model: "otherwise".to_owned() }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked: {}\n  store: {}\n  model: {}", self.asked, self.store, self.model)
    }
}

pub(super) struct Pair {
    pub(super) store: Arc<dyn Store>,
    pub(super) model: ModelStore,
}

impl Pair {
    /// Asks both, and gives the answer on which they agree.
    pub(super) async fn ask<A: PartialEq + Debug>(
        &self,
        what: impl Debug,
        step: impl AsyncFn(&dyn Store) -> Result<A, StoreError>,
    ) -> Result<A, Divergence> {
        self.ask_alike(what, step, |answer| answer).await
    }

    /// As [`Pair::ask`], for answers that may differ in what `alike` levels out.
    pub(super) async fn ask_alike<A: PartialEq + Debug>(
        &self,
        what: impl Debug,
        step: impl AsyncFn(&dyn Store) -> Result<A, StoreError>,
        alike: impl Fn(A) -> A,
    ) -> Result<A, Divergence> {
        let store = step(&*self.store).await.map(&alike);
        let model = step(&self.model).await.map(&alike);
        match (store, model) {
            (Ok(store), Ok(model)) if store == model => Ok(store),
            (store, model) => Err(Divergence {
                asked: format!("{what:?}"),
                store: format!("{store:?}"),
                model: format!("{model:?}"),
            }),
        }
    }
}
