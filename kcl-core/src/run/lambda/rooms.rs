//! Room for the lists of events to come.
//!
//! The list of an event is a large block. Before an allocator gives one, it may put together all small blocks that are
//! free (glibc does): all that the events before were made of, which it then has to cut apart again for the next. So
//! blocks are asked for several at a time, and when few are free: an event has just been made then, and is not yet
//! dropped by its function.

use std::sync::{Mutex, PoisonError};

use aws_lambda_events::event::kinesis::{KinesisEvent, KinesisEventRecord};

use crate::lambda::event::{EventSource, typed_in};
use crate::model::{Record, ShardId};

/// How many lists are made at once, and how many bytes they may take together if they are more than one: where a single one
/// is as large, an allocator does the same when it gets it back.
const LISTS: usize = 8;
const LISTS_BYTES_MAX: usize = 256 * 1024;

/// Empty lists: kept as long as the function is, up to the bound above or one as long as an event had records, for each
/// thread that made one at the same time.
#[derive(Default)]
pub(super) struct Rooms(Mutex<Vec<Vec<KinesisEventRecord>>>);

impl Rooms {
    /// The event of these records, in a list made before. Sees to it that the next finds one for as many.
    pub(super) fn event(
        &self,
        source: &EventSource,
        shard: &ShardId,
        records: &[Record],
    ) -> KinesisEvent {
        let room = self.lists(Vec::pop).unwrap_or_default();
        let event = typed_in(room, source, shard, records);
        if self.lists(|lists| lists.is_empty()) {
            let bytes = records.len() * size_of::<KinesisEventRecord>();
            let count = (LISTS_BYTES_MAX / bytes.max(1)).clamp(1, LISTS);
            let mut next: Vec<_> = (0..count)
                .map(|_| Vec::with_capacity(records.len()))
                .collect();
            self.lists(|lists| lists.append(&mut next));
        }
        event
    }

    fn lists<T>(&self, change: impl FnOnce(&mut Vec<Vec<KinesisEventRecord>>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::lambda::event::typed;
    use crate::model::SequenceNumber;

    fn records(count: usize) -> Vec<Record> {
        let record = |number: usize| Record {
            sequence_number: SequenceNumber::new(number.to_string()).unwrap(),
            subsequence_number: 0,
            partition_key: "key".to_owned(),
            data: Bytes::from_static(b"payload"),
            approximate_arrival: None,
        };
        (0..count).map(record).collect()
    }

    /// Makes the event of so many records, and says where its list is.
    fn event(rooms: &Rooms, count: usize) -> *const KinesisEventRecord {
        let source =
            EventSource::new("arn:aws:kinesis:eu-west-1:123456789012:stream/orders").unwrap();
        let (shard, records) = (ShardId::new("shardId-000000000000"), records(count));
        let event = rooms.event(&source, &shard, &records);
        assert_eq!(event, typed(&source, &shard, &records));
        event.records.as_ptr()
    }

    fn next(rooms: &Rooms) -> *const KinesisEventRecord {
        rooms.lists(|lists| lists.last().map(Vec::as_ptr)).unwrap()
    }

    #[test]
    fn an_event_goes_into_a_list_that_was_made_before() {
        let rooms = Rooms::default();
        event(&rooms, 100);
        assert_eq!(rooms.lists(|lists| lists.len()), LISTS);
        for _ in 0..3 * LISTS {
            let next = next(&rooms);
            assert_eq!(event(&rooms, 100), next);
        }
        // What is too small for it grows, what is too large does not.
        event(&rooms, 150);
        event(&rooms, 1);
    }

    #[test]
    fn of_large_lists_one_is_made_at_a_time() {
        let rooms = Rooms::default();
        event(&rooms, 1_000);
        assert_eq!(rooms.lists(|lists| lists.len()), 1);
        let next = next(&rooms);
        assert_eq!(event(&rooms, 1_000), next);
    }
}
