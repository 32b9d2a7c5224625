//! The protocol by which an end of sessions is made, announced and recorded, searched exhaustively in small.
//!
//! Two shards (the user's records, the journal) that may fail over and lose what was not waited for; two nodes that may
//! crash; calls that may be cut off before they run, after they ran, or run late; one operation, a repetition of it, a
//! client that refreshes what ended, and nodes that resolve what was left open. Every order of their steps is tried, with
//! up to a given number of faults. `docs/announcing.md` has the protocol, the invariants and what was searched.
//!
//! A crate of its own: the domain may not print nor read the environment, and the test kit builds the whole server.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod moves;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod process;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod search;
#[cfg(test)]
mod store;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
