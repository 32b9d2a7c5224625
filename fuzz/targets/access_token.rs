//! Drives [`relatch_fuzz::access_token`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relatch_fuzz::access_token::look_at(data));
