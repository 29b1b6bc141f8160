//! The suite that every [`RecordSource`] must pass.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::time::timeout;

use crate::env::Env;
use crate::event::Events;
use crate::model::{Batch, Position, Record, SequenceNumber, ShardId, StreamName};
use crate::port::{Feed, FeedError, Meter, OpenFeed, RecordSource};

/// What the suite needs of a stream that a source reads: one shard, empty at first.
#[async_trait]
pub trait StreamFixture: Send + Sync {
    /// The stream.
    fn stream(&self) -> StreamName;

    /// Its only shard.
    fn shard(&self) -> ShardId;

    /// Puts one record into the shard.
    async fn put(&self, payload: &str) -> SequenceNumber;

    /// Closes the shard, by a split or a merge. Returns the names of the shards that follow.
    async fn close(&self) -> Vec<ShardId>;

    /// The wall clock of the service, and random numbers.
    fn env(&self) -> Env;

    /// Gives the source a bad time, of the kind that its service has. A source without a service has none.
    async fn disturb(&self, how: Disturbance);
}

/// What may happen to a read at any time, and must not be seen in what it brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// Whatever the read holds of the service is no longer good: an iterator, a subscription.
    Expire,
    /// The next calls are refused because they come too fast.
    Throttle,
    /// What is under way breaks off: an answer, a subscription.
    BreakOff,
}

/// How long a source may take to bring what is there.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a source is watched that should bring nothing.
const SILENCE: Duration = Duration::from_millis(700);

/// Runs the suite. The fixture is used up: at the end its shard is closed.
///
/// # Panics
/// If the source breaks the contract of [`RecordSource`]; the message says which part.
pub async fn record_source(source: &dyn RecordSource, fixture: &dyn StreamFixture) {
    let suite = Suite { source, fixture };
    assert!(
        source.problems().is_empty(),
        "the source under test must be valid"
    );
    let first = suite.put(0..20).await;
    suite.reads_everything_in_order(&first).await;
    suite.starts_where_it_is_told(&first).await;
    suite.latest_sees_only_what_comes_later(&first).await;
    suite.a_slow_reader_misses_nothing(&first).await;
    suite.goes_on_where_another_read_left_off().await;
    for how in [
        Disturbance::Expire,
        Disturbance::Throttle,
        Disturbance::BreakOff,
    ] {
        suite.shows_nothing_of_a_bad_time(how).await;
    }
    suite.ends_with_the_shard_and_names_what_follows().await;
}

struct Suite<'a> {
    source: &'a dyn RecordSource,
    fixture: &'a dyn StreamFixture,
}

impl Suite<'_> {
    async fn put(&self, numbers: std::ops::Range<u32>) -> Vec<SequenceNumber> {
        let mut put = Vec::new();
        for number in numbers {
            put.push(self.fixture.put(&format!("record {number}")).await);
        }
        put
    }

    fn open(&self, from: Position) -> Reading {
        let request = OpenFeed {
            stream: self.fixture.stream(),
            shard: self.fixture.shard(),
            from,
            env: self.fixture.env(),
            events: Events::default(),
            meter: Meter::default(),
        };
        Reading {
            feed: self.source.open(request),
            waiting: VecDeque::new(),
            last: None,
        }
    }

    async fn reads_everything_in_order(&self, all: &[SequenceNumber]) {
        let mut reading = self.open(Position::TrimHorizon);
        let read = reading.records(all.len()).await;
        assert_eq!(
            numbers(&read),
            all,
            "a read from TRIM_HORIZON brings all records in order"
        );
        let payload = String::from_utf8_lossy(&read[7].data).into_owned();
        assert_eq!(payload, "record 7", "payloads arrive as they were put");
        reading.nothing("after the newest record").await;
    }

    async fn starts_where_it_is_told(&self, all: &[SequenceNumber]) {
        let middle = all[10].clone();
        let at = self
            .open(Position::AtSequence(middle.clone()))
            .records(10)
            .await;
        assert_eq!(
            numbers(&at),
            all[10..],
            "AT_SEQUENCE begins with the record itself"
        );
        let after = self.open(Position::AfterSequence(middle)).records(9).await;
        assert_eq!(
            numbers(&after),
            all[11..],
            "AFTER_SEQUENCE begins behind it"
        );
        if let Some(arrival) = at[0].approximate_arrival {
            let since = self.open(Position::AtTimestamp(arrival)).records(10).await;
            let since = numbers(&since);
            assert!(
                since.contains(&all[10]),
                "AT_TIMESTAMP begins with what arrived then"
            );
        }
        let dawn = Position::AtTimestamp(SystemTime::UNIX_EPOCH + Duration::from_millis(1));
        let read = self.open(dawn).records(all.len()).await;
        assert_eq!(
            numbers(&read),
            all,
            "AT_TIMESTAMP before the oldest record brings all"
        );
    }

    async fn latest_sees_only_what_comes_later(&self, old: &[SequenceNumber]) {
        let mut reading = self.open(Position::Latest);
        reading
            .nothing("from LATEST, of what is there already")
            .await;
        let put = self.put(100..103).await;
        let read = reading.records(3).await;
        assert_eq!(
            numbers(&read),
            put,
            "LATEST brings what was put later, old: {old:?}"
        );
    }

    async fn a_slow_reader_misses_nothing(&self, old: &[SequenceNumber]) {
        let mut reading = self.open(Position::AfterSequence(old[old.len() - 1].clone()));
        let mut expected = reading.records(3).await.len();
        for round in 0..3 {
            let put = self.put(200 + round * 10..205 + round * 10).await;
            tokio::time::sleep(SILENCE).await;
            let read = reading.records(put.len()).await;
            assert_eq!(
                numbers(&read),
                put,
                "what is put between two reads is not lost"
            );
            expected += put.len();
        }
        assert_eq!(expected, 18);
    }

    async fn goes_on_where_another_read_left_off(&self) {
        let mut position = Position::TrimHorizon;
        let mut read = Vec::new();
        for count in [1, 2, 5, 11] {
            let part = self.open(position).records(count).await;
            let last = part[part.len() - 1].sequence_number.clone();
            position = Position::AfterSequence(last);
            read.extend(numbers(&part));
        }
        let whole = self.open(Position::TrimHorizon).records(read.len()).await;
        assert_eq!(
            read,
            numbers(&whole),
            "reads that follow on each other bring what one brings"
        );
    }

    async fn shows_nothing_of_a_bad_time(&self, how: Disturbance) {
        let before = self.put(0..1).await.remove(0);
        let mut reading = self.open(Position::AfterSequence(before));
        let mut put = self.put(1..4).await;
        // Something is under way when it happens.
        let mut read = reading.records(1).await;
        for round in 0..3 {
            self.fixture.disturb(how).await;
            put.extend(self.put(300 + round * 10..305 + round * 10).await);
            read.extend(reading.records(put.len() - read.len()).await);
            assert_eq!(
                numbers(&read),
                put,
                "a read shows nothing of a bad time ({how:?})"
            );
            reading.nothing("after the newest record").await;
        }
    }

    async fn ends_with_the_shard_and_names_what_follows(&self) {
        let mut reading = self.open(Position::TrimHorizon);
        let last = self.put(900..901).await;
        let mut follows = self.fixture.close().await;
        let mut batches = Vec::new();
        loop {
            let batch = reading.batch().await;
            let ends = batch.children.is_some();
            batches.push(batch);
            if ends {
                break;
            }
        }
        let read = batches.iter().flat_map(|batch| &batch.records).last();
        assert_eq!(
            read.map(|record| &record.sequence_number),
            last.last(),
            "everything comes before the end of the shard"
        );
        let children = batches
            .pop()
            .and_then(|batch| batch.children)
            .unwrap_or_default();
        let parent = self.fixture.shard();
        assert!(
            children.iter().all(|child| child.parents.contains(&parent)),
            "every child names the shard as a parent: {children:?}"
        );
        let mut named: Vec<_> = children.into_iter().map(|child| child.id).collect();
        named.sort();
        follows.sort();
        assert_eq!(
            named, follows,
            "the end of the shard names the shards that follow"
        );
    }
}

struct Reading {
    feed: Feed,
    waiting: VecDeque<Record>,
    last: Option<SequenceNumber>,
}

impl Reading {
    async fn batch(&mut self) -> Batch {
        let next: Result<Batch, FeedError> = timeout(PATIENCE, self.feed.next())
            .await
            .unwrap_or_else(|_| panic!("the feed brought nothing for {PATIENCE:?}"));
        let batch = next.unwrap_or_else(|error| panic!("the feed failed: {error}"));
        assert!(
            batch.children.is_some() || !batch.records.is_empty(),
            "a batch is empty only where the shard ends"
        );
        for record in &batch.records {
            assert!(
                self.last
                    .as_ref()
                    .is_none_or(|last| *last < record.sequence_number),
                "sequence numbers grow: {:?} comes after {:?}",
                record.sequence_number,
                self.last
            );
            self.last = Some(record.sequence_number.clone());
        }
        batch
    }

    async fn records(&mut self, count: usize) -> Vec<Record> {
        while self.waiting.len() < count {
            let batch = self.batch().await;
            self.waiting.extend(batch.records);
        }
        self.waiting.drain(..count).collect()
    }

    async fn nothing(&mut self, when: &str) {
        let brought = timeout(SILENCE, self.feed.next()).await;
        assert!(
            brought.is_err(),
            "a feed brings nothing {when}, but brought {brought:?}"
        );
    }
}

fn numbers(records: &[Record]) -> Vec<SequenceNumber> {
    records
        .iter()
        .map(|record| record.sequence_number.clone())
        .collect()
}
