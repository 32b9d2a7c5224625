//! For operators, API servers and the curious.

pub mod docs;
pub mod errors;
pub mod health;
pub mod jwks;
pub mod metrics;
pub mod root;
