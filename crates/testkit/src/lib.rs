//! What the tests of Relatch have in common.

pub mod clock;
pub mod conformance;
pub mod model_store;
pub mod redis_server;
pub mod wire;
