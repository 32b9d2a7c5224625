//! The only room that knows HTTP: reads requests, calls one use case, writes the answer.

pub mod account;
pub mod admin;
pub mod answer;
pub mod cookie;
pub mod cross_site;
pub mod crowding;
pub mod error;
pub mod exchange;
pub mod extract;
pub mod forwarded;
pub mod guarded;
pub mod hosts;
pub mod middleware;
pub mod openapi;
pub mod ops;
pub mod routes;
pub mod session;
pub mod timeline;
pub mod token;
mod unread_requests;

/// The module of the HTTP library that must not log: it calls every malformed request of a stranger an error.
pub const SILENT: &str = "actix_http::h1::dispatcher";
