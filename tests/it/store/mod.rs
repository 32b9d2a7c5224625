//! The stores, on real processes and files.

mod audit;
mod conformance;
mod embedded;
mod redis;
