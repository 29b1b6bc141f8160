#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kcl_core_fuzz::aggregates(data));
