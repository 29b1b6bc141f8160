//! A closure for each record, in eight lanes: customers are served side by side, each in order. What cannot be read is
//! tried three times and then kept in a file, with the reason, and holds up nobody but its own customer.

use examples::{say, shop};
use kcl_core::{FailurePolicy, HandlerContext, JsonLinesFile, Polling, Record, Settings, Worker};
use kcl_lease::DynamoLeases;
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shop = shop(&[
        ("ann", "250"),
        ("bob", "ten"),
        ("eve", "1200"),
        ("bob", "75"),
    ])
    .await?;
    let kept = std::env::temp_dir().join("orders-that-failed.jsonl");
    let mut settings = Settings::default();
    settings.handler.lanes = 8;
    settings.failure.policy = FailurePolicy::Divert;
    settings.failure.attempts_max = Some(3);

    let (lines, mut printed) = mpsc::channel(16);
    let worker = Worker::builder("billing", "orders")
        .with_source(Polling::new(&shop.aws))
        .with_ownership(DynamoLeases::new(&shop.aws))
        .with_record_handler(move |record: Record, _: HandlerContext| {
            let lines = lines.clone();
            async move {
                let cents: u32 = std::str::from_utf8(&record.data)?.parse()?;
                let customer = &record.partition_key;
                lines.send(format!("{customer} owes {cents}")).await?;
                Ok(()) // settles this record
            }
        })
        .with_failure_destination(JsonLinesFile::new(&kept))
        .with_settings(settings)
        .build()?;

    let three_lines = async {
        for _ in 0..3 {
            drop(printed.recv().await.map(say));
        }
    };
    say(worker.run(three_lines).await?)?;
    say(format!("what failed is in {}", kept.display()))?;
    Ok(())
}
