//! A function as it is deployed to AWS Lambda, run by a worker in this process: `handler` would be the same there.

use std::time::Duration;

use aws_lambda_events::event::kinesis::KinesisEvent;
use aws_lambda_events::event::streams::KinesisEventResponse;
use examples::{say, shop};
use kcl_core::lambda::event::EventSource;
use kcl_core::lambda::mapping::{Mapping, MappingSettings};
use kcl_core::lambda::on_failure::OnFailureMessage;
use kcl_core::lambda::runtime_api::FunctionSettings;
use kcl_core::{Polling, Worker};
use kcl_lease::DynamoLeases;
use lambda_runtime::{LambdaEvent, service_fn};

type Response = Result<KinesisEventResponse, lambda_runtime::Error>;

async fn handler(event: LambdaEvent<KinesisEvent>) -> Response {
    let mut response = KinesisEventResponse::default();
    for record in event.payload.records {
        let order = std::str::from_utf8(&record.kinesis.data)?;
        say(format!("{} orders {order}", record.kinesis.partition_key))?;
        if order.parse::<u32>().is_err() {
            response.add_failure(record.kinesis.sequence_number);
        }
    }
    Ok(response)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shop = shop(&[("ann", "250"), ("bob", "ten"), ("eve", "1200")]).await?;
    let orders = EventSource::new("arn:aws:kinesis:us-east-1:123456789012:stream/orders")?;
    let (failures, mut failed) = tokio::sync::mpsc::channel(16);
    let mapping = Mapping::new(orders, FunctionSettings::in_process("billing"))
        .with_settings(MappingSettings {
            report_batch_item_failures: true,
            bisect_batch_on_function_error: true,
            maximum_retry_attempts: Some(1),
            ..MappingSettings::default()
        })
        .with_on_failure(move |message: OnFailureMessage| {
            let failures = failures.clone();
            async move { Ok(failures.send(message.document).await?) } // `Ok` settles the records
        });
    let worker = Worker::builder("billing", "orders")
        .with_source(Polling::new(&shop.aws))
        .with_ownership(DynamoLeases::new(&shop.aws))
        .with_lambda(mapping, service_fn(handler))
        .build()?;
    let until_one_failed = async {
        if let Some(document) = failed.recv().await {
            drop(say(String::from_utf8_lossy(&document)));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    say(worker.run(until_one_failed).await?)?;
    Ok(())
}
