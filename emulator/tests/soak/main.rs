//! Writers, readers and reshards at once, on real threads, for as long as one likes: every reader sees
//! each record once and in order, per shard and per key across generations, and misses none.
//!
//! `cargo test` runs three seconds. `SOAK_SECONDS=60 cargo test --release -p kinesis-emulator --test
//! soak -- --nocapture` runs a minute and prints how much went through.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot go on without fails it"
)]

mod caller;
mod lineage;
mod reader;
mod resharder;
mod subscriber;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use kinesis_emulator::{Service, Settings};
use tokio::time::{Instant, sleep};

use self::caller::Caller;

const WRITERS: usize = 3;
/// Of the two kinds, in this order.
const POLLERS: usize = 2;
const SUBSCRIBERS: usize = 2;
const READERS: usize = POLLERS + SUBSCRIBERS;
const KEYS: usize = 32;
const FIRST_SHARDS: u32 = 3;
/// How many records writers may be ahead of the slowest reader: reading is the dearer part.
const AHEAD: u64 = 100_000;

/// What everyone sees.
pub(crate) struct Soak {
    pub(crate) caller: Caller,
    /// No more is to be written.
    pub(crate) is_over: AtomicBool,
    /// No more is being written.
    pub(crate) is_written: AtomicBool,
    /// Records acknowledged per key. Only its own writer changes it.
    pub(crate) written: Vec<AtomicU64>,
    pub(crate) written_in_all: AtomicU64,
    pub(crate) read: [AtomicU64; READERS],
    pub(crate) calls: AtomicUsize,
    pub(crate) most_calls: AtomicUsize,
}

impl Soak {
    /// Whether the readers are so far behind that writers had better wait.
    pub(crate) fn is_far_ahead(&self) -> bool {
        let read = self.read.iter().map(|read| read.load(Ordering::Relaxed));
        let written = self.written_in_all.load(Ordering::Relaxed);
        written.saturating_sub(read.min().unwrap()) > AHEAD
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn every_reader_sees_each_record_once_and_in_order_while_shards_split_and_merge() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(3, |value| value.parse().unwrap());
    let seed = std::env::var("SOAK_SEED").map_or(1, |value| value.parse().unwrap());
    let settings = Settings {
        // So that subscribers may hang up and come back at once.
        subscription_hold: Duration::ZERO,
        ..Settings::default()
    };
    let soak = Arc::new(Soak {
        caller: Caller::new(Service::new(settings)),
        is_over: AtomicBool::new(false),
        is_written: AtomicBool::new(false),
        written: (0..KEYS).map(|_| AtomicU64::new(0)).collect(),
        written_in_all: AtomicU64::new(0),
        read: Default::default(),
        calls: AtomicUsize::new(0),
        most_calls: AtomicUsize::new(0),
    });
    let create = format!(r#"{{"StreamName":"s","ShardCount":{FIRST_SHARDS}}}"#);
    soak.caller.ok("CreateStream", create).await;
    let started = Instant::now();
    let pollers =
        (0..POLLERS).map(|place| tokio::spawn(reader::run(Arc::clone(&soak), place, seed)));
    let mut readers: Vec<_> = pollers.collect();
    let subscribers = (POLLERS..READERS)
        .map(|place| tokio::spawn(subscriber::run(Arc::clone(&soak), place, seed)));
    readers.extend(subscribers);
    let writers: Vec<_> = (0..WRITERS)
        .map(|place| tokio::spawn(writer::run(Arc::clone(&soak), place, seed)))
        .collect();
    let resharder = tokio::spawn(resharder::run(Arc::clone(&soak), seed));
    sleep(Duration::from_secs(seconds)).await;
    soak.is_over.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    let reshards = resharder.await.unwrap();
    soak.is_written.store(true, Ordering::SeqCst);
    let wrote_for = started.elapsed();
    let mut shards = 0;
    for reader in readers {
        shards = reader.await.unwrap().max(shards);
    }
    let written = soak.written_in_all.load(Ordering::SeqCst);
    let most = soak.most_calls.load(Ordering::Relaxed);
    println!(
        "seed {seed}: {written} records in {:.1} s ({:.0}/s), each read once by {POLLERS} \
         pollers and {SUBSCRIBERS} subscribers within {:.1} s; {reshards} splits and merges, {shards} shards; up to {most} calls at once",
        wrote_for.as_secs_f64(),
        written as f64 / wrote_for.as_secs_f64(),
        started.elapsed().as_secs_f64(),
    );
    assert!(written > 1000 * seconds, "{written} records are no load");
    assert!(reshards as u64 > 5 * seconds, "{reshards} reshards are few");
    assert!(most > 1, "nothing happened at the same time");
}
