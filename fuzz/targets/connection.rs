//! Drives [`relatch_fuzz::connection`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relatch_fuzz::connection::look_at(data));
