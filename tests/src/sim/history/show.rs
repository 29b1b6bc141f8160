//! Events as lines of a trace.

use std::fmt;

use super::{Event, HandlerCall, LeaseRow};

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShardMade { shard, parents } => write!(f, "made {shard} of {parents:?}"),
            Self::ShardClosed { shard } => write!(f, "closed {shard}"),
            Self::Produced {
                record,
                shard,
                sequence,
                key,
                arrival,
            } => {
                write!(
                    f,
                    "produced {record} key {key} at {arrival} in {shard} {sequence}"
                )
            }
            Self::Life { process, step } => write!(f, "{process} {step:?}"),
            Self::Sent {
                process,
                subject,
                fate,
                ..
            } => write!(f, "{process} {subject} {fate}"),
            Self::Answered { process, sent } => write!(f, "{process} hears of #{sent}"),
            Self::Struck {
                strike,
                process: Some(process),
            } => write!(f, "{process} struck by {strike}"),
            Self::Struck {
                strike,
                process: None,
            } => write!(f, "all struck by {strike}"),
            Self::Refused {
                process,
                operation,
                error,
                heard,
            } => {
                write!(f, "{process} {operation} refused {error} heard {heard}")
            }
            Self::Subscribed { process, shard } => write!(f, "{process} subscribed to {shard}"),
            Self::Accepted { process, shard } => write!(f, "{process} accepted at {shard}"),
            Self::PushStruck {
                process,
                shard,
                fault,
            } => write!(f, "{process} subscription to {shard} {fault}"),
            Self::Unsubscribed { process, shard } => write!(f, "{process} closed {shard}"),
            Self::Incident(text) => write!(f, "incident {text}"),
            Self::WorkerRow {
                by,
                incarnation,
                counter,
            } => {
                write!(f, "{by} worker row {incarnation} {counter:?}")
            }
            Self::Watch {
                by,
                incarnation,
                term,
                bell,
            } => {
                write!(f, "{by} watch of {incarnation} term {term} bell {bell}")
            }
            Self::Lease {
                by,
                sent,
                heard,
                shard,
                before,
                after,
            } => {
                write!(f, "{by} lease {shard} ")?;
                show_row(f, before.as_ref())?;
                f.write_str(" -> ")?;
                show_row(f, after.as_ref())?;
                write!(f, " sent #{sent} heard {heard}")
            }
            Self::Called {
                process,
                instance,
                shard,
                epoch,
                call,
            } => {
                write!(f, "{process} i{instance} {shard} e{epoch} {call:?}")
            }
            Self::Acknowledges { instance, upto } => write!(f, "i{instance} asks {upto:?}"),
            Self::Acknowledged { instance, upto, ok } => {
                write!(f, "i{instance} asked {upto:?} {ok}")
            }
            Self::Returned { instance, ending } => write!(f, "i{instance} returned {ending:?}"),
            Self::HandlerCalled(HandlerCall {
                process,
                number,
                shard,
                epoch,
                lane,
                errand,
                ids,
                state,
                mood,
            }) => write!(
                f,
                "{process} c{number} {shard} e{epoch} lane {lane:?} {errand:?} {ids:?} {state:?} {mood:?}"
            ),
            Self::HandlerReturned { call, ending, done } => {
                write!(f, "c{call} returned {ending:?} done {done:?}")
            }
            Self::GaveUp {
                process,
                shard,
                first,
            } => write!(f, "{process} gives up {first} of {shard}"),
            Self::Told { process, notice } => write!(f, "{process} tells {notice:?}"),
            Self::Left { process, leftovers } => write!(f, "{process} leaves {leftovers:?}"),
            Self::DayPassed { by } => write!(f, "{by:?} pass"),
            Self::TableDeleted => f.write_str("table deleted"),
            Self::Judged {
                by,
                key,
                holds,
                applied,
            } => write!(f, "{by} {key} condition {holds} applied {applied}"),
            Self::ReadOld {
                by,
                key,
                consistent,
                at_fault,
            } => write!(f, "{by} reads old {key} {consistent} {at_fault}"),
            Self::Reread { shard, records } => write!(f, "{shard} has {}", records.len()),
            Self::Healed => f.write_str("healed"),
            Self::Finished => f.write_str("finished"),
        }
    }
}

fn show_row(f: &mut fmt::Formatter<'_>, row: Option<&LeaseRow>) -> fmt::Result {
    match row {
        None => f.write_str("none"),
        Some(row) => {
            let owner = row.incarnation.as_deref().unwrap_or("-");
            write!(f, "[{owner} e{} {:?}]", row.epoch, row.checkpoint)
        }
    }
}
