//! Functions written for AWS Lambda: what is given for them, and how the worker is set for it.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use lambda_runtime::{Diagnostic, IntoFunctionResponse, LambdaEvent, Service};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Front, Given, WorkerBuilder};
use crate::error::Problem;
use crate::lambda::mapping::Mapping;
use crate::lambda::on_failure::Documents;
use crate::model::InitialPosition;
use crate::run::door::Filter;
use crate::run::lambda::{Function, InProcess, LambdaDoor, Processes};

impl WorkerBuilder {
    /// Invokes this function with batches of records, as AWS Lambda's event source mapping does: `docs/lambda.md`.
    /// It is what `lambda_runtime::run` takes, unchanged, and runs in this process; one that takes `KinesisEvent` gets
    /// it without a way through JSON. `FunctionSettings::timeout` is how long an invocation may take.
    ///
    /// One service serves all shards and lanes. What it does before it gives its future back is done for one invocation at a
    /// time; the futures run beside each other. An `async fn` does nothing before.
    ///
    /// The mapping says what [`Settings`](crate::Settings) say elsewhere under `handler` and `failure`, but for
    /// `handler.unsettled_records_max`, `handler.unsettled_bytes_max` and `failure.call_max`, which limits the mapping's
    /// failure destination. A mapping is of one stream, so this is not for a worker of several. It cannot start at a time
    /// that is yet to come.
    ///
    /// ```
    /// use aws_lambda_events::event::kinesis::KinesisEvent;
    /// use kcl_core::contract::{FixedOwnership, ScriptedSource};
    /// use kcl_core::lambda::event::EventSource;
    /// use kcl_core::lambda::mapping::Mapping;
    /// use kcl_core::lambda::runtime_api::FunctionSettings;
    /// use kcl_core::*;
    /// use lambda_runtime::{LambdaEvent, service_fn};
    ///
    /// async fn handler(event: LambdaEvent<KinesisEvent>) -> Result<(), lambda_runtime::Error> {
    ///     for record in event.payload.records {
    ///         println!("{:?} {:?}", record.event_id, record.kinesis.data);
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Error> {
    /// let source = ScriptedSource::new();
    /// source.put("shard-0", ["one", "two"]);
    /// source.close("shard-0", &[]);
    ///
    /// let orders = EventSource::new("arn:aws:kinesis:eu-west-1:123456789012:stream/orders")?;
    /// let worker = Worker::builder("app", "orders")
    ///     .with_source(source)
    ///     .with_ownership(FixedOwnership::new(["shard-0"]))
    ///     .with_lambda(Mapping::new(orders, FunctionSettings::in_process("billing")), service_fn(handler))
    ///     .build()?;
    /// let report = worker.run(std::future::pending()).await?;
    /// assert_eq!(report.records, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_lambda<A, F, R, B, S, D, E>(self, mapping: Mapping, function: F) -> Self
    where
        F: Service<LambdaEvent<A>, Response = R> + Send + 'static,
        F::Future: Future<Output = Result<R, F::Error>> + Send,
        F::Error: Into<Diagnostic> + Debug,
        A: DeserializeOwned + Send + 'static,
        R: IntoFunctionResponse<B, S> + Send + 'static,
        B: Serialize + Send + 'static,
        S: Stream<Item = Result<D, E>> + Unpin + Send + 'static,
        D: Into<Bytes> + Send + 'static,
        E: Into<lambda_runtime::Error> + Send + Debug + 'static,
    {
        let mapping = Arc::new(mapping);
        let function: Arc<dyn Function> =
            Arc::new(InProcess::<A, F, B, S>::new(mapping.clone(), function));
        let of_shard = mapping.clone();
        let mut builder = self.front(Front::Handler(Arc::new(move |env| {
            Arc::new(LambdaDoor::new(of_shard.clone(), function.clone(), env))
        })));
        builder.mapping = Some((mapping, Runs::InProcess));
        builder
    }

    /// As [`with_lambda`](Self::with_lambda), with a function in a process of its own: the command of
    /// [`FunctionSettings`](crate::lambda::runtime_api::FunctionSettings), in any language, unmodified. Each lane of each
    /// shard has a process, which is started with its first invocation, started again when it dies, and killed at its
    /// timeout and when the shard is given back.
    pub fn with_lambda_process(self, mapping: Mapping) -> Self {
        let mapping = Arc::new(mapping);
        let of_shard = mapping.clone();
        let mut builder = self.front(Front::Handler(Arc::new(move |env| {
            let processes = Arc::new(Processes::new(of_shard.clone(), env));
            Arc::new(LambdaDoor::new(of_shard.clone(), processes, env))
        })));
        builder.mapping = Some((mapping, Runs::Processes));
        builder
    }

    /// Sets the worker to what the mapping says, if there is one. What is wrong about it.
    pub(super) fn apply_mapping(&mut self) -> Vec<Problem> {
        let Some((mapping, runs)) = &self.mapping else {
            return Vec::new();
        };
        let mut problems = mapping.problems(&self.settings);
        problems.extend(match runs {
            Runs::InProcess => mapping.function.problems_in_process(),
            Runs::Processes => mapping.function.problems(),
        });
        problems.extend(other_stream(mapping, &self.streams));
        if let Some(InitialPosition::AtTimestamp(time)) = self.initial_position
            && time > self.env.wall()
        {
            let rule = "is yet to come, which a mapping cannot start at; give a time that has been";
            problems.push(Problem::new("initial_position", rule));
        }
        if self.destination.is_some() {
            let rule =
                "is the mapping's with a Lambda function; give it by Mapping::with_on_failure";
            problems.push(Problem::new("failure_destination", rule));
        }
        mapping.apply(&mut self.settings);
        let documents = Documents::new(mapping.clone(), self.env.rng());
        self.destination = Some(Arc::new(documents));
        if let Some(criteria) = &mapping.filter {
            let (criteria, other) = (criteria.clone(), self.filter.take());
            let keep: Filter = Arc::new(move |record| {
                other.as_ref().is_none_or(|keep| keep(record)) && criteria.matches(record)
            });
            self.filter = Some(keep);
        }
        problems
    }
}

/// What is wrong with reading these streams for a mapping: its events name one, and must not name another.
fn other_stream(mapping: &Mapping, streams: &Given) -> Option<Problem> {
    let named = mapping.source.stream_name();
    match streams {
        Given::One(stream) if stream == named => None,
        Given::One(stream) => {
            let rule = format!(
                "is of stream {named}, and this worker reads stream {stream}; give both the same"
            );
            Some(Problem::new("lambda.source", rule))
        }
        Given::Several(_) => {
            let rule = "are not for a mapping, which names one stream in its events; give each stream a worker and an \
                        application of its own";
            Some(Problem::new("streams", rule))
        }
    }
}

/// Where a function runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Runs {
    InProcess,
    Processes,
}
