//! A stream in memory, written by a test and read by a worker.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::error::{Error, Problem};
use crate::model::{Batch, ChildShard, HashKeyRange, Position, Record, SequenceNumber, ShardId};
use crate::port::{BatchSender, Feed, OpenFeed, RecordSource};

/// A stream in memory. Clones share it: keep one, give the other to the worker.
///
/// Sequence numbers count up over all shards from 1, and a record arrives as many milliseconds
/// after 1970 as its number says, so that timestamps can be computed in a test.
#[derive(Clone, Debug)]
pub struct ScriptedSource {
    stream: Arc<Mutex<Stream>>,
    changed: Arc<Notify>,
    batch_max: usize,
    prefetch_bytes_max: usize,
}

#[derive(Debug, Default)]
struct Stream {
    shards: BTreeMap<ShardId, Log>,
    last: u64,
    opened: Vec<(ShardId, Position)>,
}

#[derive(Debug, Default)]
struct Log {
    records: Vec<Record>,
    children: Option<Vec<ChildShard>>,
    failures: VecDeque<Error>,
}

/// What a read of a log brings next.
enum Next {
    Batch(Batch),
    Fail(Error),
    Nothing,
}

impl Default for ScriptedSource {
    fn default() -> Self {
        Self::new()
    }
}

impl ScriptedSource {
    /// An empty stream.
    #[must_use]
    pub fn new() -> Self {
        Self {
            stream: Arc::default(),
            changed: Arc::default(),
            batch_max: 100,
            prefetch_bytes_max: 1024 * 1024,
        }
    }

    /// At most this many records in a batch. Default 100.
    #[must_use]
    pub fn with_batch_max(mut self, records: usize) -> Self {
        self.batch_max = records.max(1);
        self
    }

    /// Puts records into a shard, which is made if it is not there. Their partition key is `key`.
    pub fn put<T: AsRef<[u8]>>(
        &self,
        shard: impl Into<ShardId>,
        payloads: impl IntoIterator<Item = T>,
    ) -> Vec<SequenceNumber> {
        let keyed = payloads.into_iter().map(|payload| ("key", payload));
        self.put_keyed(shard, keyed)
    }

    /// Puts records into a shard, each with its partition key before its payload.
    pub fn put_keyed<K: Into<String>, T: AsRef<[u8]>>(
        &self,
        shard: impl Into<ShardId>,
        records: impl IntoIterator<Item = (K, T)>,
    ) -> Vec<SequenceNumber> {
        let mut stream = self.stream();
        let shard = shard.into();
        let mut numbers = Vec::new();
        for (key, payload) in records {
            stream.last += 1;
            let record = Record {
                partition_key: key.into(),
                ..record(stream.last, payload.as_ref())
            };
            numbers.push(record.sequence_number.clone());
            stream
                .shards
                .entry(shard.clone())
                .or_default()
                .records
                .push(record);
        }
        drop(stream);
        self.changed.notify_waiters();
        numbers
    }

    /// Puts one aggregated record into a shard, as a source hands it out that takes it apart: all of
    /// these have its sequence number, and count up from 0 within it.
    pub fn put_aggregated<T: AsRef<[u8]>>(
        &self,
        shard: impl Into<ShardId>,
        payloads: impl IntoIterator<Item = T>,
    ) -> SequenceNumber {
        let mut stream = self.stream();
        stream.last += 1;
        let number = stream.last;
        let log = stream.shards.entry(shard.into()).or_default();
        for (place, payload) in (0..).zip(payloads) {
            log.records.push(Record {
                subsequence_number: place,
                ..record(number, payload.as_ref())
            });
        }
        drop(stream);
        self.changed.notify_waiters();
        record(number, b"").sequence_number
    }

    /// Closes a shard. These shards follow on it; each is a child of `shard` alone.
    pub fn close(&self, shard: impl Into<ShardId>, children: &[&str]) {
        let shard = shard.into();
        let children = children.iter().map(|child| ChildShard {
            id: ShardId::new(child),
            parents: vec![shard.clone()],
            range: HashKeyRange {
                start: 0,
                end: u128::MAX,
            },
        });
        self.close_with(shard.clone(), children.collect());
    }

    /// Closes a shard, with children that may have other parents as well.
    pub fn close_with(&self, shard: impl Into<ShardId>, children: Vec<ChildShard>) {
        self.stream()
            .shards
            .entry(shard.into())
            .or_default()
            .children = Some(children);
        self.changed.notify_waiters();
    }

    /// Lets a feed of the shard fail with this error, once, before it reads on.
    pub fn fail(&self, shard: impl Into<ShardId>, error: Error) {
        self.stream()
            .shards
            .entry(shard.into())
            .or_default()
            .failures
            .push_back(error);
        self.changed.notify_waiters();
    }

    /// Every feed that was opened so far, and where it started.
    #[must_use]
    pub fn opened(&self) -> Vec<(ShardId, Position)> {
        self.stream().opened.clone()
    }

    fn stream(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, shard: &ShardId, at: &mut usize) -> Next {
        let mut stream = self.stream();
        let log = stream.shards.entry(shard.clone()).or_default();
        if let Some(error) = log.failures.pop_front() {
            return Next::Fail(error);
        }
        let end = log.records.len().min(*at + self.batch_max);
        let records = log.records.get(*at..end).unwrap_or_default().to_vec();
        *at = end;
        let at_tip = end == log.records.len();
        let children = if at_tip { log.children.clone() } else { None };
        if records.is_empty() && children.is_none() {
            return Next::Nothing;
        }
        let behind = u64::try_from(log.records.len() - end).unwrap_or(u64::MAX);
        Next::Batch(Batch {
            records,
            lag: Some(Duration::from_millis(behind)),
            children,
        })
    }

    async fn read(self, shard: ShardId, from: Position, sender: BatchSender) {
        let mut at = {
            let mut stream = self.stream();
            stream.opened.push((shard.clone(), from.clone()));
            start(stream.shards.entry(shard.clone()).or_default(), &from)
        };
        loop {
            if !sender.ready().await {
                return;
            }
            let changed = self.changed.notified();
            match self.next(&shard, &mut at) {
                Next::Batch(batch) => {
                    let ends = batch.children.is_some();
                    if !sender.send(batch).await || ends {
                        return;
                    }
                }
                Next::Fail(error) => return sender.fail(error).await,
                Next::Nothing => changed.await,
            }
        }
    }
}

impl RecordSource for ScriptedSource {
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }

    fn open(&self, request: OpenFeed) -> Feed {
        let source = self.clone();
        Feed::spawn(self.prefetch_bytes_max, |sender| {
            source.read(request.shard, request.from, sender)
        })
    }
}

fn start(log: &Log, from: &Position) -> usize {
    let first = |is_before: &dyn Fn(&Record) -> bool| log.records.partition_point(is_before);
    match from {
        Position::TrimHorizon => 0,
        Position::Latest => log.records.len(),
        Position::AtTimestamp(time) => first(&|record| {
            record
                .approximate_arrival
                .is_some_and(|arrival| arrival < *time)
        }),
        Position::AtSequence(number) => first(&|record| record.sequence_number < *number),
        Position::AfterSequence(number) => first(&|record| record.sequence_number <= *number),
    }
}

fn record(number: u64, payload: &[u8]) -> Record {
    Record {
        sequence_number: SequenceNumber::new(number.to_string())
            .expect("the digits of a number are a sequence number"),
        subsequence_number: 0,
        partition_key: "key".to_owned(),
        data: Bytes::copy_from_slice(payload),
        approximate_arrival: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(number)),
    }
}
