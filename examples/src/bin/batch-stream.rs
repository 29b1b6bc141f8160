//! Batches as a stream: the worker runs beside a loop that takes batches and acknowledges them. What is dropped without
//! a word comes again.

use examples::{say, shop};
use futures::StreamExt;
use kcl_core::{Polling, Worker};
use kcl_lease::DynamoLeases;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shop = shop(&[("ann", "250"), ("bob", "80"), ("eve", "1200")]).await?;
    let (builder, mut batches) = Worker::builder("billing", "orders")
        .with_source(Polling::new(&shop.aws))
        .with_ownership(DynamoLeases::new(&shop.aws))
        .with_batch_stream();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async move { drop(stopped.await) };
    let worker = tokio::spawn(builder.build()?.run(shutdown));

    let mut seen = 0;
    while let Some(batch) = batches.next().await {
        let attempt = batch.context().attempt();
        say(format!(
            "attempt {attempt}: {} orders",
            batch.records().len()
        ))?;
        if attempt == 1 {
            continue; // dropped without a word: it has failed, and comes again
        }
        for record in batch.records() {
            say(format!("{}: {:?}", record.partition_key, record.data))?;
        }
        seen += batch.records().len();
        batch.ack()?; // settles all of it
        if seen == 3 {
            break;
        }
    }

    drop(stop);
    say(worker.await??)?;
    Ok(())
}
