//! What administrators may do. Every call asks the store whether the caller is still one.

pub mod audit;
pub mod edit;
pub mod failures;
pub mod keys;
pub mod reset;
pub mod revoke;
pub mod sessions;
pub mod stats;
pub mod users;
