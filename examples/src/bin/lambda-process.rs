//! A `bootstrap`, unmodified, run by a worker in processes of its own. Any command that runs a runtime client will do,
//! such as `python3 -m awslambdaric app.handler`; here it is this very program, started again.

use aws_lambda_events::event::kinesis::KinesisEvent;
use examples::{say, shop};
use kcl_core::lambda::event::EventSource;
use kcl_core::lambda::mapping::{Mapping, MappingSettings};
use kcl_core::lambda::runtime_api::FunctionSettings;
use kcl_core::{Polling, Worker};
use kcl_lease::DynamoLeases;
use lambda_runtime::{LambdaEvent, service_fn};

async fn handler(event: LambdaEvent<KinesisEvent>) -> Result<(), lambda_runtime::Error> {
    let process = std::process::id();
    for record in event.payload.records {
        let order = std::str::from_utf8(&record.kinesis.data)?;
        say(format!(
            "process {process}: {} orders {order}",
            record.kinesis.partition_key
        ))?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let program = std::env::current_exe()?.display().to_string();
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        let served = lambda_runtime::run(service_fn(handler)).await;
        return served.map_err(|error| error as _);
    }
    let shop = shop(&[("ann", "250"), ("bob", "10"), ("eve", "1200"), ("ann", "5")]).await?;
    let orders = EventSource::new("arn:aws:kinesis:us-east-1:123456789012:stream/orders")?;
    let mapping = Mapping::new(orders, FunctionSettings::new("billing", [program]));
    let worker = Worker::builder("billing", "orders")
        .with_source(Polling::new(&shop.aws))
        .with_ownership(DynamoLeases::new(&shop.aws))
        .with_lambda_process(mapping.with_settings(MappingSettings {
            batch_size: 1,
            parallelization_factor: 2, // a process for each
            ..MappingSettings::default()
        }))
        .build()?;
    let a_while = tokio::time::sleep(std::time::Duration::from_secs(3));
    say(worker.run(a_while).await?)?;
    Ok(())
}
