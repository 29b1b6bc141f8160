//! One event of a subscription, checked and moved into our types. Pure; called by `subscription`.

use std::time::Duration;

use aws_sdk_kinesis::types::SubscribeToShardEvent;
use kcl_core::aws::{child, record};
use kcl_core::model::{Batch, SequenceNumber};

use crate::session::Arrival;

/// What an event brought.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) arrival: Arrival,
    pub(crate) batch: Batch,
}

/// Reads an event that follows on the record `after`.
///
/// INVARIANT: an event is only taken whole: its records grow, come after those before, and none lies
/// beyond the continuation number, with which the cursor moves.
pub(crate) fn read(
    event: SubscribeToShardEvent,
    after: Option<&SequenceNumber>,
) -> Result<Pushed, String> {
    // The service leaves the number out at the end of a shard, and the SDK puts an empty text there.
    let continuation = match event.continuation_sequence_number {
        none if none.is_empty() => None,
        number => Some(SequenceNumber::new(number).map_err(|error| error.to_string())?),
    };
    let children = event.child_shards.unwrap_or_default();
    let has_children = !children.is_empty();
    let ends = has_children && continuation.is_none();
    let children = if ends {
        Some(children.into_iter().map(child).collect::<Result<_, _>>()?)
    } else {
        None
    };
    let records = event.records.into_iter().map(record);
    let records: Vec<_> = records.collect::<Result<_, _>>()?;
    let numbers = records.iter().map(|record| &record.sequence_number);
    if !after
        .into_iter()
        .chain(numbers)
        .is_sorted_by(|one, next| one < next)
    {
        return Err("its records are not in order, or were pushed before".to_owned());
    }
    if let (Some(last), Some(continuation)) = (records.last(), &continuation)
        && last.sequence_number > *continuation
    {
        return Err("a record lies beyond its continuation number".to_owned());
    }
    let arrival = Arrival {
        continuation,
        has_records: !records.is_empty(),
        has_children,
    };
    let lag = u64::try_from(event.millis_behind_latest).ok();
    let batch = Batch {
        records,
        lag: lag.map(Duration::from_millis),
        children,
    };
    Ok(Pushed { arrival, batch })
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::primitives::Blob;
    use aws_sdk_kinesis::types::{ChildShard, HashKeyRange, Record};

    use super::*;

    fn number(number: u64) -> SequenceNumber {
        SequenceNumber::new(number.to_string()).unwrap()
    }

    fn event(numbers: &[u64], continuation: &str, parents: &[&str]) -> SubscribeToShardEvent {
        let record = |number: &u64| {
            let record = Record::builder().sequence_number(number.to_string());
            record
                .data(Blob::new("x"))
                .partition_key("k")
                .build()
                .unwrap()
        };
        let range = HashKeyRange::builder()
            .starting_hash_key("0")
            .ending_hash_key("9");
        let child = ChildShard::builder()
            .shard_id("s1")
            .set_parent_shards(Some(parents.iter().map(ToString::to_string).collect()))
            .hash_key_range(range.build().unwrap());
        let children = (!parents.is_empty()).then(|| vec![child.build().unwrap()]);
        SubscribeToShardEvent::builder()
            .set_records(Some(numbers.iter().map(record).collect()))
            .continuation_sequence_number(continuation)
            .millis_behind_latest(7)
            .set_child_shards(children)
            .build()
            .unwrap()
    }

    #[test]
    fn records_come_with_the_way_on_and_the_lag() {
        let pushed = read(event(&[5, 6], "6", &[]), Some(&number(4))).unwrap();
        assert_eq!(pushed.arrival.continuation, Some(number(6)));
        assert!(pushed.arrival.has_records && !pushed.arrival.has_children);
        assert_eq!(pushed.batch.records.len(), 2);
        assert_eq!(pushed.batch.lag, Some(Duration::from_millis(7)));
        assert_eq!(pushed.batch.children, None);
    }

    #[test]
    fn the_end_of_a_shard_is_its_children_and_no_way_on() {
        let last = read(event(&[5], "", &["s0"]), None).unwrap();
        assert_eq!(last.arrival.continuation, None);
        assert_eq!(last.batch.children.unwrap().len(), 1);
        // Neither of them alone.
        let children = |event| read(event, None).unwrap().batch.children;
        assert_eq!(children(event(&[5], "5", &["s0"])), None);
        assert_eq!(children(event(&[5], "", &[])), None);
    }

    #[test]
    fn an_event_that_would_repeat_or_skip_is_not_taken() {
        let after = number(5);
        assert!(read(event(&[5, 6], "6", &[]), Some(&after)).is_err());
        assert!(read(event(&[7, 6], "7", &[]), Some(&after)).is_err());
        assert!(read(event(&[6, 6], "6", &[]), Some(&after)).is_err());
        assert!(read(event(&[6, 7], "6", &[]), Some(&after)).is_err());
        assert!(read(event(&[6], "six", &[]), Some(&after)).is_err());
    }
}
