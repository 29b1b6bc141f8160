//! A steady producer that remembers the sequence number of every record the service acknowledged.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Records per request of [`preload`]: the most that PutRecords takes.
const PRELOAD_BATCH: usize = 500;

/// Puts `count` records of `bytes` bytes, spread evenly over the hash range.
///
/// # Errors
/// If the service refuses a record.
pub async fn preload(
    client: &Client,
    stream: &str,
    count: usize,
    bytes: usize,
) -> Result<BTreeSet<String>, Error> {
    let mut sent = BTreeSet::new();
    for start in (0..count).step_by(PRELOAD_BATCH) {
        let batch = start..count.min(start + PRELOAD_BATCH);
        put(client, stream, batch, bytes, &mut sent).await?;
    }
    Ok(sent)
}

async fn put(
    client: &Client,
    stream: &str,
    numbers: std::ops::Range<usize>,
    bytes: usize,
    sent: &mut BTreeSet<String>,
) -> Result<(), Error> {
    let mut records = Vec::with_capacity(numbers.len());
    for number in numbers {
        // The golden ratio spreads consecutive numbers evenly over the whole hash range.
        let hash = (number as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let mut data = format!("{number:020}").into_bytes();
        data.resize(bytes.max(20), b'x');
        let entry = PutRecordsRequestEntry::builder()
            .partition_key(format!("key-{}", number % 64))
            .explicit_hash_key(hash.to_string())
            .data(Blob::new(data));
        records.push(entry.build()?);
    }
    let reply = client
        .put_records()
        .stream_name(stream)
        .set_records(Some(records))
        .send()
        .await?;
    for record in reply.records() {
        match record.sequence_number() {
            Some(sequence) => sent.insert(sequence.to_owned()),
            None => return Err(format!("a record was refused: {record:?}").into()),
        };
    }
    Ok(())
}

/// Puts a few records every few milliseconds until it is stopped.
#[derive(Debug)]
pub struct Producer {
    sent: Arc<Mutex<BTreeSet<String>>>,
    stop: watch::Sender<bool>,
    task: JoinSet<Result<(), Error>>,
}

impl Producer {
    /// Starts to put `per_tick` records of 100 bytes every `tick`.
    #[must_use]
    pub fn start(client: Client, stream: &str, per_tick: usize, tick: Duration) -> Self {
        let sent = Arc::new(Mutex::new(BTreeSet::new()));
        let (stop, stopped) = watch::channel(false);
        let (stream, known) = (stream.to_owned(), sent.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut ticks = interval(tick);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let mut next = 0;
            while !*stopped.borrow() {
                ticks.tick().await;
                let mut fresh = BTreeSet::new();
                put(&client, &stream, next..next + per_tick, 100, &mut fresh).await?;
                next += per_tick;
                known
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .append(&mut fresh);
            }
            Ok(())
        });
        Self { sent, stop, task }
    }

    /// Stops and answers every sequence number that was acknowledged.
    ///
    /// # Errors
    /// If a put failed on the way.
    pub async fn stop(mut self) -> Result<BTreeSet<String>, Error> {
        self.stop.send_replace(true);
        while let Some(ended) = self.task.join_next().await {
            ended??;
        }
        Ok(std::mem::take(
            &mut *self.sent.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}
