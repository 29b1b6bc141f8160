//! The user's code of a run: it writes down every call, and is slow, fails, panics or makes
//! checkpoints of its own as the plan says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;
use kcl_core::model::{Batch, Record};
use kcl_core::port::{Checkpointer, ProcessorResult, RecordProcessor, ShardContext};
use tokio::time::sleep;

use super::history::{Call, Ending, Event, History, InstanceId, Process, RecordId};
use super::scenario::Temper;

/// What a panic of a simulated processor says; the panic hook keeps quiet about it.
pub const PANIC: &str = "the simulated processor panics";

/// Makes processors. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Processors {
    history: History,
    temper: Arc<Mutex<Temper>>,
    made: Arc<AtomicU32>,
    /// How many there are of each process.
    alive: Arc<Mutex<BTreeMap<Process, usize>>>,
}

impl Processors {
    /// Processors of this temper.
    #[must_use]
    pub fn new(history: History, temper: Temper) -> Self {
        Self {
            history,
            temper: Arc::new(Mutex::new(temper)),
            made: Arc::default(),
            alive: Arc::default(),
        }
    }

    /// From now on no processor fails, and none is slower than usual.
    pub fn heal(&self) {
        let mut temper = self.temper.lock().unwrap_or_else(PoisonError::into_inner);
        *temper = Temper {
            pace: temper.pace,
            ..Temper::default()
        };
    }

    /// How many processors of this process there are.
    #[must_use]
    pub fn alive(&self, process: Process) -> usize {
        self.counts().get(&process).copied().unwrap_or_default()
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<Process, usize>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new processor in this process.
    #[must_use]
    pub fn make(&self, process: Process, rng: Rng) -> Processor {
        let instance = self.made.fetch_add(1, Ordering::Relaxed);
        *self.counts().entry(process).or_default() += 1;
        Processor {
            of: self.clone(),
            process,
            instance,
            rng,
            last: None,
        }
    }
}

/// One processor.
#[derive(Debug)]
pub struct Processor {
    of: Processors,
    process: Process,
    instance: InstanceId,
    rng: Rng,
    /// The last record it was handed.
    last: Option<RecordId>,
}

impl Drop for Processor {
    fn drop(&mut self) {
        if let Some(alive) = self.of.counts().get_mut(&self.process) {
            *alive -= 1;
        }
    }
}

/// What a call is going to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Fails,
    Panics,
    Commits,
}

/// A call that is running. However it ends, the history is told.
struct Running {
    history: History,
    instance: InstanceId,
    ending: Ending,
}

impl Running {
    /// The result, written down.
    fn ends(mut self, result: ProcessorResult) -> ProcessorResult {
        self.ending = match result {
            Ok(()) => Ending::Well,
            Err(_) => Ending::Failed,
        };
        result
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.ending = Ending::Failed;
        }
        let (instance, ending) = (self.instance, self.ending);
        self.history.add(Event::Returned { instance, ending });
    }
}

/// The number that the producer put into a record.
#[must_use]
pub fn id_of(record: &Record) -> RecordId {
    id_in(&record.data)
}

/// The number that the producer put into a payload.
#[must_use]
pub fn id_in(data: &[u8]) -> RecordId {
    let bytes = data.first_chunk::<4>();
    bytes.map_or(RecordId::MAX, |bytes| RecordId::from_le_bytes(*bytes))
}

impl Processor {
    fn start(&self, shard: &ShardContext, call: Call) -> Running {
        let history = self.of.history.clone();
        history.add(Event::Called {
            process: self.process,
            instance: self.instance,
            shard: shard.shard().clone(),
            epoch: shard.epoch().get(),
            call,
        });
        Running {
            history,
            instance: self.instance,
            ending: Ending::Cancelled,
        }
    }

    fn draw(&mut self) -> (Duration, Mood) {
        let temper = *self
            .of
            .temper
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let slow = self.rng.u64(..1_000) < temper.slow;
        let most = if slow { temper.slow_max } else { temper.pace };
        let time = Duration::from_micros(self.rng.u64(..=most.max(1) * 1_000));
        let point = self.rng.u64(..1_000);
        let mood = if point < temper.errors {
            Mood::Fails
        } else if point < temper.errors + temper.panics {
            Mood::Panics
        } else if point < temper.errors + temper.panics + temper.manual {
            Mood::Commits
        } else {
            Mood::Well
        };
        (time, mood)
    }

    /// Waits, and fails if that is the mood.
    async fn behave(&mut self) -> Result<Mood, kcl_core::port::BoxError> {
        let (time, mood) = self.draw();
        sleep(time).await;
        match mood {
            Mood::Well | Mood::Commits => Ok(mood),
            Mood::Fails => Err("the simulated processor fails".into()),
            Mood::Panics => panic!("{PANIC}"),
        }
    }

    async fn commit(
        &self,
        upto: Option<RecordId>,
        commit: impl Future<Output = Result<(), kcl_core::error::Error>>,
    ) -> ProcessorResult {
        let (history, instance) = (&self.of.history, self.instance);
        history.add(Event::Acknowledges { instance, upto });
        let result = commit.await;
        history.add(Event::Acknowledged {
            instance,
            upto,
            ok: result.is_ok(),
        });
        Ok(result?)
    }
}

impl Processor {
    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> ProcessorResult {
        if self.behave().await? == Mood::Commits && !batch.records.is_empty() {
            let chosen = &batch.records[self.rng.usize(..batch.records.len())];
            let commit = checkpointer.checkpoint_at(chosen);
            self.commit(Some(id_of(chosen)), commit).await?;
            // What comes after the commit can fail as well.
            self.behave().await?;
        }
        Ok(())
    }

    /// The end of the shard, or of the grant after this record.
    async fn finish(
        &mut self,
        after: Option<Option<RecordId>>,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        let commits = self.behave().await? == Mood::Commits;
        match after {
            None if commits => self.commit(None, checkpointer.checkpoint()).await,
            Some(Some(last)) if commits => self.commit(Some(last), checkpointer.checkpoint()).await,
            None | Some(_) => Ok(()),
        }
    }
}

#[async_trait]
impl RecordProcessor for Processor {
    async fn initialize(&mut self, shard: &ShardContext) -> ProcessorResult {
        let running = self.start(shard, Call::Initialize);
        let result = self.behave().await.map(drop);
        running.ends(result)
    }

    async fn process_records(
        &mut self,
        shard: &ShardContext,
        batch: &Batch,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        let ids: Vec<_> = batch.records.iter().map(id_of).collect();
        self.last = ids.last().copied().or(self.last);
        let running = self.start(shard, Call::Process(ids));
        let result = self.process(batch, checkpointer).await;
        running.ends(result)
    }

    async fn lease_lost(&mut self, shard: &ShardContext) {
        let mut running = self.start(shard, Call::LeaseLost);
        let (time, _) = self.draw();
        sleep(time).await;
        running.ending = Ending::Well;
    }

    async fn shard_ended(
        &mut self,
        shard: &ShardContext,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        let running = self.start(shard, Call::ShardEnded);
        let result = self.finish(None, checkpointer).await;
        running.ends(result)
    }

    async fn shutdown_requested(
        &mut self,
        shard: &ShardContext,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        let running = self.start(shard, Call::ShutdownRequested);
        let result = self.finish(Some(self.last), checkpointer).await;
        running.ends(result)
    }
}
