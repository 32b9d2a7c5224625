//! The tests of the whole: over HTTP, on real stores, of real processes. One binary, so that it links once.

// `cfg(test)` is always true here; clippy takes its leave to unwrap in tests from it.
#[cfg(test)]
mod api;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod fault;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod store;
