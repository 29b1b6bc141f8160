//! Two streams in one worker, one of them added while it runs.

use std::io::Write;

use kcl_core::*;
use kcl_lease::DynamoLeases;
use kinesis_emulator::Emulator;
use tokio::sync::mpsc;

struct Tell(mpsc::Sender<String>);

#[async_trait]
impl RecordProcessor for Tell {
    async fn process_records(
        &mut self,
        shard: &ShardContext,
        batch: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        for record in &batch.records {
            let text = String::from_utf8(record.data.to_vec())?;
            self.0.send(format!("{}: {text}", shard.stream())).await?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let emulator = Emulator::start().await?; // stops when it is dropped
    let aws = emulator.sdk_config(); // on AWS: aws_config::load_defaults(..)
    let kinesis = aws_sdk_kinesis::Client::new(&aws);
    let (seen, mut records) = mpsc::channel(16);
    let streams = Streams::new();
    let worker = Worker::builder_for_streams("shop", streams.clone())
        .with_source(Polling::new(&aws))
        .with_ownership(DynamoLeases::new(&aws))
        .with_processor(move |_| Tell(seen.clone()))
        .build()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run(async move { drop(stopped.await) }));

    for (stream, text) in [("orders", "2 lemons"), ("clicks", "/lemons")] {
        let make = kinesis.create_stream().stream_name(stream);
        make.shard_count(2).send().await?;
        streams.add(stream, InitialPosition::TrimHorizon)?; // the worker is running already
        let put = kinesis.put_record().stream_name(stream).partition_key("k");
        put.data(text.as_bytes().to_vec().into()).send().await?;
        let record = records.recv().await.ok_or("the worker ended early")?;
        writeln!(std::io::stdout(), "{record}")?;
    }
    streams.remove("clicks"); // its shards are drained and given back
    drop(stop);
    writeln!(std::io::stdout(), "{}", worker.await??)?;
    Ok(())
}
