//! Workers that pretend to read: each delivery is noted with its time, its shard and its epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::env::Env;
use kcl_core::error::Error;
use kcl_core::event::{Events, Origin};
use kcl_core::model::{
    ApplicationName, Checkpoint, ChildShard, InitialPosition, SequenceNumber, ShardId, StreamName,
    WorkerId,
};
use kcl_core::port::{
    CommitError, Grant, Ownership as _, OwnershipControl, OwnershipRun, OwnershipStart, Standing,
};
use kcl_core::{StreamTracker, Streams};
use kcl_lease::{LeaseSettings, Leases};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::flaky::{Flaky, Network};
use super::stream::{FakeStream, FakeStreams, wall};

/// What happened, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Granted {
        worker: String,
        shard: ShardId,
        epoch: u64,
        from: Checkpoint,
    },
    Delivered {
        worker: String,
        shard: ShardId,
        epoch: u64,
        number: u64,
    },
    Committed {
        shard: ShardId,
        epoch: u64,
        number: u64,
    },
    Finished {
        shard: ShardId,
        epoch: u64,
    },
    GaveBack {
        shard: ShardId,
        epoch: u64,
    },
}

/// All that the workers of one run share.
#[derive(Clone, Debug)]
pub struct World {
    pub stream: FakeStream,
    /// Streams beside it, for workers of several.
    pub streams: FakeStreams,
    pub network: Network,
    pub history: Arc<Mutex<Vec<(Duration, Event)>>>,
    pub settings: LeaseSettings,
    pub initial: InitialPosition,
    /// Bytes of each delivery; nothing where it does not matter.
    pub bytes: Arc<Mutex<BTreeMap<ShardId, usize>>>,
    /// The readers that the service does not answer.
    pub unanswered: Arc<Mutex<BTreeSet<(String, ShardId)>>>,
    /// What every worker told, in order.
    pub observed: Arc<Mutex<Vec<(String, kcl_core::Event)>>>,
    began: Instant,
    seed: u64,
}

/// A worker that runs.
pub struct Worker {
    pub door: Flaky,
    pub name: String,
    control: Box<dyn OwnershipControl>,
    stop: watch::Sender<bool>,
    readers: JoinSet<()>,
}

impl World {
    pub fn new(seed: u64, shards: u32, faults: u64) -> Self {
        Self {
            stream: FakeStream::with_shards(shards),
            streams: FakeStreams::default(),
            network: Network::new(seed, faults),
            history: Arc::default(),
            bytes: Arc::default(),
            unanswered: Arc::default(),
            observed: Arc::default(),
            settings: LeaseSettings::default(),
            initial: InitialPosition::TrimHorizon,
            began: Instant::now(),
            seed,
        }
    }

    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub fn wall(&self) -> std::time::SystemTime {
        wall(self.began)
    }

    pub fn note(&self, event: Event) {
        self.history.lock().unwrap().push((self.now(), event));
    }

    pub fn events(&self) -> Vec<(Duration, Event)> {
        self.history.lock().unwrap().clone()
    }

    pub fn begin(&self, name: &str) -> OwnershipStart {
        let began = self.began;
        let seed = name.bytes().fold(self.seed, |hash, byte| {
            hash.wrapping_mul(31) + u64::from(byte)
        });
        let origin = Origin {
            application: ApplicationName::new("app").unwrap(),
            stream: Some(StreamName::new("stream").unwrap()),
            worker: WorkerId::new(name).unwrap(),
        };
        let (observed, worker) = (self.observed.clone(), name.to_owned());
        let observer = move |event: &kcl_core::Event| {
            let noted = (worker.clone(), event.clone());
            observed.lock().unwrap().push(noted);
        };
        OwnershipStart {
            application: origin.application.clone(),
            tracker: StreamTracker::Single {
                stream: StreamName::new("stream").unwrap(),
                initial_position: self.initial,
            },
            worker: origin.worker.clone(),
            env: Env::simulated(move || wall(began), seed),
            events: Events::new(origin, vec![Arc::new(observer)]),
        }
    }

    pub async fn start(&self, name: &str) -> Worker {
        self.try_start(name).await.unwrap()
    }

    /// Starts a worker and hands its grants to the test.
    pub async fn start_bare(&self, name: &str) -> OwnershipRun {
        self.start_behind(&self.network.door(), name).await
    }

    /// The same behind a door of the test's own.
    pub async fn start_behind(&self, door: &Flaky, name: &str) -> OwnershipRun {
        let leases = Leases::new(door.clone(), self.stream.clone());
        let leases = leases.with_settings(self.settings.clone());
        Box::new(leases).start(self.begin(name)).await.unwrap()
    }

    pub async fn try_start(&self, name: &str) -> Result<Worker, Error> {
        let door = self.network.door();
        let leases =
            Leases::new(door.clone(), self.stream.clone()).with_settings(self.settings.clone());
        let run = Box::new(leases).start(self.begin(name)).await?;
        Ok(self.read_with(name, door, run))
    }

    /// Starts a worker of several streams.
    pub async fn try_start_with(&self, name: &str, streams: &Streams) -> Result<Worker, Error> {
        let door = self.network.door();
        let leases = Leases::new(door.clone(), self.streams.clone());
        let leases = leases.with_settings(self.settings.clone());
        let start = OwnershipStart {
            tracker: StreamTracker::Multi(streams.clone()),
            ..self.begin(name)
        };
        let run = Box::new(leases).start(start).await?;
        Ok(self.read_with(name, door, run))
    }

    fn read_with(&self, name: &str, door: Flaky, run: OwnershipRun) -> Worker {
        let (stop, stopped) = watch::channel(false);
        let mut readers = JoinSet::new();
        readers.spawn(read_all(self.clone(), name.to_owned(), run.grants, stopped));
        Worker {
            door,
            name: name.to_owned(),
            control: run.control,
            stop,
            readers,
        }
    }

    /// The parents of a shard, whichever stream it is of.
    fn parents(&self, id: &ShardId) -> Vec<ShardId> {
        let shard = self.stream_of(id).shard(&id.name().into()).unwrap();
        let parents = shard.parents.iter();
        parents.map(|parent| id.sibling(parent.name())).collect()
    }

    /// What the last read of a closed shard says, with its stream, as the worker's own tasks add it.
    fn children(&self, id: &ShardId) -> Option<Vec<ChildShard>> {
        let children = self.stream_of(id).children(&id.name().into())?.into_iter();
        let of = |name: &ShardId| id.sibling(name.name());
        let child = |child: ChildShard| ChildShard {
            id: of(&child.id),
            parents: child.parents.iter().map(of).collect(),
            range: child.range,
        };
        Some(children.map(child).collect())
    }

    fn stream_of(&self, id: &ShardId) -> FakeStream {
        match id.stream() {
            None => self.stream.clone(),
            Some(stream) => self.streams.ever(stream),
        }
    }

    /// The shards of which something was delivered since then.
    pub fn delivered_since(&self, since: Duration) -> BTreeSet<ShardId> {
        let delivered = |(at, event)| match event {
            Event::Delivered { shard, .. } if at >= since => Some(shard),
            Event::Delivered { .. }
            | Event::Granted { .. }
            | Event::Committed { .. }
            | Event::Finished { .. }
            | Event::GaveBack { .. } => None,
        };
        self.events().into_iter().filter_map(delivered).collect()
    }

    /// Which worker holds how many unfinished leases, by the table.
    pub async fn shares(&self) -> BTreeMap<String, usize> {
        let mut shares = BTreeMap::new();
        for worker in self.network.workers().await {
            shares.insert(worker.key.to_string(), 0);
        }
        for row in self
            .network
            .leases()
            .await
            .into_values()
            .filter(|row| !row.is_ended())
        {
            if let Some(key) = row.owner.and_then(|owner| owner.key()) {
                *shares.entry(key.to_string()).or_insert(0) += 1;
            }
        }
        shares
    }

    /// Rules that hold for every history, faults or not.
    pub fn check(&self) {
        let mut newest: BTreeMap<ShardId, u64> = BTreeMap::new();
        let mut committed: BTreeMap<ShardId, u64> = BTreeMap::new();
        let finished = self.network.ended();
        let mut grants = BTreeSet::new();
        for (at, event) in self.events() {
            match event {
                Event::Granted {
                    shard, epoch, from, ..
                } => {
                    assert!(
                        grants.insert((shard.clone(), epoch)),
                        "{shard} granted twice at {epoch}"
                    );
                    let newest = newest.entry(shard.clone()).or_insert(0);
                    *newest = epoch.max(*newest);
                    let durable = committed.get(&shard).copied().unwrap_or(0);
                    assert!(
                        number(&from) >= durable,
                        "{shard} starts at {from}, {durable} is durable"
                    );
                    for parent in self.parents(&shard) {
                        let ended = finished.get(&parent).map(|ended| *ended - self.began);
                        assert!(
                            ended.is_some_and(|ended| ended <= at),
                            "{shard} read before {parent} at {at:?}"
                        );
                    }
                }
                Event::Delivered {
                    worker,
                    shard,
                    epoch,
                    ..
                } => assert_eq!(
                    newest.get(&shard),
                    Some(&epoch),
                    "{worker} delivers {shard} at {at:?} although it was granted to another"
                ),
                Event::Committed { shard, number, .. } => {
                    committed.insert(shard, number);
                }
                Event::Finished { .. } | Event::GaveBack { .. } => {}
            }
        }
    }
}

pub fn number(checkpoint: &Checkpoint) -> u64 {
    match checkpoint {
        Checkpoint::Sequence { sequence, .. } => sequence.as_str().parse().unwrap(),
        Checkpoint::TrimHorizon | Checkpoint::Latest | Checkpoint::AtTimestamp(_) => 0,
        Checkpoint::ShardEnd => u64::MAX,
    }
}

pub fn at(number: u64) -> Checkpoint {
    Checkpoint::at(SequenceNumber::new(number.to_string()).unwrap())
}

impl Worker {
    /// Gives everything back and leaves.
    pub async fn leave(mut self) -> Result<(), Error> {
        self.control.stop_taking();
        self.stop.send_replace(true);
        while let Some(ended) = self.readers.join_next().await {
            ended.unwrap();
        }
        self.control.leave().await
    }

    pub fn stop_taking(&mut self) {
        self.control.stop_taking();
    }

    pub async fn failed(&mut self) -> Error {
        self.control.failed().await
    }

    /// What `kill -9` does.
    pub fn crash(self) {
        drop(self);
    }

    pub fn cut(&self, cut: bool) {
        self.door.cut.store(cut, Ordering::Relaxed);
    }
}

async fn read_all(
    world: World,
    worker: String,
    mut grants: mpsc::Receiver<Grant>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut readers = JoinSet::new();
    let stop = stopped.clone();
    loop {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => break,
            Some(_) = readers.join_next() => {}
            grant = grants.recv() => match grant {
                Some(grant) => {
                    readers.spawn(read(world.clone(), worker.clone(), grant, stop.clone()));
                }
                None => break,
            },
        }
    }
    grants.close();
    while let Some(grant) = grants.recv().await {
        readers.spawn(read(world.clone(), worker.clone(), grant, stop.clone()));
    }
    while readers.join_next().await.is_some() {}
}

/// Asks the service once, and tells whether it answered.
fn asked(world: &World, worker: &str, grant: &Grant) -> bool {
    grant.meter.asks(Instant::now());
    let reader = (worker.to_owned(), grant.shard.id.clone());
    let is_answered = !world.unanswered.lock().unwrap().contains(&reader);
    if is_answered {
        grant.meter.answered();
        let bytes = world.bytes.lock().unwrap().get(&grant.shard.id).copied();
        grant.meter.read(bytes.unwrap_or(0));
    }
    is_answered
}

/// Reads one shard: a delivery every 100 ms, a commit after every fifth, until it is closed.
async fn read(world: World, worker: String, mut grant: Grant, stopped: watch::Receiver<bool>) {
    let (shard, epoch) = (grant.shard.id.clone(), grant.epoch.get());
    let from = grant.checkpoint.clone();
    let mut done = number(&from);
    world.note(Event::Granted {
        worker: worker.clone(),
        shard: shard.clone(),
        epoch,
        from,
    });
    loop {
        let standing = *grant.standing.borrow();
        let leaving = *stopped.borrow() || matches!(standing, Standing::HandOver { .. });
        match standing {
            Standing::Lost => return,
            Standing::Held { until } | Standing::HandOver { until } => {
                if Instant::now() >= until {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            }
        }
        if leaving {
            if grant.right.release().await.is_ok() {
                world.note(Event::GaveBack { shard, epoch });
            }
            return;
        }
        if !asked(&world, &worker, &grant) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        }
        done += 1;
        let delivered = Event::Delivered {
            worker: worker.clone(),
            shard: shard.clone(),
            epoch,
            number: done,
        };
        world.note(delivered);
        if let Some(children) = world.children(&shard) {
            match grant.right.finish(&children).await {
                Ok(()) => {
                    world.note(Event::Finished { shard, epoch });
                    return;
                }
                Err(CommitError::Unavailable(_)) => {}
                Err(CommitError::Fenced { .. }) => return,
                Err(error) => panic!("{error:?}"),
            }
        } else if done.is_multiple_of(5) {
            match grant.right.commit(&at(done)).await {
                Ok(()) => {
                    let committed = Event::Committed {
                        shard: shard.clone(),
                        epoch,
                        number: done,
                    };
                    world.note(committed);
                }
                Err(CommitError::Unavailable(_)) => {}
                Err(CommitError::Fenced { .. }) => return,
                Err(error) => panic!("{error:?}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
