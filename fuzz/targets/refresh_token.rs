//! Drives [`relatch_fuzz::refresh_token`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relatch_fuzz::refresh_token::look_at(data));
