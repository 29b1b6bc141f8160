//! The smallest whole program: an emulator in this process, a stream, a worker, and ten lines that
//! process records.

use std::io::Write;

use kcl_core::{
    Batch, Checkpointer, Polling, ProcessorResult, RecordProcessor, ShardContext, Worker,
};
use kcl_lease::DynamoLeases;
use kinesis_emulator::Emulator;
use tokio::sync::mpsc;

struct Orders(mpsc::Sender<String>);

#[async_trait::async_trait]
impl RecordProcessor for Orders {
    async fn process_records(
        &mut self,
        shard: &ShardContext,
        batch: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        for record in &batch.records {
            let order = String::from_utf8(record.data.to_vec())?;
            self.0.send(format!("{}: {order}", shard.shard())).await?;
        }
        Ok(()) // acknowledges the batch; the worker writes the checkpoint
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let emulator = Emulator::start().await?; // stops when it is dropped
    let aws = emulator.sdk_config(); // on AWS: aws_config::load_defaults(..)
    let kinesis = aws_sdk_kinesis::Client::new(&aws);
    kinesis
        .create_stream()
        .stream_name("orders")
        .shard_count(2)
        .send()
        .await?;

    let (seen, mut orders) = mpsc::channel(16);
    let worker = Worker::builder("orders-app", "orders")
        .with_source(Polling::new(&aws))
        .with_ownership(DynamoLeases::new(&aws))
        .with_processor(move |_| Orders(seen.clone()))
        .build()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run(async move { drop(stopped.await) }));

    for order in ["2 lemons", "1 lamp", "40 nails"] {
        let put = kinesis
            .put_record()
            .stream_name("orders")
            .partition_key(order);
        put.data(order.as_bytes().to_vec().into()).send().await?;
    }
    for _ in 0..3 {
        say(&orders.recv().await.ok_or("the worker ended early")?)?;
    }
    drop(stop);
    say(&worker.await??.to_string())?;
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}
