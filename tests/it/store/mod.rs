//! The stores, on real processes and files.

mod conformance;
mod embedded;
mod redis;
