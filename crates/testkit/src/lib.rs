//! What the tests are built with: real servers, and proxies that count and cut.

pub mod redis_server;
pub mod wire;
