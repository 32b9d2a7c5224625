//! What administrators may do. Every call asks the store whether the caller is still one.

pub mod revoke;
pub mod users;
