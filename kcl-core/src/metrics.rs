//! The events of a worker as metrics, under the KCL's names, through the facade `metrics`. Feature
//! `metrics`.
//!
//! It is an observer like any other and knows nothing but events. `docs/metrics.md` lists every name
//! with its unit and meaning, and which names of the KCL are not given and why.

mod names;

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Label, counter, gauge, histogram};

use crate::event::{CallOutcome, Callback, Event, Observer, Origin, Plan, ReadCall, ReadFailure};
use crate::event::{HandOverReason, Refusal, Retrieval, StopReason};
use crate::model::ShardId;

/// Counts and times what a worker does, for whatever recorder the program has installed.
///
/// ```
/// # fn main() -> Result<(), kcl_core::Error> {
/// # use kcl_core::contract::{FixedOwnership, ScriptedSource};
/// # use kcl_core::*;
/// # struct Ignore;
/// # #[async_trait]
/// # impl RecordProcessor for Ignore {
/// #     async fn process_records(
/// #         &mut self, _: &ShardContext, _: &Batch, _: &Checkpointer,
/// #     ) -> ProcessorResult { Ok(()) }
/// # }
/// let worker = Worker::builder("app", "stream")
/// #     .with_source(ScriptedSource::new())
/// #     .with_ownership(FixedOwnership::new(["shard-0"]))
/// #     .with_processor(|_: &ShardContext| Ignore)
///     .with_observer(MetricsObserver::default())
///     .build()?;
/// # Ok(())
/// # }
/// ```
///
/// The recorder must be installed before the worker runs. Without one nothing is counted.
#[derive(Debug, Default)]
pub struct MetricsObserver {
    described: OnceLock<()>,
    counts_events: bool,
}

impl MetricsObserver {
    /// Counts as well what Lambda counts of an event source mapping, under its names: `PolledEventCount`,
    /// `FilteredOutEventCount`, `InvokedEventCount`, `FailedInvokeEventCount` and `DroppedEventCount`. Default: no, as with
    /// Lambda, whose mappings do so if their `MetricsConfig` has `EventCount`.
    #[must_use]
    pub const fn with_event_count(mut self) -> Self {
        self.counts_events = true;
        self
    }

    /// Counts records under a name of Lambda's, if that is wanted.
    fn count_events(&self, name: &'static str, origin: &Origin, shard: &ShardId, records: usize) {
        if self.counts_events {
            counter!(name, of_shard(origin, PROCESS, shard)).increment(records as u64);
        }
    }
}

const PROCESS: &str = "ProcessTask";
const INITIALIZE: &str = "InitializeTask";
const SHUTDOWN: &str = "ShutdownTask";
const RENEW: &str = "RenewAllLeases";
const TAKE: &str = "TakeLeases";

impl Observer for MetricsObserver {
    #[expect(clippy::too_many_lines, reason = "one line for each event")]
    fn on_event(&self, origin: &Origin, event: &Event) {
        self.described.get_or_init(names::describe);
        match event {
            Event::LifeRenewed { took, late, .. } => {
                succeeded("RenewLease", true, Some(*took), of_worker(origin, RENEW));
                if *late {
                    counter!("LateRenewals", of_worker(origin, RENEW)).increment(1);
                }
            }
            Event::RenewalFailed { took, .. } => {
                succeeded("RenewLease", false, Some(*took), of_worker(origin, RENEW));
            }
            Event::LifeLost { .. } => {
                counter!("LivesLost", of_worker(origin, RENEW)).increment(1);
            }
            Event::Planned(plan) => planned(plan, origin),
            Event::LeaseTaken { took, .. } => {
                counter!("TakenLeases", of_worker(origin, TAKE)).increment(1);
                succeeded("TakeLease", true, Some(*took), of_worker(origin, TAKE));
            }
            Event::LeaseNotTaken { error, took, .. } => {
                let answered = error.is_none();
                if answered {
                    counter!("UntakenLeases", of_worker(origin, TAKE)).increment(1);
                }
                succeeded("TakeLease", answered, Some(*took), of_worker(origin, TAKE));
            }
            Event::ShardStarted { .. } => {
                gauge!("CurrentLeases", of_worker(origin, RENEW)).increment(1);
            }
            Event::ShardStopped { shard, how, .. } => {
                gauge!("CurrentLeases", of_worker(origin, RENEW)).decrement(1);
                if *how == StopReason::Lost {
                    counter!("LostLeases", of_worker(origin, RENEW)).increment(1);
                }
                // Nobody here is behind on it any more, and whoever is now says so himself.
                gauge!("MillisBehindLatest", of_shard(origin, PROCESS, shard)).set(0);
                loaded(origin, shard, [0; 3], None);
            }
            Event::IteratorMade { shard, took } => {
                let name = "KinesisDataFetcher.getShardIterator";
                succeeded(name, true, Some(*took), of_shard(origin, PROCESS, shard));
            }
            Event::PageRead {
                shard,
                took,
                records,
                ..
            } => {
                self.count_events("PolledEventCount", origin, shard, *records);
                let name = "KinesisDataFetcher.getRecords";
                succeeded(name, true, Some(*took), of_shard(origin, PROCESS, shard));
            }
            Event::ReadFailed {
                shard,
                call,
                why,
                took,
                ..
            } => {
                let name = match call {
                    ReadCall::GetShardIterator => Some("KinesisDataFetcher.getShardIterator"),
                    ReadCall::GetRecords => Some("KinesisDataFetcher.getRecords"),
                    ReadCall::SubscribeToShard => Some("SubscribeToShard"),
                    // Asked once for all shards of a stream, so it is nothing to count for each.
                    ReadCall::FindConsumer => None,
                };
                if let Some(name) = name {
                    succeeded(name, false, Some(*took), of_shard(origin, PROCESS, shard));
                }
                match why {
                    ReadFailure::Iterator => {
                        counter!("ExpiredIterator", of_shard(origin, PROCESS, shard)).increment(1);
                    }
                    ReadFailure::Silent => {
                        let labels = of_shard(origin, PROCESS, shard);
                        counter!("SilentSubscriptions", labels).increment(1);
                    }
                    ReadFailure::Throttled
                    | ReadFailure::Unavailable
                    | ReadFailure::InUse
                    | ReadFailure::Malformed
                    | ReadFailure::Refused => {}
                }
            }
            Event::Subscribed { shard, took } => {
                let labels = of_shard(origin, PROCESS, shard);
                succeeded("SubscribeToShard", true, Some(*took), labels);
            }
            Event::EventRead { shard, records, .. } => {
                self.count_events("PolledEventCount", origin, shard, *records);
                let labels = of_shard(origin, PROCESS, shard);
                counter!("SubscribeToShardEvent.Records", labels).increment(*records as u64);
            }
            Event::RetrievalChanged { shard, to, .. } => {
                let polls = u8::from(*to == Retrieval::Polling);
                gauge!("FallenBack", of_shard(origin, PROCESS, shard)).set(f64::from(polls));
            }
            Event::RecordsDelivered {
                shard,
                lag,
                records,
                ..
            } => {
                self.count_events("InvokedEventCount", origin, shard, *records);
                if let Some(lag) = lag {
                    let labels = of_shard(origin, PROCESS, shard);
                    gauge!("MillisBehindLatest", labels).set(millis(*lag));
                }
            }
            Event::RecordsProcessed {
                shard,
                records,
                bytes,
                ..
            } => {
                let labels = || of_shard(origin, PROCESS, shard);
                counter!("RecordsProcessed", labels()).increment(*records as u64);
                counter!("DataBytesProcessed", labels()).increment(*bytes as u64);
            }
            Event::CallReturned {
                shard,
                call,
                outcome,
                took,
                age,
                ..
            } => {
                returned(origin, shard, *call, *outcome, *took);
                if let Some(age) = age {
                    histogram!("IteratorAge", of_shard(origin, PROCESS, shard))
                        .record(millis(*age));
                }
            }
            Event::CheckpointMade { shard, took, .. }
            | Event::CheckpointPrepared { shard, took, .. } => {
                let labels = of_shard(origin, PROCESS, shard);
                succeeded("UpdateLease", true, Some(*took), labels);
            }
            Event::CheckpointRefused { shard, why, .. } => match why {
                // Nothing was written.
                Refusal::Invalid(_) => {}
                Refusal::Fenced
                | Refusal::GoesBack { .. }
                | Refusal::Unavailable(_)
                | Refusal::Fatal(_) => {
                    let labels = of_shard(origin, PROCESS, shard);
                    succeeded("UpdateLease", false, None, labels);
                }
            },
            Event::ProcessorFailed { shard, .. } => {
                counter!("ProcessorFailures", of_shard(origin, PROCESS, shard)).increment(1);
            }
            Event::BatchFailed { shard, records, .. } => {
                self.count_events("FailedInvokeEventCount", origin, shard, *records);
                let labels = || of_shard(origin, PROCESS, shard);
                counter!("BatchFailures", labels()).increment(1);
                counter!("RecordsFailed", labels()).increment(*records as u64);
            }
            Event::RecordsGivenUp { shard, records, .. } => {
                self.count_events("DroppedEventCount", origin, shard, *records);
                let labels = of_shard(origin, PROCESS, shard);
                counter!("RecordsGivenUp", labels).increment(*records as u64);
            }
            Event::RecordsDiverted { shard, records, .. } => {
                let labels = of_shard(origin, PROCESS, shard);
                counter!("RecordsDiverted", labels).increment(*records as u64);
            }
            Event::DestinationFailed { shard, .. } => {
                counter!("DestinationFailures", of_shard(origin, PROCESS, shard)).increment(1);
            }
            Event::RecordsFiltered { shard, records, .. } => {
                self.count_events("FilteredOutEventCount", origin, shard, *records);
                let labels = of_shard(origin, PROCESS, shard);
                counter!("RecordsFiltered", labels).increment(*records as u64);
            }
            Event::FilterPanicked { shard, .. } => {
                counter!("FilterPanics", of_shard(origin, PROCESS, shard)).increment(1);
            }
            Event::CallRunsLong { shard, .. } => {
                counter!("CallsRunningLong", of_shard(origin, PROCESS, shard)).increment(1);
            }
            Event::LanesLoaded {
                shard,
                busy,
                span,
                bytes,
                oldest,
                ..
            } => loaded(origin, shard, [*busy as u64, *span, *bytes as u64], *oldest),
            Event::RecordsTrimmed(trimmed) => {
                let labels = of_shard(origin, PROCESS, &trimmed.shard);
                counter!("RecordsTrimmed", labels).increment(1);
            }
            Event::HandOverPlanned { why, .. } => {
                let why = match why {
                    HandOverReason::Count => "Count",
                    HandOverReason::StreamRemoved => "StreamRemoved",
                    HandOverReason::Load { .. } | HandOverReason::InReturn { .. } => "Load",
                    HandOverReason::ReaderSilent { .. } => "ReaderSilent",
                };
                let mut labels = of_worker(origin, TAKE);
                labels.push(Label::from_static_parts("Reason", why));
                counter!("LeasesHandedOver", labels).increment(1);
            }
            Event::ReaderSilent { shard, .. } => {
                counter!("SilentReaders", of_shard(origin, PROCESS, shard)).increment(1);
            }
            Event::ShardForgotten { .. } => {
                counter!("ShardsForgotten", of_worker(origin, TAKE)).increment(1);
            }
            Event::StreamFailed { stream, .. } => {
                let mut labels = of_worker(origin, TAKE);
                labels.push(Label::new("StreamId", stream.to_string()));
                counter!("StreamsFailed", labels).increment(1);
            }
            Event::ShardUnreadable { shard, .. } => {
                counter!("ShardsUnreadable", of_shard(origin, PROCESS, shard)).increment(1);
            }
            Event::LeaseVanished { .. } => {
                counter!("LeasesVanished", of_worker(origin, TAKE)).increment(1);
            }
            Event::WorkerStarted
            | Event::WorkerJoined { .. }
            | Event::WorkerEvicted { .. }
            | Event::WatchClaimed { .. }
            | Event::CoordinationFailed { .. }
            | Event::WorkerDraining { .. }
            | Event::WorkerEnded(_)
            | Event::WorkerFailed { .. }
            | Event::LeaseCreated { .. }
            | Event::LeaseRemoved { .. }
            | Event::LeaseLost { .. }
            | Event::LeaseReleased { .. }
            | Event::ReleaseRefused { .. }
            | Event::AggregatesMalformed { .. }
            | Event::RecordsMisrouted { .. } => {}
        }
    }
}

fn returned(
    origin: &Origin,
    shard: &ShardId,
    call: Callback,
    outcome: CallOutcome,
    took: Duration,
) {
    let (name, operation) = match call {
        Callback::Initialize => ("RecordProcessor.initialize.Time", INITIALIZE),
        Callback::ProcessRecords | Callback::Handle => {
            ("RecordProcessor.processRecords.Time", PROCESS)
        }
        Callback::Send => ("FailureDestination.send.Time", PROCESS),
        Callback::ShardEnded | Callback::LeaseLost => ("RecordProcessor.shutdown.Time", SHUTDOWN),
        Callback::ShutdownRequested => return,
    };
    histogram!(name, of_shard(origin, operation, shard)).record(millis(took));
    if matches!(call, Callback::ProcessRecords | Callback::Handle) {
        let ok = outcome == CallOutcome::Ok;
        histogram!("Success", of_shard(origin, operation, shard)).record(f64::from(u8::from(ok)));
    }
}

/// How full the lanes of a handler are.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn loaded(origin: &Origin, shard: &ShardId, counts: [u64; 3], oldest: Option<Duration>) {
    let labels = || of_shard(origin, PROCESS, shard);
    let names = ["BusyLanes", "UnsettledRecords", "UnsettledBytes"];
    for (name, count) in names.into_iter().zip(counts) {
        gauge!(name, labels()).set(count as f64);
    }
    gauge!("OldestUnsettledMillis", labels()).set(millis(oldest.unwrap_or_default()));
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and bytes per second far below 2^52"
)]
fn planned(plan: &Plan, origin: &Origin) {
    let needed = plan.target.saturating_sub(plan.held);
    let counts = [
        ("TotalLeases", plan.leases),
        ("ExpiredLeases", plan.free),
        ("NumWorkers", plan.workers),
        ("NeededLeases", needed),
        ("LeasesToTake", plan.taking),
        ("LeaseSpillover", plan.spillover),
        ("UnservedLeases", plan.unserved),
    ];
    for (name, count) in counts {
        gauge!(name, of_worker(origin, TAKE)).set(count as f64);
    }
    for (name, load) in [("Load", plan.load), ("FairLoad", plan.fair_load)] {
        if let Some(load) = load {
            gauge!(name, of_worker(origin, TAKE)).set(load as f64);
        }
    }
}

/// A call: 1 or 0 under `.Success`, so that the mean is the share of those that went well, and its
/// milliseconds under `.Time`.
fn succeeded(name: &str, ok: bool, took: Option<Duration>, labels: Vec<Label>) {
    if let Some(took) = took {
        histogram!(format!("{name}.Time"), labels.clone()).record(millis(took));
    }
    histogram!(format!("{name}.Success"), labels).record(f64::from(u8::from(ok)));
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn of_worker(origin: &Origin, operation: &'static str) -> Vec<Label> {
    vec![
        Label::from_static_parts("Operation", operation),
        Label::new("WorkerIdentifier", origin.worker.to_string()),
    ]
}

fn of_shard(origin: &Origin, operation: &'static str, shard: &ShardId) -> Vec<Label> {
    let stream = shard.stream().or(origin.stream.as_ref());
    let stream = stream.map_or_else(String::new, ToString::to_string);
    vec![
        Label::from_static_parts("Operation", operation),
        Label::new("StreamId", stream),
        Label::new("ShardId", shard.name().to_owned()),
    ]
}
