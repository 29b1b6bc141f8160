//! Many workers and many shards in one process: how fast all shards are read, and what happens to
//! those of workers that die.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use kcl_core::{
    Batch, Checkpointer, Polling, ProcessorResult, RecordProcessor, ShardContext, Worker,
};
use kcl_lease::DynamoLeases;
use kinesis_emulator::Emulator;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::stage::{Error, LOOK, PATIENCE, patience};

/// For how long nothing may move before it counts as settled.
const REST: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Debug)]
pub struct Crowd {
    /// From the start of the workers until every shard had a processor.
    pub all_read: Duration,
    /// From the start until the last shard had changed hands.
    pub settled: Duration,
    /// Of the shards of one worker: the most less the fewest, when settled.
    pub spread: usize,
    /// Shards that changed hands until then, beyond the first.
    pub moves: usize,
    /// From the death of some workers until every shard had a processor again, and all as many.
    pub healed: Duration,
    /// The spread then.
    pub spread_after: usize,
    /// Shards that the dead had.
    pub orphans: usize,
    /// Shards that changed hands because of it.
    pub moves_after: usize,
}

/// Who processes which shard, by what processors have told, and how often that changed.
#[derive(Debug, Default)]
struct Board {
    holders: BTreeMap<String, String>,
    starts: usize,
    changed: Option<Instant>,
}

#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Board>>);

impl Shared {
    fn with<T>(&self, look: impl FnOnce(&mut Board) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn starts(&self, shard: &str, worker: &str) {
        self.with(|board| {
            board.holders.insert(shard.to_owned(), worker.to_owned());
            board.starts += 1;
            board.changed = Some(Instant::now());
        });
    }

    /// How many shards each of the workers has.
    fn held(&self) -> BTreeMap<String, usize> {
        self.with(|board| {
            let mut held = BTreeMap::new();
            for holder in board.holders.values() {
                *held.entry(holder.clone()).or_default() += 1;
            }
            held
        })
    }
}

struct Noting(Shared);

#[async_trait]
impl RecordProcessor for Noting {
    async fn initialize(&mut self, shard: &ShardContext) -> ProcessorResult {
        self.0.starts(shard.shard().name(), shard.worker().as_str());
        Ok(())
    }

    async fn process_records(
        &mut self,
        _: &ShardContext,
        _: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        Ok(())
    }
}

/// Starts so many workers at once on so many shards, and kills some when they have come to rest.
///
/// # Errors
/// If the shards are not read, or not evenly, within a minute.
pub async fn crowd(shards: usize, workers: usize, dead: usize) -> Result<Crowd, Error> {
    let emulator = Emulator::start().await?;
    let aws = emulator.sdk_config();
    let kinesis = Client::new(&aws);
    kinesis
        .create_stream()
        .stream_name("crowd")
        .shard_count(i32::try_from(shards)?)
        .send()
        .await?;
    let board = Shared::default();
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    let mut handles: BTreeMap<String, AbortHandle> = BTreeMap::new();
    for number in 0..workers {
        let name = format!("worker-{number:02}");
        let processors = board.clone();
        let worker = Worker::builder("crowd-app", "crowd")
            .with_source(Polling::new(&aws))
            .with_ownership(DynamoLeases::new(&aws))
            .with_processor(move |_| Noting(processors.clone()))
            .with_worker_id(name.clone())
            .build()?;
        let running = async move { worker.run(std::future::pending()).await.map(drop) };
        handles.insert(name, tasks.spawn(running));
    }
    await_all(&board, shards, began).await?;
    let all_read = began.elapsed();
    let settled = await_rest(&board, began).await? - began;
    let (held, starts) = (board.held(), board.with(|board| board.starts));
    let spread = spread(&held, workers);

    let died = Instant::now();
    let mut orphans = 0;
    for (name, handle) in handles.into_iter().take(dead) {
        handle.abort();
        orphans += held.get(&name).copied().unwrap_or(0);
        board.with(|board| board.holders.retain(|_, holder| *holder != name));
    }
    await_all(&board, shards, died).await?;
    let healed = await_rest(&board, died).await? - died;
    let found = Crowd {
        all_read,
        settled,
        spread,
        moves: starts - shards,
        healed,
        spread_after: self::spread(&board.held(), workers - dead),
        orphans,
        moves_after: board.with(|board| board.starts) - starts,
    };
    // A worker that ended by itself ended with an error.
    while let Some(ended) = tasks.try_join_next() {
        match ended {
            Ok(ended) => ended?,
            Err(aborted) if aborted.is_cancelled() => {}
            Err(panicked) => return Err(panicked.into()),
        }
    }
    tasks.shutdown().await;
    Ok(found)
}

async fn await_all(board: &Shared, shards: usize, since: Instant) -> Result<(), Error> {
    while board.with(|board| board.holders.len()) < shards {
        patience(since, "not every shard is read")?;
        sleep(LOOK).await;
    }
    Ok(())
}

/// When the last shard changed hands, once that is long ago.
async fn await_rest(board: &Shared, since: Instant) -> Result<Instant, Error> {
    loop {
        let last = board.with(|board| board.changed).unwrap_or(since);
        if last.elapsed() > REST {
            return Ok(last);
        }
        if since.elapsed() > PATIENCE + REST {
            return Err("shards do not stop to change hands".into());
        }
        sleep(LOOK).await;
    }
}

fn spread(held: &BTreeMap<String, usize>, workers: usize) -> usize {
    let most = held.values().max().copied().unwrap_or(0);
    let fewest = if held.len() < workers {
        0
    } else {
        held.values().min().copied().unwrap_or(0)
    };
    most - fewest
}
