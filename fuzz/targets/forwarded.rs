//! Drives [`relatch_fuzz::forwarded`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relatch_fuzz::forwarded::look_at(data));
