//! The contract of lease stores at an engine that is not ours. `tests/interop/dynamo-peers/run` runs it
//! against the engines it starts; by hand, for any that speaks DynamoDB's API:
//!
//! ```sh
//! DYNAMODB_ENGINE=http://127.0.0.1:8000 cargo test -p kcl-lease --test engine -- --ignored
//! ```

use std::sync::atomic::{AtomicU32, Ordering};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::config::Credentials;
use kcl_lease::DynamoTable;

#[tokio::test]
#[ignore = "needs an engine, whose address it takes from DYNAMODB_ENGINE"]
async fn the_engine_keeps_the_contract() {
    let engine = std::env::var("DYNAMODB_ENGINE").expect("DYNAMODB_ENGINE is the address");
    let config = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(engine)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .load()
        .await;
    let client = aws_sdk_dynamodb::Client::new(&config);
    // The engine may have tables of a former run.
    let run = fastrand::u32(..);
    let tables = AtomicU32::new(0);
    kcl_lease::contract::lease_store(async || {
        let number = tables.fetch_add(1, Ordering::Relaxed);
        let name = format!("contract-{run:08x}-{number}");
        DynamoTable::new(client.clone(), client.clone(), name)
    })
    .await;
    let made = client.list_tables().send().await.unwrap();
    let ours = made
        .table_names()
        .iter()
        .filter(|name| name.starts_with("contract-"));
    assert_eq!(ours.count(), tables.load(Ordering::Relaxed) as usize);
}
