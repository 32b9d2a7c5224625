//! The promise as a model: one session, its server, honest clients with their tabs, a thief, a network that loses and
//! repeats, and a store that may be rolled back once.
//!
//! The model knows nothing of rotation itself. It calls the functions of [`relatch_domain`] through a [`rule::Rule`],
//! so that a rule with a planted fault can be put in their place, and it watches the properties that `docs/rotation.md`
//! lists. A broken property comes with the story that led to it.

mod client;
mod coverage;
mod operation;
mod rule;
mod server;
mod story;
mod tests;
mod thief;
mod world;
