//! What the tests are made of: the server as its users see it, real Redis processes, a clock to set, and people.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::missing_panics_doc, clippy::missing_errors_doc, clippy::return_self_not_must_use)]

pub mod actor;
pub mod answer;
pub mod app;
pub mod browser;
pub mod clock;
pub mod conformance;
pub mod cutter;
pub mod fault;
pub mod forge;
mod launch;
mod model_journal;
mod model_state;
pub mod model_store;
pub mod node;
#[cfg(test)]
mod promise;
pub mod redis_group;
pub mod redis_server;
pub mod wire;

pub use actor::{Device, KEY, OTHER_KEY, PASSWORD, Pair};
pub use answer::Answer;
pub use app::{On, TestApp};
pub use browser::Browser;
pub use forge::Forger;
pub use node::Node;
