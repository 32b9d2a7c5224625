//! Integration tests, all in one binary.

mod store;
