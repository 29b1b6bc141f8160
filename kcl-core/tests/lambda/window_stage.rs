//! What the cases of tumbling windows share: a function that adds up numbers, or does what a case says.

use std::sync::{Arc, Mutex};

use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::lambda::mapping::MappingSettings;
use kcl_core::*;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::stage::{ARN, SECOND, Seen, does_nothing, mapping};

/// What a function was invoked with: start of the window in seconds, payloads, state, and its two marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) shard: String,
    pub(crate) window: String,
    pub(crate) texts: Vec<String>,
    pub(crate) sum: u64,
    pub(crate) is_final: bool,
    pub(crate) is_early: bool,
    pub(crate) at: u64,
}

pub(crate) fn call(window: &str, texts: &[&str], sum: u64, at: u64) -> Call {
    Call {
        shard: "s".to_owned(),
        window: window.to_owned(),
        texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        sum,
        is_final: texts.is_empty(),
        is_early: false,
        at,
    }
}

pub(crate) type Does = fn(&Call, usize) -> Result<Option<Value>, &'static str>;

/// Adds up numbers: what the function returns if a case does not say otherwise.
pub(crate) fn adds(call: &Call) -> Value {
    let sum: u64 = call
        .texts
        .iter()
        .filter_map(|text| text.parse::<u64>().ok())
        .sum();
    json!({"state": {"sum": call.sum + sum}})
}

#[derive(Clone, Default)]
pub(crate) struct Windows(Arc<Mutex<Vec<Call>>>);

impl Windows {
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn worker(
        &self,
        source: &ScriptedSource,
        leases: &FixedOwnership,
        settings: MappingSettings,
        does: Does,
    ) -> WorkerBuilder {
        let (calls, start) = (self.0.clone(), Instant::now());
        let function = service_fn(move |event: LambdaEvent<Value>| {
            let event = event.payload;
            assert_eq!(event["eventSourceARN"], ARN);
            let shard = event["shardId"].as_str().unwrap().to_owned();
            let texts = event["Records"].as_array().unwrap().iter().map(|record| {
                let number = record["kinesis"]["partitionKey"].as_str().unwrap();
                number.to_owned()
            });
            let call = Call {
                shard,
                window: event["window"]["start"].as_str().unwrap()[14..19].to_owned(),
                texts: texts.collect(),
                sum: event["state"]["sum"].as_u64().unwrap_or(0),
                is_final: event["isFinalInvokeForWindow"].as_bool().unwrap(),
                is_early: event["isWindowTerminatedEarly"].as_bool().unwrap(),
                at: start.elapsed().as_secs(),
            };
            let number = {
                let mut calls = calls.lock().unwrap();
                calls.push(call.clone());
                calls.len()
            };
            std::future::ready(match does(&call, number) {
                Ok(Some(said)) => Ok(said),
                Ok(None) => Ok(adds(&call)),
                Err(error) => Err(lambda_runtime::Error::from(error)),
            })
        });
        let seen = Seen::default();
        let worker = seen.worker(source, leases, mapping(settings.clone()), does_nothing);
        worker.with_lambda(mapping(settings), function)
    }
}

pub(crate) fn of(seconds: u32) -> MappingSettings {
    MappingSettings {
        tumbling_window: Some(SECOND * seconds),
        ..MappingSettings::default()
    }
}

/// Records with numbers for keys, as payloads are not looked at.
pub(crate) fn put(source: &ScriptedSource, numbers: &[&str]) {
    source.put_keyed("s", numbers.iter().map(|number| (*number, "")));
}

pub(crate) fn shard() -> (Windows, ScriptedSource, FixedOwnership) {
    (
        Windows::default(),
        ScriptedSource::new(),
        FixedOwnership::new(["s"]),
    )
}

pub(crate) fn durable(leases: &FixedOwnership) -> String {
    leases.checkpoint("s").unwrap().to_string()
}
