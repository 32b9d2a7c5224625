//! What a stranger can send, as targets of libFuzzer: each module has one `look_at`, which must neither panic nor find its
//! property broken, whatever the bytes.
//!
//! `make fuzz` runs them for long; docs/fuzzing.md has what they found. The tests of this crate look at every file of
//! `corpus/` without a fuzzer.

#![allow(clippy::missing_panics_doc, reason = "a panic is what a target tells the fuzzer")]

pub mod access_token;
pub mod connection;
pub mod device_token;
pub mod forwarded;
pub mod http;
pub mod password_hash;
pub mod refresh_token;
pub mod session_record;

use relatch_domain::MacKeyId;
use relatch_domain::mac::{MacKey, MacRing};

const MAC_KEY: MacKeyId = MacKeyId(1);

fn macs() -> MacRing {
    let key = MacKey::new(MAC_KEY, &[42; 32]);
    MacRing::new(key, Vec::new()).expect("one key has one id")
}
