//! A function that takes `KinesisEvent` in process beside a plain processor, both with mimalloc as the program's
//! allocator: that type owns ten texts for each record, so it is the allocator that is measured. To reach: 0.8.
//!
//! `cargo bench -p tests --bench lambda`; `--bench lambda_system` is the same with the system's allocator.

mod measure;

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    measure::measure("mimalloc").await
}
