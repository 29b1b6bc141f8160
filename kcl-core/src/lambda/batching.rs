//! When a batch goes to the function, and how much fits into it. Pure; one [`Batcher`] for each shard, or for each
//! lane of a shard.
//!
//! Records that a filter dropped never come here: they settle where they are, and do not fill a batch.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::event::{EMPTY_EVENT_BYTES, EventSource, PAYLOAD_BYTES_MAX, encoded_len};
use crate::error::Problem;
use crate::model::{Record, ShardId};

/// How records become batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchingSettings {
    /// Records in a batch, at most: 1 to 10,000. Default 100.
    pub batch_size: usize,
    /// How long the first record of a batch may wait for others: 0 to 300 s. Default 0: a batch is what is there.
    /// Longer means fewer and larger batches, and records that wait.
    pub window: Duration,
}

impl Default for BatchingSettings {
    fn default() -> Self {
        Self {
            batch_size: 100,
            window: Duration::ZERO,
        }
    }
}

impl BatchingSettings {
    /// What is wrong, all at once.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let rules = [
            (
                (1..=10_000).contains(&self.batch_size),
                "lambda.batch_size",
                "must be 1 to 10000",
            ),
            (
                self.window <= Duration::from_secs(300),
                "lambda.window",
                "must be at most 300 s",
            ),
        ];
        let broken = rules.into_iter().filter(|(ok, ..)| !ok);
        broken
            .map(|(_, setting, rule)| Problem::new(setting, rule))
            .collect()
    }
}

/// Why a batch is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ready {
    /// It has as many records as it may.
    Full,
    /// The next record would make the event larger than an invocation takes.
    Bytes,
    /// Its first record has waited long enough.
    Waited,
    /// The shard ends, or is given back: nothing comes after it.
    Ended,
}

/// What comes next, in the order of the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A batch for the function. Never empty.
    Batch(Vec<Record>, Ready),
    /// A record that fits into no invocation, whatever is done: it has to be given up.
    TooLarge(Record),
}

/// Collects records until a batch is ready.
///
/// ```
/// use std::time::Duration;
/// use kcl_core::lambda::batching::{Batcher, BatchingSettings, Next, Ready};
/// use kcl_core::lambda::event::EventSource;
/// # use kcl_core::{Record, SequenceNumber, ShardId};
/// # use tokio::time::Instant;
/// # fn record() -> Record {
/// #     let sequence_number = SequenceNumber::new("1").unwrap();
/// #     let (partition_key, data) = (String::new(), Default::default());
/// #     Record { sequence_number, subsequence_number: 0, partition_key, data, approximate_arrival: None }
/// # }
///
/// let source = EventSource::new("arn:aws:kinesis:eu-west-1:123456789012:stream/orders").unwrap();
/// let settings = BatchingSettings { batch_size: 2, window: Duration::from_secs(5) };
/// let mut batcher = Batcher::new(settings, source, ShardId::new("shardId-000000000000"));
///
/// let now = Instant::now();
/// batcher.push(record(), now);
/// assert_eq!(batcher.next(now), None);
/// assert_eq!(batcher.next_deadline(), Some(now + Duration::from_secs(5)));
/// batcher.push(record(), now);
/// assert!(matches!(batcher.next(now), Some(Next::Batch(records, Ready::Full)) if records.len() == 2));
/// ```
#[derive(Debug)]
pub struct Batcher {
    settings: BatchingSettings,
    source: EventSource,
    shard: ShardId,
    /// Bytes that the event has beside its records.
    envelope: usize,
    /// Each with the bytes it takes in an event, and when it came.
    waiting: VecDeque<(Record, usize, Instant)>,
    /// The bytes of all that wait.
    bytes: usize,
    has_ended: bool,
}

impl Batcher {
    /// For one shard.
    #[must_use]
    pub fn new(settings: BatchingSettings, source: EventSource, shard: ShardId) -> Self {
        Self {
            settings,
            source,
            shard,
            envelope: EMPTY_EVENT_BYTES,
            waiting: VecDeque::new(),
            bytes: 0,
            has_ended: false,
        }
    }

    /// Leaves so many bytes of each invocation to other things than records: the state of a tumbling window.
    #[must_use]
    pub fn with_reserve(mut self, bytes: usize) -> Self {
        self.envelope = EMPTY_EVENT_BYTES + bytes;
        self
    }

    /// Whether more records are welcome: false while a whole batch waits. What is pushed nevertheless is kept.
    #[must_use]
    pub fn wants(&self) -> bool {
        self.waiting.len() < self.settings.batch_size
            && self.envelope + self.bytes < PAYLOAD_BYTES_MAX
    }

    /// A record came.
    pub fn push(&mut self, record: Record, now: Instant) {
        let bytes = encoded_len(&self.source, &self.shard, &record);
        self.bytes += bytes;
        self.waiting.push_back((record, bytes, now));
    }

    /// No more records come: what waits need not wait on.
    pub const fn end(&mut self) {
        self.has_ended = true;
    }

    /// What is ready now.
    pub fn next(&mut self, now: Instant) -> Option<Next> {
        let (_, bytes, since) = self.waiting.front()?;
        if !self.fits(*bytes) {
            return self.take(1).pop().map(Next::TooLarge);
        }
        let (count, why) = if self.waiting.len() < self.settings.batch_size && self.fits(self.bytes)
        {
            let has_waited = *since + self.settings.window <= now;
            match (self.has_ended, has_waited) {
                (true, _) => (self.waiting.len(), Ready::Ended),
                (false, true) => (self.waiting.len(), Ready::Waited),
                (false, false) => return None,
            }
        } else {
            self.whole_batch()
        };
        Some(Next::Batch(self.take(count), why))
    }

    /// How many records a batch has that has no room for all that waits.
    fn whole_batch(&self) -> (usize, Ready) {
        let mut sum = 0;
        let batch = self.waiting.iter().take(self.settings.batch_size);
        let fitting = batch.take_while(|(_, bytes, _)| {
            sum += bytes;
            self.fits(sum)
        });
        match fitting.count() {
            count if count < self.settings.batch_size => (count, Ready::Bytes),
            count => (count, Ready::Full),
        }
    }

    const fn fits(&self, bytes: usize) -> bool {
        self.envelope + bytes <= PAYLOAD_BYTES_MAX
    }

    fn take(&mut self, count: usize) -> Vec<Record> {
        let taken = self.waiting.drain(..count).map(|(record, bytes, _)| {
            self.bytes -= bytes;
            record
        });
        taken.collect()
    }

    /// When [`next`](Self::next) is to be asked again, though nothing more came.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let (.., since) = self.waiting.front()?;
        Some(*since + self.settings.window)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::lambda::event::json;
    use crate::model::SequenceNumber;

    const SECOND: Duration = Duration::from_secs(1);

    fn record(number: usize, bytes: usize) -> Record {
        Record {
            sequence_number: SequenceNumber::new(number.to_string()).unwrap(),
            subsequence_number: 0,
            partition_key: "k".to_owned(),
            data: Bytes::from(vec![0; bytes]),
            approximate_arrival: None,
        }
    }

    fn source() -> EventSource {
        EventSource::new("arn:aws:kinesis:us-east-1:123456789012:stream/orders").unwrap()
    }

    fn batcher(batch_size: usize, window: Duration) -> Batcher {
        let settings = BatchingSettings { batch_size, window };
        Batcher::new(settings, source(), ShardId::new("shard-0"))
    }

    fn numbers(next: Option<Next>) -> (Vec<String>, Ready) {
        match next {
            Some(Next::Batch(records, why)) => {
                let numbers = records
                    .iter()
                    .map(|record| record.sequence_number.to_string());
                (numbers.collect(), why)
            }
            other @ (Some(Next::TooLarge(_)) | None) => panic!("no batch: {other:?}"),
        }
    }

    /// 6.1, BatchSize and MaximumBatchingWindowInSeconds: their ranges.
    #[test]
    fn settings_have_the_ranges_of_the_service() {
        assert_eq!(BatchingSettings::default().problems(), []);
        for (batch_size, seconds, wrong) in [
            (0, 0, 1),
            (10_001, 0, 1),
            (10_000, 300, 0),
            (1, 301, 1),
            (0, 301, 2),
        ] {
            let window = Duration::from_secs(seconds);
            let settings = BatchingSettings { batch_size, window };
            assert_eq!(settings.problems().len(), wrong, "{settings:?}");
        }
    }

    /// 6.1, MaximumBatchingWindowInSeconds, default 0.
    #[tokio::test(start_paused = true)]
    async fn without_a_window_a_batch_is_what_is_there() {
        let now = Instant::now();
        let mut batcher = batcher(100, Duration::ZERO);
        assert_eq!(batcher.next(now), None, "6.2: empty batches are not sent");
        batcher.push(record(1, 0), now);
        batcher.push(record(2, 0), now);
        assert_eq!(
            numbers(batcher.next(now)),
            (vec!["1".into(), "2".into()], Ready::Waited)
        );
        assert_eq!(batcher.next(now), None);
    }

    /// 6.1, BatchSize: flush on batch full.
    #[tokio::test(start_paused = true)]
    async fn a_full_batch_does_not_wait() {
        let now = Instant::now();
        let mut batcher = batcher(2, 300 * SECOND);
        for number in 1..=5 {
            batcher.push(record(number, 0), now);
        }
        assert!(!batcher.wants());
        assert_eq!(
            numbers(batcher.next(now)),
            (vec!["1".into(), "2".into()], Ready::Full)
        );
        assert_eq!(
            numbers(batcher.next(now)),
            (vec!["3".into(), "4".into()], Ready::Full)
        );
        assert_eq!(batcher.next(now), None);
        assert!(batcher.wants());
    }

    /// 6.1, MaximumBatchingWindowInSeconds: flush on window over. It begins with the first record.
    #[tokio::test(start_paused = true)]
    async fn a_batch_waits_for_as_long_as_its_first_record_may() {
        let start = Instant::now();
        let mut batcher = batcher(100, 10 * SECOND);
        batcher.push(record(1, 0), start);
        batcher.push(record(2, 0), start + 9 * SECOND);
        assert_eq!(batcher.next(start + 9 * SECOND), None);
        assert_eq!(batcher.next_deadline(), Some(start + 10 * SECOND));
        let due = batcher.next(start + 10 * SECOND);
        assert_eq!(numbers(due), (vec!["1".into(), "2".into()], Ready::Waited));
        assert_eq!(batcher.next_deadline(), None);
        batcher.push(record(3, 0), start + 12 * SECOND);
        assert_eq!(
            batcher.next_deadline(),
            Some(start + 22 * SECOND),
            "a window of its own"
        );
    }

    /// 6.1 and 6.3, 6 MB with base64 and envelope: about 4.4 MB of payload.
    #[tokio::test(start_paused = true)]
    async fn a_batch_ends_where_the_next_record_would_exceed_an_invocation() {
        let now = Instant::now();
        let mut batcher = batcher(10_000, 300 * SECOND);
        for number in 1..=50 {
            batcher.push(record(number, 100_000), now);
        }
        assert!(!batcher.wants());
        let Some(Next::Batch(records, why)) = batcher.next(now) else {
            panic!("a batch")
        };
        assert_eq!((records.len(), why), (47, Ready::Bytes));
        let event = json(&source(), &ShardId::new("shard-0"), &records);
        assert!(event.len() <= PAYLOAD_BYTES_MAX);
        assert!(
            event.len() + 133_700 > PAYLOAD_BYTES_MAX,
            "one more does not fit"
        );
        assert_eq!(batcher.next(now), None, "the other three wait on");
    }

    /// 6.3: a record that cannot fit one invocation. It comes in its turn.
    #[tokio::test(start_paused = true)]
    async fn a_record_that_fits_nowhere_comes_alone() {
        let now = Instant::now();
        let mut batcher = batcher(100, 300 * SECOND);
        batcher.push(record(1, 10), now);
        batcher.push(record(2, 5_000_000), now);
        batcher.push(record(3, 10), now);
        assert_eq!(numbers(batcher.next(now)), (vec!["1".into()], Ready::Bytes));
        assert_eq!(
            batcher.next(now),
            Some(Next::TooLarge(record(2, 5_000_000)))
        );
        assert_eq!(batcher.next(now), None);
    }

    /// 6.7: shard end closes what is open.
    #[tokio::test(start_paused = true)]
    async fn at_the_end_nothing_waits() {
        let now = Instant::now();
        let mut batcher = batcher(100, 300 * SECOND);
        batcher.push(record(1, 0), now);
        assert_eq!(batcher.next(now), None);
        batcher.end();
        assert_eq!(numbers(batcher.next(now)), (vec!["1".into()], Ready::Ended));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_reserved_is_left_free() {
        let now = Instant::now();
        let mut batcher = batcher(100, Duration::ZERO).with_reserve(PAYLOAD_BYTES_MAX - 1_000);
        batcher.push(record(1, 0), now);
        batcher.push(record(2, 300), now);
        batcher.push(record(3, 0), now);
        assert_eq!(numbers(batcher.next(now)).0, ["1"]);
    }
}
