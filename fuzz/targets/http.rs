//! Drives [`relatch_fuzz::http`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relatch_fuzz::http::look_at(data));
