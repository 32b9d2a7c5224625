//! Drives [`relatch_fuzz::password_hash`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relatch_fuzz::password_hash::look_at(data));
