//! An event source mapping: how records of a stream become invocations of a function, and what follows when one fails.
//! Data and checks, and how the engine is to be set for it; [`WorkerBuilder::with_lambda`](crate::WorkerBuilder) has it
//! driven.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::destination::Payload;
use super::event::{EMPTY_EVENT_BYTES, EventSource, PAYLOAD_BYTES_MAX};
use super::filter::FilterCriteria;
use super::on_failure::OnFailure;
use super::runtime_api::FunctionSettings;
use super::window::{self, FinalInvocation};
use crate::error::Problem;
use crate::settings::{
    DecodeSettings, FailurePolicy, FailureSettings, HandlerSettings, LaneChoice, LaneCommit,
    Settings, optional_text, text,
};

/// What becomes of a record that is too large for any event: 6 MiB, base64 and all. A stream can have records of 10 MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TooLargeRecord {
    /// It is given up without an invocation, with the reason `RecordTooLarge`.
    #[default]
    GiveUp,
    /// The function is invoked with it alone. Nothing here needs an event to be smaller; Lambda does.
    Invoke,
}

/// What can be set on a mapping. The names and the defaults are Lambda's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MappingSettings {
    /// `BatchSize`: records in one invocation, at most: 1 to 10,000. Default 100. An event has at most 6 MiB beside that,
    /// but for a single record with [`TooLargeRecord::Invoke`].
    pub batch_size: usize,
    /// `MaximumBatchingWindowInSeconds`: how long the first record of a batch that is not full waits for others: up to
    /// 300 s. Default 0: a batch is what is there.
    #[serde(with = "text")]
    pub batching_window: Duration,
    /// `ParallelizationFactor`: invocations for one shard at once: 1 to 10. Default 1. Records with one partition key
    /// are in one at a time.
    pub parallelization_factor: usize,
    /// Which of those invocations a record goes to. Default: whichever comes next. With
    /// [`LaneChoice::ByKey`] a process of a function sees all records of its keys. Lambda's is a hash that is not
    /// documented.
    pub lane_choice: LaneChoice,
    /// Up to where a shard is committed while several of them run. Default: before the oldest record that is not
    /// processed. Lambda's is not documented.
    pub lane_commit: LaneCommit,
    /// `BisectBatchOnFunctionError`: whether a batch that failed comes again in halves. Default no. A cut does not use
    /// up an attempt.
    pub bisect_batch_on_function_error: bool,
    /// `MaximumRetryAttempts`: how often a batch that failed comes again: up to 10,000; 0 is never. Default: as often as
    /// it takes (Lambda's -1). Each invocation counts that reached the function.
    pub maximum_retry_attempts: Option<u32>,
    /// `MaximumRecordAgeInSeconds`: records that are older are given up: 60 s to seven days. Default: however old
    /// (Lambda's -1).
    #[serde(with = "optional_text")]
    pub maximum_record_age: Option<Duration>,
    /// `TumblingWindowInSeconds`: windows of this length, up to 900 whole seconds, with a state that goes from one
    /// invocation to the next. Default: none (Lambda's 0). Not together with a parallelization factor.
    #[serde(with = "optional_text")]
    pub tumbling_window: Option<Duration>,
    /// What the last invocation of a window has beside the state. Default: nothing. Lambda's is not documented.
    pub final_invocation: FinalInvocation,
    /// What becomes of a record that fits into no event. Default: it is given up. Lambda's is not documented.
    pub too_large_record: TooLargeRecord,
    /// `FunctionResponseTypes` with `ReportBatchItemFailures`: whether the response says which records failed. Default
    /// no: the response says nothing.
    pub report_batch_item_failures: bool,
    /// The first pause before a batch comes again, at most. Default 100 ms. It doubles with each failure in a row and is
    /// drawn evenly between nothing and that bound. Lambda's is not documented.
    #[serde(with = "text")]
    pub retry_delay_min: Duration,
    /// The longest such pause. Default 60 s.
    #[serde(with = "text")]
    pub retry_delay_max: Duration,
}

impl Default for MappingSettings {
    fn default() -> Self {
        Self {
            batch_size: 100,
            batching_window: Duration::ZERO,
            parallelization_factor: 1,
            lane_choice: LaneChoice::Free,
            lane_commit: LaneCommit::Record,
            bisect_batch_on_function_error: false,
            maximum_retry_attempts: None,
            maximum_record_age: None,
            tumbling_window: None,
            final_invocation: FinalInvocation::Empty,
            too_large_record: TooLargeRecord::GiveUp,
            report_batch_item_failures: false,
            retry_delay_min: Duration::from_millis(100),
            retry_delay_max: Duration::from_secs(60),
        }
    }
}

impl MappingSettings {
    /// What is wrong, all at once.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let (minute, week) = (Duration::from_secs(60), Duration::from_secs(604_800));
        let day = Duration::from_secs(24 * 60 * 60);
        let rules = [
            (
                (1..=10_000).contains(&self.batch_size),
                "batch_size",
                "must be 1 to 10,000",
            ),
            (
                self.batching_window <= Duration::from_secs(300),
                "batching_window",
                "must be at most 300 s",
            ),
            (
                (1..=10).contains(&self.parallelization_factor),
                "parallelization_factor",
                "must be 1 to 10",
            ),
            (
                self.maximum_retry_attempts.is_none_or(|max| max <= 10_000),
                "maximum_retry_attempts",
                "must be at most 10,000; leave it out for no limit",
            ),
            (
                self.maximum_record_age
                    .is_none_or(|age| (minute..=week).contains(&age)),
                "maximum_record_age",
                "must be 60 s to seven days; leave it out for no limit",
            ),
            (
                !self.retry_delay_min.is_zero(),
                "retry_delay_min",
                "must be more than 0",
            ),
            (
                (self.retry_delay_min..=day).contains(&self.retry_delay_max),
                "retry_delay_max",
                "must be at least retry_delay_min and at most one day",
            ),
            (
                self.final_invocation == FinalInvocation::Empty || self.tumbling_window.is_some(),
                "final_invocation",
                "is about windows; set tumbling_window, or leave it out",
            ),
        ];
        let broken = rules.into_iter().filter(|(ok, ..)| !ok);
        let broken =
            broken.map(|(_, setting, rule)| Problem::new(format!("lambda.{setting}"), rule));
        let window = self.tumbling_window;
        let windows = window.map(|length| window::problems(length, self.parallelization_factor));
        broken.chain(windows.into_iter().flatten()).collect()
    }
}

/// A function behind a stream. Cheap to clone.
///
/// ```
/// use kcl_core::lambda::event::EventSource;
/// use kcl_core::lambda::filter::FilterCriteria;
/// use kcl_core::lambda::mapping::{Mapping, MappingSettings};
/// use kcl_core::lambda::runtime_api::FunctionSettings;
///
/// # fn main() -> Result<(), kcl_core::Error> {
/// let orders = EventSource::new("arn:aws:kinesis:eu-west-1:123456789012:stream/orders")?;
/// let mapping = Mapping::new(orders, FunctionSettings::in_process("billing"))
///     .with_settings(MappingSettings { batch_size: 500, ..MappingSettings::default() })
///     .with_filter(FilterCriteria::new([r#"{"data": {"status": ["paid"]}}"#])?);
/// # drop(mapping);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Mapping {
    pub(crate) source: EventSource,
    pub(crate) function: FunctionSettings,
    pub(crate) settings: MappingSettings,
    pub(crate) filter: Option<FilterCriteria>,
    pub(crate) on_failure: Option<Arc<dyn OnFailure>>,
    pub(crate) payload: Payload,
    pub(crate) age_condition: Option<String>,
    pub(crate) too_large_condition: Option<String>,
    pub(crate) id: String,
}

impl Mapping {
    /// This function gets the records of this stream.
    #[must_use]
    pub fn new(source: EventSource, function: FunctionSettings) -> Self {
        Self {
            source,
            function,
            settings: MappingSettings::default(),
            filter: None,
            on_failure: None,
            payload: Payload::default(),
            age_condition: None,
            too_large_condition: None,
            id: "00000000-0000-0000-0000-000000000000".to_owned(),
        }
    }

    /// Other settings than the defaults.
    #[must_use]
    pub fn with_settings(mut self, settings: MappingSettings) -> Self {
        self.settings = settings;
        self
    }

    /// `FilterCriteria`: only these records reach the function. The others count as processed.
    #[must_use]
    pub fn with_filter(mut self, filter: FilterCriteria) -> Self {
        self.filter = Some(filter);
        self
    }

    /// `DestinationConfig.OnFailure`: takes the documents about records that are given up. Without it they are skipped,
    /// and an event tells of it.
    #[must_use]
    pub fn with_on_failure(mut self, destination: impl OnFailure) -> Self {
        self.on_failure = Some(Arc::new(destination));
        self
    }

    /// Whether those documents have the records in them. Default: no, as for a queue or a topic.
    #[must_use]
    pub fn with_payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// The word those documents have for records that were too old. Default: `RecordAgeExceeded`.
    #[must_use]
    pub fn with_age_condition(mut self, word: impl Into<String>) -> Self {
        self.age_condition = Some(word.into());
        self
    }

    /// The word those documents have for a record that fits into no invocation. Default: `RequestEntityTooLarge`, which is
    /// ours: AWS's is not documented.
    #[must_use]
    pub fn with_too_large_condition(mut self, word: impl Into<String>) -> Self {
        self.too_large_condition = Some(word.into());
        self
    }

    /// The mapping's UUID, which is in the names of those documents. Default: zeros.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Whether the response is read at all.
    pub(crate) const fn reads_response(&self) -> bool {
        self.settings.report_batch_item_failures || self.settings.tumbling_window.is_some()
    }

    /// What is wrong, with the mapping or with what the worker is set to beside it.
    pub(crate) fn problems(&self, worker: &Settings) -> Vec<Problem> {
        let mut problems = self.settings.problems();
        let handler = HandlerSettings {
            unsettled_records_max: worker.handler.unsettled_records_max,
            unsettled_bytes_max: worker.handler.unsettled_bytes_max,
            ..HandlerSettings::default()
        };
        let failure = FailureSettings {
            call_max: worker.failure.call_max,
            ..FailureSettings::default()
        };
        if worker.handler != handler {
            let rule = "is the mapping's with a Lambda function, but for unsettled_records_max and unsettled_bytes_max";
            problems.push(Problem::new("handler", rule));
        }
        if worker.failure != failure {
            let rule = "is the mapping's with a Lambda function, but for call_max, which limits the failure destination";
            problems.push(Problem::new("failure", rule));
        }
        problems
    }

    /// How much an event has room for beside what each has.
    pub(crate) fn records_bytes_max(&self) -> usize {
        let reserved = self
            .settings
            .tumbling_window
            .map_or(0, |_| window::RESERVE_BYTES);
        PAYLOAD_BYTES_MAX - EMPTY_EVENT_BYTES - reserved
    }

    /// Sets the engine to what the mapping says.
    pub(crate) fn apply(&self, worker: &mut Settings) {
        let mapping = &self.settings;
        worker.decode = DecodeSettings { deaggregate: false };
        worker.handler = HandlerSettings {
            lanes: mapping.parallelization_factor,
            lane_choice: mapping.lane_choice,
            lane_commit: mapping.lane_commit,
            batch_records_max: mapping.batch_size,
            batch_bytes_max: self.records_bytes_max(),
            batch_window: mapping.batching_window,
            ..worker.handler.clone()
        };
        worker.failure = FailureSettings {
            policy: FailurePolicy::Divert,
            delay_min: mapping.retry_delay_min,
            delay_max: mapping.retry_delay_max,
            attempts_max: mapping
                .maximum_retry_attempts
                .map(|max| max.saturating_add(1)),
            age_max: mapping.maximum_record_age,
            bisect: mapping.bisect_batch_on_function_error,
            call_max: worker.failure.call_max,
        };
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("source", &self.source)
            .field("function", &self.function)
            .field("settings", &self.settings)
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}
