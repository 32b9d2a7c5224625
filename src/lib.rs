//! Relatch: access and refresh tokens, issued, rotated and revoked by one binary over Redis or an embedded store.
//!
//! The way of a request: `http` reads it, `app` orders the I/O of one use case, `relatch_domain` decides, `store`
//! commits in one atomic step, `http` writes the answer.

pub mod ambient;
pub mod app;
pub mod arrivals;
pub mod budgets;
pub mod cli;
pub mod doctor;
pub mod files;
pub mod http;
pub mod keys;
mod near;
pub mod operator;
pub mod rfc3339;
pub mod settings;
pub mod startup;
pub mod store;
pub mod telemetry;
