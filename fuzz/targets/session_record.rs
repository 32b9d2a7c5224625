//! Drives [`relatch_fuzz::session_record`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relatch_fuzz::session_record::look_at(data));
