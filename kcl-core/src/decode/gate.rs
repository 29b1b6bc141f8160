//! Drops what is already covered: a read resumes at the checkpoint's own record, which may have
//! been processed in part, and a source that reconnects may repeat itself.
//!
//! Called for every batch by `decide::shard`, so it costs one comparison where nothing is covered.

use crate::model::{Batch, Checkpoint};

/// Takes the records off the front of the batch that `covered` already covers.
pub(crate) fn pass(covered: &Checkpoint, batch: &mut Batch) {
    let is_covered = |record: &crate::model::Record| {
        covered.covers(&record.sequence_number, record.subsequence_number)
    };
    if planted!(RepeatsCheckpointRecord) {
        return;
    }
    if batch.records.first().is_some_and(is_covered) {
        let mut count = batch.records.partition_point(is_covered);
        if planted!(SkipsOneMore) {
            count = batch.records.len().min(count + 1);
        }
        batch.records.drain(..count);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::{Record, SequenceNumber};

    fn record(sequence: u64, subsequence: u64) -> Record {
        Record {
            sequence_number: SequenceNumber::new(sequence.to_string()).unwrap(),
            subsequence_number: subsequence,
            partition_key: String::new(),
            data: Bytes::new(),
            approximate_arrival: None,
        }
    }

    fn passed(covered: &Checkpoint) -> Vec<(String, u64)> {
        let records = vec![
            record(9, 0),
            record(10, 0),
            record(10, 1),
            record(10, 2),
            record(11, 0),
        ];
        let mut batch = Batch {
            records,
            ..Batch::default()
        };
        pass(covered, &mut batch);
        let place = |r: &Record| (r.sequence_number.to_string(), r.subsequence_number);
        batch.records.iter().map(place).collect()
    }

    #[test]
    fn only_what_the_checkpoint_covers_is_dropped() {
        let at = |sub| Checkpoint::Sequence {
            sequence: SequenceNumber::new("10").unwrap(),
            subsequence: sub,
        };
        assert_eq!(passed(&Checkpoint::TrimHorizon).len(), 5);
        assert_eq!(passed(&at(1)), [("10".to_owned(), 2), ("11".to_owned(), 0)]);
        assert_eq!(passed(&at(9)), [("11".to_owned(), 0)]);
        assert!(passed(&Checkpoint::ShardEnd).is_empty());
    }
}
