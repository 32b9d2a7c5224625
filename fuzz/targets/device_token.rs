//! Drives [`relatch_fuzz::device_token`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relatch_fuzz::device_token::look_at(data));
