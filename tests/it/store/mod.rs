//! The stores, on real processes and files.

mod redis;
