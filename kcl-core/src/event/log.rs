//! What an event looks like in a log: one line each, and the one place that writes it.
//!
//! * error: records or progress are lost, or the worker has to stop.
//! * warn: something did not go as it should, and the worker goes on.
//! * info: what an operator follows: joining, leases that come and go.
//! * debug and trace: what happens all the time.

use tracing::{debug, error, info, trace, warn};

use super::{
    CallOutcome, Event, GiveUpReason, HandOverReason, Origin, Plan, Refusal, StopReason, TakeReason,
};
use crate::model::ShardId;

#[expect(clippy::too_many_lines, reason = "one line for each event")]
pub(super) fn write(origin: Option<&Origin>, event: &Event) {
    match event {
        Event::WorkerStarted => match origin {
            Some(origin) => {
                let stream = origin.stream.as_ref().map(AsRef::<str>::as_ref);
                info!(worker = %origin.worker, stream, application = %origin.application, "the worker starts");
            }
            None => info!("the worker starts"),
        },
        Event::WorkerJoined { life } => info!(%life, "worker joined"),
        Event::LifeRenewed { took, left, late } => {
            if *late {
                warn!(
                    ?took,
                    ?left,
                    "life was proven late: the leases were close to being lost"
                );
            } else {
                trace!(?took, ?left, "life is proven");
            }
        }
        Event::RenewalFailed { took, error } => debug!(?took, %error, "life is not proven yet"),
        Event::LifeLost { life, error } => {
            let error = error.as_ref().map(|error| error.message.as_str());
            warn!(%life, error, "this worker could not prove its life in time; it lost its leases and joins again");
        }
        Event::WorkerEvicted { worker, life } => {
            info!(%worker, %life, "worker is dead; its leases are free");
        }
        Event::WatchClaimed { term } => {
            info!(term, "this worker keeps the watch over the lease table");
        }
        Event::CoordinationFailed { error } => error!(%error, "coordination cannot go on"),
        Event::WorkerDraining { shards } => info!(shards, "the worker drains"),
        Event::WorkerEnded(report) => info!(%report, "the worker ended"),
        Event::WorkerFailed { error } => error!(%error, "the worker failed"),
        Event::Planned(plan) => planned(plan),
        Event::LeaseCreated { shard, checkpoint } => {
            info!(%shard, from = %checkpoint, "lease created")
        }
        Event::LeaseRemoved { shard } => {
            info!(%shard, "finished lease removed: the stream has forgotten the shard");
        }
        Event::LeaseTaken {
            shard,
            epoch,
            why,
            took,
        } => info!(%shard, %epoch, ?took, why = take_reason(*why), "lease taken"),
        Event::LeaseNotTaken {
            shard,
            error: Some(error),
            ..
        } => warn!(%shard, %error, "cannot take a lease yet"),
        Event::LeaseNotTaken { shard, .. } => debug!(%shard, "a lease was not to be had after all"),
        Event::HandOverPlanned { shard, why } => hand_over(shard, why),
        Event::ReaderSilent { shard, silent } => {
            warn!(%shard, ?silent, "the service does not answer the reader of a shard");
        }
        Event::LeaseLost { shard, epoch, why } => warn!(%shard, %epoch, ?why, "lease lost"),
        Event::LeaseReleased { shard, epoch } => info!(%shard, %epoch, "lease released"),
        Event::ReleaseRefused { shard, epoch, why } => {
            warn!(%shard, %epoch, %why, "a lease is not given back yet");
        }
        Event::ShardForgotten { shard, checkpoint } => error!(
            %shard, %checkpoint,
            "the stream has forgotten a shard that was not read to its end: records are lost",
        ),
        Event::StreamFailed { stream, error } => error!(
            %stream, %error,
            "a stream cannot be listed; its shards stay as they are, and the other streams are read on",
        ),
        Event::LeaseVanished { shard, checkpoint } => error!(
            %shard, %checkpoint,
            "the lease of an unfinished shard is gone from the table: its progress is lost",
        ),
        Event::ShardStarted {
            shard,
            epoch,
            checkpoint,
        } => info!(%shard, %epoch, %checkpoint, "shard acquired"),
        Event::ShardStopped { shard, epoch, how } => {
            let how = match how {
                StopReason::Finished => "finished",
                StopReason::Released => "released",
                StopReason::Lost => "lost",
                StopReason::Abandoned => "abandoned",
                StopReason::Failed => "failed",
            };
            info!(%shard, %epoch, how, "shard ended");
        }
        Event::ReadFailed {
            shard,
            why,
            error,
            failures,
            ..
        } => {
            // Each doubling is told, so that a long outage does not flood the log.
            if failures.is_power_of_two() {
                warn!(%shard, ?why, failures, %error, "a read is tried again");
            } else {
                debug!(%shard, ?why, failures, %error, "a read is tried again");
            }
        }
        Event::Subscribed { shard, took } => debug!(%shard, ?took, "subscribed"),
        Event::RetrievalChanged {
            shard,
            to,
            error: Some(error),
        } => warn!(%shard, ?to, %error, "records come another way from now on"),
        Event::RetrievalChanged { shard, to, .. } => {
            info!(%shard, ?to, "records come another way from now on");
        }
        Event::ShardUnreadable {
            shard,
            error,
            retry_in,
            ..
        } => error!(
            %shard, %error, ?retry_in,
            "the service refuses to let a shard be read; the other streams are read on",
        ),
        Event::RecordsTrimmed(trimmed) => {
            let next = trimmed.next.as_ref().map_or("", |next| next.as_str());
            warn!(
                shard = %trimmed.shard, after = %trimmed.after, next,
                "the retention period has caught up with this application: records that were not \
                 read may be lost",
            );
        }
        Event::AggregatesMalformed {
            shard,
            first,
            why,
            records,
        } => warn!(
            %shard, %first, %why, records,
            "a record looks like an aggregate and cannot be taken apart; it is delivered as it is",
        ),
        Event::RecordsMisrouted {
            shard,
            first,
            records,
        } => info!(
            %shard, %first, records,
            "user records of an aggregate belong to another shard and are left out",
        ),
        Event::CallReturned {
            shard,
            call,
            outcome: CallOutcome::Cancelled,
            took,
            ..
        } => debug!(%shard, call = call.name(), ?took, "a call was cancelled"),
        Event::ProcessorFailed {
            shard,
            error,
            restart_in: Some(pause),
            ..
        } => warn!(%shard, %error, ?pause, "the processor failed and starts again"),
        Event::ProcessorFailed { shard, error, .. } => {
            warn!(%shard, %error, "the processor failed; the shard is given back");
        }
        Event::BatchFailed {
            shard,
            records,
            first,
            attempts,
            cause,
            error,
            retry_in,
            ..
        } => {
            let cause = cause.name();
            warn!(%shard, records, %first, attempts, cause, %error, ?retry_in, "a batch failed");
        }
        Event::RecordsGivenUp {
            shard,
            records,
            first,
            last,
            attempts,
            reason,
            ..
        } => {
            let reason = reason.map(GiveUpReason::name);
            error!(%shard, records, %first, %last, attempts, reason, "records cannot be processed");
        }
        Event::RecordsDiverted {
            shard,
            records,
            first,
            ..
        } => warn!(%shard, records, %first, "the failure destination took records"),
        Event::DestinationFailed {
            shard,
            records,
            first,
            error,
            retry_in,
            ..
        } => {
            error!(%shard, records, %first, %error, ?retry_in, "the failure destination did not take records");
        }
        Event::FilterPanicked { shard, record } => {
            error!(%shard, %record, "the filter panicked; the record is kept");
        }
        Event::CallRunsLong {
            shard,
            running,
            records,
            first,
            ..
        } => warn!(%shard, ?running, records, %first, "a call has not come back for long"),
        Event::RecordsFiltered { .. }
        | Event::LanesLoaded { .. }
        | Event::IteratorMade { .. }
        | Event::PageRead { .. }
        | Event::EventRead { .. }
        | Event::RecordsDelivered { .. }
        | Event::RecordsProcessed { .. }
        | Event::CallReturned { .. } => trace!(?event),
        Event::CheckpointMade {
            shard,
            checkpoint,
            took,
            ..
        } => debug!(%shard, %checkpoint, ?took, "checkpoint"),
        Event::CheckpointPrepared {
            shard,
            checkpoint,
            took,
            ..
        } => debug!(%shard, %checkpoint, ?took, "checkpoint prepared"),
        Event::CheckpointRefused {
            shard,
            checkpoint,
            why,
            ..
        } => {
            let checkpoint = checkpoint.as_ref().map(ToString::to_string);
            match why {
                // The loss of the lease tells of itself, and user code has its answer.
                Refusal::Fenced | Refusal::Invalid(_) => {
                    debug!(%shard, checkpoint, %why, "checkpoint refused");
                }
                Refusal::GoesBack { .. } | Refusal::Unavailable(_) | Refusal::Fatal(_) => {
                    warn!(%shard, checkpoint, %why, "checkpoint refused");
                }
            }
        }
    }
}

fn planned(plan: &Plan) {
    if plan.is_active() {
        debug!(?plan, "planned");
    } else {
        trace!(?plan, "planned");
    }
}

fn hand_over(shard: &ShardId, why: &HandOverReason) {
    match why {
        HandOverReason::Count => info!(%shard, "lease to be handed over: another worker has fewer"),
        HandOverReason::StreamRemoved => {
            info!(%shard, "lease to be handed over: its stream is not read here any more");
        }
        HandOverReason::Load {
            load,
            to,
            in_return,
        } => {
            let in_return = in_return.as_ref().map(ShardId::to_string);
            info!(%shard, load, %to, in_return, "lease to be handed over: another worker reads less");
        }
        HandOverReason::InReturn { to } => {
            info!(%shard, %to, "lease to be handed over: in return for a larger one");
        }
        HandOverReason::ReaderSilent { to } => {
            warn!(%shard, %to, "lease to be handed over: this worker cannot read the shard, and reads others");
        }
    }
}

const fn take_reason(why: TakeReason) -> &'static str {
    match why {
        TakeReason::Free => "it is free",
        TakeReason::HolderDead => "its worker is dead",
        TakeReason::Stray => "it is ours by the table, and nobody here reads it",
    }
}
