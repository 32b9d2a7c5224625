//! What every store must do, as a suite that runs on any of them.
//!
//! [`examples()`] are the contract of [`relatch::store::Store`], one sentence each. [`run_random`] runs random
//! sequences of commands on the store and on [`ModelStore`](crate::model_store::ModelStore) at the same time and
//! compares every answer, and in the end every record byte for byte. Users are new in each case, so that nothing
//! needs cleaning up and many cases run at once. [`run_shared`] does the same for what all users share.

mod case;
mod command;
pub mod examples;
mod guesses;
mod pair;
mod random;
mod shared;

pub use examples::examples;
pub use guesses::run_guesses;
pub use pair::Divergence;
pub use random::{Counterexample, Coverage, run_random};
pub use shared::run_shared;
