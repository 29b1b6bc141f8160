#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kinesis_emulator_fuzz::expressions(data));
