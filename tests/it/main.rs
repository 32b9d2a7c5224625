//! Tests of the whole server and of its stores, in one binary.

// `cfg(test)` is always true here; clippy takes its leave to unwrap in tests from it.
#[cfg(test)]
mod store;
