//! Tests of the whole server and of its stores, in one binary.

mod store;
