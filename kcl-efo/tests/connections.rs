//! A worker whose connections to the emulator all go through a proxy that breaks them, or lets them stand and
//! carries nothing any more. On real sockets and in real time: a few seconds in ordinary runs, and so
//! many as `CONNECTIONS_SECONDS` says (60 is what is promised).

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use kcl_core::event::ReadFailure;
use kcl_core::*;
use kcl_efo::{FanOut, FanOutSettings, SubscriptionSettings};
use kcl_lease::DynamoLeases;
use kinesis_emulator::Emulator;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

const STREAM: &str = "stream";
const SECOND: Duration = Duration::from_secs(1);

fn seconds() -> u64 {
    let given = std::env::var("CONNECTIONS_SECONDS").ok();
    given.map_or(10, |text| {
        text.parse().expect("CONNECTIONS_SECONDS is a number")
    })
}

/// Carries connections to the emulator, until they are broken or frozen.
struct Proxy {
    address: SocketAddr,
    carried: Arc<Mutex<JoinSet<()>>>,
    frozen: Arc<Mutex<Vec<(TcpStream, TcpStream)>>>,
    is_frozen: tokio::sync::watch::Sender<u64>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let carried: Arc<Mutex<JoinSet<()>>> = Arc::default();
        let frozen: Arc<Mutex<Vec<_>>> = Arc::default();
        let (is_frozen, freezes) = tokio::sync::watch::channel(0);
        let mut accepting = JoinSet::new();
        let (into, held) = (carried.clone(), frozen.clone());
        accepting.spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (held, mut freeze) = (held.clone(), freezes.clone());
                freeze.mark_unchanged();
                into.lock().unwrap().spawn(async move {
                    let Ok(mut far) = TcpStream::connect(to).await else {
                        return;
                    };
                    tokio::select! {
                        biased; // ORDER: a frozen connection carries nothing more
                        _ = freeze.changed() => held.lock().unwrap().push((near, far)),
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                    }
                });
            }
        });
        Self {
            address,
            carried,
            frozen,
            is_frozen,
            _accepting: accepting,
        }
    }

    /// Breaks every connection.
    fn break_all(&self) {
        self.carried.lock().unwrap().abort_all();
    }

    /// Every connection of now stands, and carries nothing any more.
    fn freeze_all(&self) {
        self.is_frozen.send_modify(|times| *times += 1);
    }
}

/// What was processed, by shard and epoch.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<Tenures>>);

type Tenures = BTreeMap<(ShardId, Epoch), Vec<SequenceNumber>>;

#[async_trait]
impl RecordProcessor for Book {
    async fn process_records(
        &mut self,
        shard: &ShardContext,
        batch: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        let numbers = batch
            .records
            .iter()
            .map(|record| record.sequence_number.clone());
        let tenure = (shard.shard().clone(), shard.epoch());
        self.0
            .lock()
            .unwrap()
            .entry(tenure)
            .or_default()
            .extend(numbers);
        Ok(())
    }
}

impl Book {
    fn all(&self) -> BTreeSet<SequenceNumber> {
        self.0.lock().unwrap().values().flatten().cloned().collect()
    }

    /// Within an epoch, everything comes in order and once.
    fn check(&self) {
        for (tenure, numbers) in &*self.0.lock().unwrap() {
            assert!(
                numbers.is_sorted_by(|one, next| one < next),
                "{tenure:?} repeats"
            );
        }
    }
}

struct Stage {
    client: Client,
    proxy: Proxy,
    book: Book,
    failures: Arc<Mutex<Vec<ReadFailure>>>,
    stop: oneshot::Sender<()>,
    worker: JoinSet<Result<Report, Error>>,
    _emulator: Emulator,
}

async fn stage(settings: FanOutSettings) -> Stage {
    let emulator = Emulator::start().await.unwrap();
    let client = Client::new(&emulator.sdk_config());
    let made = client.create_stream().stream_name(STREAM).shard_count(2);
    made.send().await.unwrap();
    let proxy = Proxy::start(emulator.address()).await;
    let endpoint = format!("http://{}", proxy.address);
    let config = emulator.sdk_config().into_builder();
    let config = config.endpoint_url(endpoint).build();
    let (book, failures) = (Book::default(), Arc::<Mutex<Vec<_>>>::default());
    let (processors, told) = (book.clone(), failures.clone());
    let worker = Worker::builder("app", STREAM)
        .with_source(FanOut::new(&config, "app").with_settings(settings))
        .with_ownership(DynamoLeases::new(&config))
        .with_processor(move |_: &ShardContext| processors.clone())
        .with_observer(move |event: &Event| {
            if let Event::ReadFailed { why, .. } = event {
                told.lock().unwrap().push(*why);
            }
        })
        .build()
        .unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut running = JoinSet::new();
    running.spawn(worker.run(async move { drop(stopped.await) }));
    Stage {
        client,
        proxy,
        book,
        failures,
        stop,
        worker: running,
        _emulator: emulator,
    }
}

impl Stage {
    async fn put(&self, count: u64) -> BTreeSet<SequenceNumber> {
        let mut put = BTreeSet::new();
        for number in 0..count {
            let call = self.client.put_record().stream_name(STREAM);
            let call = call.partition_key(number.to_string()).data(Blob::new("x"));
            let number = call.send().await.unwrap().sequence_number;
            put.insert(SequenceNumber::new(number).unwrap());
        }
        put
    }

    /// Until all of these are processed.
    async fn processed(&self, put: &BTreeSet<SequenceNumber>, within: Duration) -> Duration {
        let since = Instant::now();
        while !put.is_subset(&self.book.all()) {
            let missing = put.difference(&self.book.all()).count();
            assert!(
                since.elapsed() < within,
                "{missing} records are missing after {within:?}"
            );
            sleep(Duration::from_millis(20)).await;
        }
        since.elapsed()
    }

    async fn end(mut self) -> Report {
        drop(self.stop);
        self.worker.join_next().await.unwrap().unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_every_second_lose_nothing_and_repeat_nothing() {
    let stage = stage(FanOutSettings::default()).await;
    let mut put = stage.put(10).await;
    stage.processed(&put, 30 * SECOND).await;
    let mut ticks = interval(SECOND / 50);
    for tick in 0..seconds() * 50 {
        ticks.tick().await;
        put.extend(stage.put(1).await);
        if tick % 50 == 49 {
            stage.proxy.break_all();
        }
    }
    stage.processed(&put, 30 * SECOND).await;
    stage.book.check();
    assert_eq!(stage.book.all(), put);
    let failures = stage.failures.lock().unwrap().clone();
    assert!(failures.contains(&ReadFailure::Unavailable), "{failures:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_stand_and_carry_nothing_are_replaced_in_time() {
    // The shortest silence that can be set, unless there is time for the default.
    let subscription = SubscriptionSettings::default();
    let silence_max = if seconds() >= 60 {
        subscription.silence_max
    } else {
        10 * SECOND
    };
    let settings = FanOutSettings {
        subscription: SubscriptionSettings {
            silence_max,
            ..subscription
        },
        ..FanOutSettings::default()
    };
    let stage = stage(settings).await;
    let mut put = stage.put(50).await;
    stage.processed(&put, 30 * SECOND).await;
    stage.proxy.freeze_all();
    put.extend(stage.put(50).await);
    let took = stage.processed(&put, silence_max + 5 * SECOND).await;
    assert!(!stage.proxy.frozen.lock().unwrap().is_empty());
    stage.book.check();
    let failures = stage.failures.lock().unwrap().clone();
    assert!(
        failures.contains(&ReadFailure::Silent),
        "{failures:?} after {took:?}"
    );
    stage.end().await;
}
