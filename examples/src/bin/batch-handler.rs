//! A handler of batches that says which records failed: those alone come again, and are given up at the third attempt.

use examples::{say, shop};
use kcl_core::{
    BatchHandler, BatchOutcome, BoxError, FailedBatch, FailurePolicy, FailureSettings,
    HandlerBatch, Polling, Settings, Worker, async_trait,
};
use kcl_lease::DynamoLeases;

struct Billing;

#[async_trait]
impl BatchHandler for Billing {
    async fn handle(&self, batch: HandlerBatch) -> Result<BatchOutcome, BoxError> {
        let is_bad = |at: &usize| batch[*at].data.iter().any(|byte| !byte.is_ascii_digit());
        let records: Vec<_> = (0..batch.len()).filter(is_bad).collect();
        let attempt = batch.context().attempt();
        let (failed, all) = (records.len(), batch.len());
        say(format!("attempt {attempt}: {failed} of {all} failed"))?;
        let error = Some("not a number".into());
        Ok(BatchOutcome::Failed { records, error }) // the others are settled
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shop = shop(&[("ann", "250"), ("bob", "ten"), ("eve", "1200")]).await?;
    let failure = FailureSettings {
        policy: FailurePolicy::Divert,
        attempts_max: Some(3),
        ..FailureSettings::default()
    };
    let (failures, mut failed) = tokio::sync::mpsc::channel::<FailedBatch>(16);
    let worker = Worker::builder("billing", "orders")
        .with_source(Polling::new(&shop.aws))
        .with_ownership(DynamoLeases::new(&shop.aws))
        .with_batch_handler(Billing)
        .with_failure_destination(move |batch: FailedBatch| {
            let failures = failures.clone();
            async move { Ok(failures.send(batch).await?) } // `Ok` settles the records
        })
        .with_settings(Settings {
            failure,
            ..Settings::default()
        })
        .build()?;
    let until_one_failed = async {
        if let Some(batch) = failed.recv().await {
            let (why, records) = (batch.document.reason, &batch.records);
            drop(say(format!("given up, {why:?}: {records:?}")));
        }
    };
    say(worker.run(until_one_failed).await?)?;
    Ok(())
}
