//! Handlers that are functions written for Lambda: they are handed events instead of records.

use aws_lambda_events::event::kinesis::KinesisEvent;
use aws_lambda_events::event::streams::KinesisEventResponse;
use base64_simd::STANDARD;
use kcl_core::lambda::event::EventSource;
use kcl_core::lambda::mapping::{Mapping, MappingSettings};
use kcl_core::lambda::on_failure::OnFailureMessage;
use kcl_core::lambda::runtime_api::FunctionSettings;
use kcl_core::model::ShardId;
use kcl_core::{BoxError, WorkerBuilder};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};

use super::{About, Errand, Handler};
use crate::sim::history::RecordId;
use crate::sim::processor::{id_in, id_of};
use crate::sim::scenario::{Door, Handling};
use crate::sim::world::STREAM;

impl Handler {
    pub(super) fn open_function(&self, builder: WorkerBuilder) -> WorkerBuilder {
        let of = self.clone();
        match self.door() {
            Door::Windows => {
                let function = service_fn(move |event: LambdaEvent<Value>| {
                    let of = of.clone();
                    async move { of.window(event.payload).await }
                });
                builder.with_lambda(self.mapping(), function)
            }
            Door::Record
            | Door::Batch
            | Door::Places
            | Door::Stream
            | Door::Function
            | Door::Reports => {
                let function = service_fn(move |event: LambdaEvent<KinesisEvent>| {
                    let of = of.clone();
                    async move { of.function(event.payload).await }
                });
                builder.with_lambda(self.mapping(), function)
            }
        }
    }

    fn mapping(&self) -> Mapping {
        let handling = &self.of.handling;
        let takes = |time| self.rate.takes(time);
        let arn = format!("arn:aws:kinesis:us-east-1:123456789012:stream/{STREAM}");
        let source = EventSource::new(arn).expect("an ARN");
        let mut function = FunctionSettings::in_process("billing");
        function.timeout = handling.call_max.map_or(function.timeout, takes);
        let settings = MappingSettings {
            batch_size: handling.batch,
            batching_window: takes(handling.wait),
            parallelization_factor: handling.lanes,
            lane_choice: handling.lane_choice,
            lane_commit: handling.lane_commit,
            bisect_batch_on_function_error: handling.bisect,
            maximum_retry_attempts: handling.policy.attempts().map(|attempts| attempts - 1),
            tumbling_window: handling.window,
            report_batch_item_failures: handling.door == Door::Reports,
            retry_delay_min: Handling::PAUSES.0,
            retry_delay_max: Handling::PAUSES.1,
            ..MappingSettings::default()
        };
        let of = self.clone();
        let mapping = Mapping::new(source, function).with_settings(settings);
        mapping.with_on_failure(move |message: OnFailureMessage| {
            let of = of.clone();
            async move { of.on_failure(message).await }
        })
    }

    async fn function(&self, event: KinesisEvent) -> Result<KinesisEventResponse, BoxError> {
        let ids = event
            .records
            .iter()
            .map(|it| id_in(&it.kinesis.data))
            .collect();
        let first = event.records.first().and_then(|it| it.event_id.as_deref());
        let shard = first.and_then(|id| id.split(':').next());
        let mut running = self.start(self.about(shard, Errand::Handle, ids, None));
        let mut response = KinesisEventResponse::default();
        for place in running.run(self.door()).await? {
            response.add_failure(event.records[place].kinesis.sequence_number.clone());
        }
        Ok(response)
    }

    /// A function with windows counts the records of each.
    async fn window(&self, event: Value) -> Result<Value, BoxError> {
        let records = event["Records"].as_array().map_or(&[][..], Vec::as_slice);
        let data = |it: &Value| {
            let text = it["kinesis"]["data"].as_str().unwrap_or_default();
            STANDARD.decode_to_vec(text).unwrap_or_default()
        };
        let ids: Vec<_> = records.iter().map(|it| id_in(&data(it))).collect();
        let errand = match event["isFinalInvokeForWindow"].as_bool() {
            Some(true) => Errand::Close,
            Some(false) | None => Errand::Handle,
        };
        let before = event["state"]["records"].as_u64().unwrap_or_default();
        let records = before + ids.len() as u64;
        let about = self.about(event["shardId"].as_str(), errand, ids, Some(before));
        self.start(about).run(self.door()).await?;
        Ok(json!({ "state": { "records": records } }))
    }

    async fn on_failure(&self, message: OnFailureMessage) -> Result<(), BoxError> {
        let document: Value = serde_json::from_slice(&message.document)?;
        let shard = document["KinesisBatchInfo"]["shardId"].as_str();
        let ids = message.records.iter().map(id_of).collect();
        let mut running = self.start(self.about(shard, Errand::GiveUp, ids, None));
        running.run(self.door()).await.map(drop)
    }

    fn about(
        &self,
        shard: Option<&str>,
        errand: Errand,
        ids: Vec<RecordId>,
        state: Option<u64>,
    ) -> About {
        // One that no event names is no shard of the run, which the rules say.
        let shard = ShardId::new(shard.unwrap_or("unnamed"));
        About {
            epoch: self.epoch(&shard),
            shard,
            // No function in this process is told.
            lane: None,
            errand,
            ids,
            state,
        }
    }
}
