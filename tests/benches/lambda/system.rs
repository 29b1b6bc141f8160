//! What `main.rs` measures, with the system's allocator.
//!
//! `cargo bench -p tests --bench lambda_system`

mod measure;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    measure::measure("the system's allocator").await
}
