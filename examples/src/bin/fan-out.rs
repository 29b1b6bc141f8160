//! Enhanced fan-out: records are pushed as they arrive. An emulator in this process, a worker that reads by
//! fan-out, is switched to polling and back while records flow, and takes its consumer with it when it
//! leaves.

use std::io::Write;
use std::time::Duration;

use kcl_core::{
    Batch, Checkpointer, Event, Polling, ProcessorResult, RecordProcessor, ShardContext, Worker,
};
use kcl_efo::{FanOut, Retrieval};
use kcl_lease::DynamoLeases;
use kinesis_emulator::Emulator;
use tokio::sync::mpsc;

struct Orders(mpsc::Sender<String>);

#[async_trait::async_trait]
impl RecordProcessor for Orders {
    async fn process_records(
        &mut self,
        _: &ShardContext,
        batch: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        for record in &batch.records {
            self.0
                .send(String::from_utf8(record.data.to_vec())?)
                .await?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let emulator = Emulator::start().await?;
    let aws = emulator.sdk_config(); // on AWS: aws_config::load_defaults(..)
    let kinesis = aws_sdk_kinesis::Client::new(&aws);
    let made = kinesis.create_stream().stream_name("orders").shard_count(1);
    made.send().await?;

    // Where fan-out is refused or keeps failing, the shard is polled until it works again.
    let fan_out = FanOut::new(&aws, "orders-app").with_fallback(Polling::new(&aws));
    let switch = fan_out.switch();
    let (seen, mut orders) = mpsc::channel(16);
    let worker = Worker::builder("orders-app", "orders")
        .with_source(fan_out.clone())
        .with_ownership(DynamoLeases::new(&aws))
        .with_processor(move |_| Orders(seen.clone()))
        .with_observer(|event: &Event| {
            if let Event::RetrievalChanged { shard, to, .. } = event {
                // A broken pipe is noticed where records are printed.
                drop(say(&format!("{shard} is read by {to:?} now")));
            }
        })
        .build()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run(async move { drop(stopped.await) }));

    for (number, way) in [Retrieval::FanOut, Retrieval::Polling, Retrieval::FanOut]
        .into_iter()
        .enumerate()
    {
        switch.to(way)?;
        for part in ["lemons", "nails"] {
            let order = format!("{part} {number}");
            let put = kinesis.put_record().stream_name("orders");
            let put = put.partition_key("key").data(order.into_bytes().into());
            put.send().await?;
            let order = tokio::time::timeout(Duration::from_secs(20), orders.recv()).await?;
            say(&order.ok_or("the worker ended early")?)?;
        }
    }
    drop(stop);
    say(&worker.await??.to_string())?;
    // A registered consumer costs money by the hour and shard, used or not.
    fan_out.deregister("orders").await?;
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}
