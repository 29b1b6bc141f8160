//! What is fuzzed: seven functions from any bytes to nothing, which panic where the emulator breaks a
//! promise. The targets in `fuzz_targets/` hand them what the fuzzer makes up; `emulator/tests/corpus.rs`
//! includes these very files and hands them the corpus, as ordinary tests.
//!
//! They go through `kinesis_emulator::Service::serve` and nothing else, as every client does; only
//! `expressions` calls the tables, which is what `serve` does with such a request, and cheaper.

mod authorization;
mod cbor;
mod expressions;
mod frame;
mod frames;
mod http;
mod json;
mod rig;
mod tokens;

/// Defines the doors of the targets.
macro_rules! doors {
    ($($name:ident),*) => {
        $(pub fn $name(data: &[u8]) {
            $name::run(data);
        })*
    };
}

doors!(authorization, cbor, expressions, frames, http, json, tokens);
