//! What a refresh costs: a load generator, and a floor to hold the server against.
//!
//! [`floor`] does the least that a refresh can be: check both tokens, one script, mint. [`load`] drives it and the
//! real server alike. `run.py` beside this crate runs both in turns and prints the table. [`crowd`] is about users: what
//! many of them cost, straight at the store; `users.py` runs it. [`bytes`] fills a Redis for `bytes.py`, which measures what
//! a session takes up. [`flood`] has a crowd sign in while devices refresh; `flood.py` runs it.

pub mod beat;
pub mod bytes;
pub mod crowd;
pub mod flood;
pub mod floor;
pub mod load;

/// Whatever stops a measuring tool, in words for the person who runs it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
