//! The stores, on real processes and files.

mod audit;
mod cluster_conformance;
mod conformance;
mod embedded;
mod flawed;
mod key_lives;
mod redis;
