//! A lease store behind a network that loses requests, loses replies and repeats requests late.
//!
//! It also watches what happens to the rows, because it is the one place where all writes arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use kcl_core::error::{Error, ErrorKind};
use kcl_core::model::{Checkpoint, ShardId, StreamName};
use kcl_lease::{
    Fence, Freshness, LeaseRow, LeaseStore, MemoryTable, Outcome, Parting, Progress, Row,
    StoreError, StreamSet, StreamSetKey, Take, WatchRow, WorkerKey, WorkerRow,
};
use tokio::time::Instant;

/// The network and the table of one run.
#[derive(Clone, Debug)]
pub struct Network {
    table: MemoryTable,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    rng: Mutex<fastrand::Rng>,
    /// Faults per thousand calls; none after healing.
    faults: AtomicU64,
    /// Copies of requests that are still under way.
    late: Mutex<Vec<Write>>,
    /// Older states of the table, for reads that lag.
    past: Mutex<Vec<Vec<Row>>>,
    /// The rows as last seen, to check each change against.
    rows: Mutex<BTreeMap<ShardId, LeaseRow>>,
    calls: Mutex<BTreeMap<&'static str, u64>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    missing: AtomicBool,
    /// Rows that no scan shows.
    hidden: Mutex<BTreeSet<ShardId>>,
    /// Where each row began.
    created: Mutex<BTreeMap<ShardId, Checkpoint>>,
    /// When each shard was finished.
    ended: Mutex<BTreeMap<ShardId, Instant>>,
}

/// One worker's way to the table.
#[derive(Clone, Debug)]
pub struct Flaky {
    network: Network,
    /// Whether this worker is cut off.
    pub cut: Arc<AtomicBool>,
    /// Whether its requests arrive and no reply comes back.
    pub deaf: Arc<AtomicBool>,
}

#[derive(Clone, Debug)]
enum Write {
    Create(LeaseRow),
    Take(Take),
    Commit(Fence, Checkpoint, Checkpoint, Option<u64>),
    Prepare(Fence, Progress, Progress),
    Finish(Fence, Checkpoint, BTreeSet<ShardId>),
    Release(Fence, Parting),
    Remove(ShardId, u64),
    Join(WorkerRow),
    Renew(WorkerKey, u64, bool, Option<u64>, Option<StreamSetKey>),
    Leave(WorkerKey),
    Evict(WorkerKey, Option<u64>),
    FixStart(Option<StreamName>, SystemTime),
    AddStreams(StreamSet),
    RemoveStreams(StreamSetKey),
    ClaimWatch(Option<WatchRow>, WorkerKey),
    KeepWatch(u64, Option<u64>),
    Ring,
}

#[derive(Debug)]
enum Reply {
    Lease(Outcome<LeaseRow>),
    Taken(Outcome<LeaseRow, LeaseRow>),
    Worker(Outcome<WorkerRow>),
    Left,
    Start(SystemTime),
    Streams(Outcome<StreamSet>),
    Claimed(Outcome<WatchRow, WatchRow>),
    Kept(Outcome<WatchRow>),
    Rung,
}

impl Write {
    const fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Take(_) => "take",
            Self::Commit(..) => "commit",
            Self::Prepare(..) => "prepare",
            Self::Finish(..) => "finish",
            Self::Release(..) => "release",
            Self::Remove(..) => "remove",
            Self::Join(_) => "join",
            Self::Renew(..) => "renew",
            Self::Leave(_) => "leave",
            Self::Evict(..) => "evict",
            Self::FixStart(..) => "fix_start",
            Self::AddStreams(_) => "add_streams",
            Self::RemoveStreams(_) => "remove_streams",
            Self::ClaimWatch(..) => "claim_watch",
            Self::KeepWatch(..) => "keep_watch",
            Self::Ring => "ring",
        }
    }
}

impl Network {
    pub fn new(seed: u64, faults: u64) -> Self {
        let shared = Shared {
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
            faults: AtomicU64::new(faults),
            late: Mutex::default(),
            past: Mutex::default(),
            rows: Mutex::default(),
            calls: Mutex::default(),
            counts: Mutex::default(),
            missing: AtomicBool::new(false),
            hidden: Mutex::default(),
            created: Mutex::default(),
            ended: Mutex::default(),
        };
        Self {
            table: MemoryTable::new(),
            shared: Arc::new(shared),
        }
    }

    pub fn door(&self) -> Flaky {
        Flaky {
            network: self.clone(),
            cut: Arc::default(),
            deaf: Arc::default(),
        }
    }

    pub fn heal(&self) {
        self.shared.faults.store(0, Ordering::Relaxed);
    }

    /// Keeps a row out of every scan that may lag.
    pub fn hide(&self, shard: &ShardId) {
        self.shared.hidden.lock().unwrap().insert(shard.clone());
    }

    /// Somebody deletes the row of a shard.
    pub fn delete_lease(&self, shard: &ShardId) {
        self.table.delete_lease(shard);
        self.shared.rows.lock().unwrap().remove(shard);
    }

    /// Somebody deletes the table and makes it again.
    pub fn replace_table(&self) {
        self.table.delete_all();
        self.shared.rows.lock().unwrap().clear();
        self.shared.created.lock().unwrap().clear();
    }

    pub fn lose_table(&self) {
        self.shared.missing.store(true, Ordering::Relaxed);
    }

    /// How often each operation was called, and each fault happened.
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        self.shared.calls.lock().unwrap().clone()
    }

    pub fn faults(&self) -> BTreeMap<&'static str, u64> {
        self.shared.counts.lock().unwrap().clone()
    }

    /// Where each row began.
    pub fn created(&self) -> BTreeMap<ShardId, Checkpoint> {
        self.shared.created.lock().unwrap().clone()
    }

    /// When each shard was finished, by the table.
    pub fn ended(&self) -> BTreeMap<ShardId, Instant> {
        self.shared.ended.lock().unwrap().clone()
    }

    /// The rows of the shards, past the network.
    pub async fn leases(&self) -> BTreeMap<ShardId, LeaseRow> {
        let rows = self.table.scan(Freshness::Consistent).await.unwrap();
        let lease = |row| match row {
            Row::Lease(row) => Some((row.shard.clone(), row)),
            Row::Worker(_) | Row::Start(_) | Row::Watch(_) | Row::Streams(_) => None,
        };
        rows.into_iter().filter_map(lease).collect()
    }

    pub async fn workers(&self) -> Vec<WorkerRow> {
        let rows = self.table.scan(Freshness::Consistent).await.unwrap();
        let worker = |row| match row {
            Row::Worker(row) => Some(row),
            Row::Lease(_) | Row::Start(_) | Row::Watch(_) | Row::Streams(_) => None,
        };
        rows.into_iter().filter_map(worker).collect()
    }

    pub fn table(&self) -> &MemoryTable {
        &self.table
    }

    fn roll(&self, below: u64) -> u64 {
        self.shared.rng.lock().unwrap().u64(0..below)
    }

    fn count(&self, fault: &'static str) {
        *self.shared.counts.lock().unwrap().entry(fault).or_default() += 1;
    }

    async fn apply(&self, write: Write) -> Result<Reply, StoreError> {
        let table = &self.table;
        let reply = match write {
            Write::Create(row) => Reply::Lease(table.create_lease(&row).await?),
            Write::Take(take) => Reply::Taken(table.take(&take).await?),
            Write::Commit(fence, from, to, load) => {
                Reply::Lease(table.commit(&fence, &from, &to, load).await?)
            }
            Write::Prepare(fence, from, to) => {
                Reply::Lease(table.prepare(&fence, &from, &to).await?)
            }
            Write::Finish(fence, from, ids) => {
                Reply::Lease(table.finish(&fence, &from, &ids).await?)
            }
            Write::Release(fence, parting) => Reply::Lease(table.release(&fence, &parting).await?),
            Write::Remove(id, counter) => Reply::Lease(table.remove_ended(&id, counter).await?),
            Write::Join(row) => Reply::Worker(table.join(&row).await?),
            Write::Renew(key, counter, leaving, load, serves) => {
                let renewed = table.renew(&key, counter, leaving, load, serves.as_ref());
                Reply::Worker(renewed.await?)
            }
            Write::Leave(key) => {
                table.leave(&key).await?;
                Reply::Left
            }
            Write::Evict(key, counter) => Reply::Worker(table.evict(&key, counter).await?),
            Write::FixStart(stream, time) => {
                Reply::Start(table.fix_start(stream.as_ref(), time).await?)
            }
            Write::AddStreams(set) => Reply::Streams(table.add_streams(&set).await?),
            Write::RemoveStreams(key) => {
                table.remove_streams(&key).await?;
                Reply::Left
            }
            Write::ClaimWatch(seen, to) => {
                Reply::Claimed(table.claim_watch(seen.as_ref(), &to).await?)
            }
            Write::KeepWatch(term, mark) => Reply::Kept(table.keep_watch(term, mark).await?),
            Write::Ring => {
                table.ring().await?;
                Reply::Rung
            }
        };
        self.watch().await;
        Ok(reply)
    }

    /// Checks what changed: progress and counters only grow, and a child's row never comes before
    /// its parents'.
    async fn watch(&self) {
        let rows = self.table.scan(Freshness::Consistent).await.unwrap();
        let leases = self.leases().await;
        let mut before = self.shared.rows.lock().unwrap();
        for (id, row) in &leases {
            let mut created = self.shared.created.lock().unwrap();
            created
                .entry(id.clone())
                .or_insert_with(|| row.checkpoint.clone());
            drop(created);
            if row.is_ended() {
                let mut ended = self.shared.ended.lock().unwrap();
                ended.entry(id.clone()).or_insert_with(Instant::now);
            }
            match before.get(id) {
                Some(old) => {
                    let grew = row.checkpoint.partial_cmp(&old.checkpoint);
                    assert!(
                        matches!(grew, Some(order) if order.is_ge()),
                        "checkpoint of {id} went from {} to {}",
                        old.checkpoint,
                        row.checkpoint
                    );
                    assert!(row.counter >= old.counter, "counter of {id} went back");
                }
                // Where the start lies is where parents may be missing.
                None if matches!(row.checkpoint, Checkpoint::AtTimestamp(_)) => {}
                None => {
                    // All of these shards are listed for ever, so each parent must be there.
                    for parent in &row.parents {
                        assert!(
                            leases.contains_key(parent),
                            "{id} has a row before {parent}"
                        );
                    }
                }
            }
        }
        *before = leases;
        let mut past = self.shared.past.lock().unwrap();
        past.push(rows);
        let surplus = past.len().saturating_sub(8);
        past.drain(..surplus);
    }
}

fn no_answer(what: &str) -> StoreError {
    StoreError::Unavailable(Error::new(
        ErrorKind::Unavailable,
        format!("{what}: no answer"),
    ))
}

impl Flaky {
    async fn travel(&self, name: &'static str) -> Result<u64, StoreError> {
        *self
            .network
            .shared
            .calls
            .lock()
            .unwrap()
            .entry(name)
            .or_default() += 1;
        let latency = 1 + self.network.roll(8);
        tokio::time::sleep(Duration::from_millis(latency)).await;
        if self.network.shared.missing.load(Ordering::Relaxed) {
            let gone = Error::new(ErrorKind::NotFound, "the table is gone");
            return Err(StoreError::Fatal(gone));
        }
        if self.cut.load(Ordering::Relaxed) {
            // A dead line: nothing comes back until the client's own time-out.
            tokio::time::sleep(Duration::from_secs(1)).await;
            return Err(no_answer(name));
        }
        let faults = self.network.shared.faults.load(Ordering::Relaxed);
        Ok(if self.network.roll(1000) < faults {
            1 + self.network.roll(4)
        } else {
            0
        })
    }

    async fn deliver_late(&self) {
        loop {
            let write = {
                let mut late = self.network.shared.late.lock().unwrap();
                if late.is_empty() {
                    return;
                }
                let at = self.network.roll(late.len() as u64 * 4);
                match usize::try_from(at) {
                    Ok(at) if at < late.len() => late.swap_remove(at),
                    Ok(_) | Err(_) => return,
                }
            };
            self.network.count("late copy delivered");
            self.network.apply(write).await.unwrap();
        }
    }

    async fn send(&self, write: Write) -> Result<Reply, StoreError> {
        let name = write.name();
        let fate = self.travel(name).await?;
        self.deliver_late().await;
        if self.deaf.load(Ordering::Relaxed) {
            self.network.apply(write).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            return Err(no_answer(name));
        }
        match fate {
            1 => {
                self.network.count("request lost");
                tokio::time::sleep(Duration::from_millis(300)).await;
                Err(no_answer(name))
            }
            2 => {
                self.network.count("reply lost");
                self.network.apply(write).await?;
                tokio::time::sleep(Duration::from_millis(300)).await;
                Err(no_answer(name))
            }
            3 => {
                self.network.count("request delayed");
                self.network.shared.late.lock().unwrap().push(write);
                tokio::time::sleep(Duration::from_millis(300)).await;
                Err(no_answer(name))
            }
            4 => {
                self.network.count("request repeated late");
                self.network.shared.late.lock().unwrap().push(write.clone());
                self.network.apply(write).await
            }
            _ => self.network.apply(write).await,
        }
    }

    async fn lease(&self, write: Write) -> Result<Outcome<LeaseRow>, StoreError> {
        let Reply::Lease(outcome) = self.send(write).await? else {
            panic!("not the answer to this write");
        };
        Ok(outcome)
    }

    async fn worker(&self, write: Write) -> Result<Outcome<WorkerRow>, StoreError> {
        let Reply::Worker(outcome) = self.send(write).await? else {
            panic!("not the answer to this write");
        };
        Ok(outcome)
    }
}

#[async_trait]
impl LeaseStore for Flaky {
    async fn ensure_table(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn scan(&self, freshness: Freshness) -> Result<Vec<Row>, StoreError> {
        if self.travel("scan").await? != 0 {
            if freshness == Freshness::Eventual {
                // Each row from a state of its own.
                self.network.count("stale scan");
                return Ok(self.stale_rows());
            }
            return Err(no_answer("scan"));
        }
        let mut rows = self.network.table.scan(freshness).await?;
        if freshness == Freshness::Eventual {
            let hidden = self.network.shared.hidden.lock().unwrap();
            rows.retain(|row| !matches!(row, Row::Lease(row) if hidden.contains(&row.shard)));
        }
        Ok(rows)
    }

    async fn read_lease(&self, shard: &ShardId) -> Result<Option<LeaseRow>, StoreError> {
        match self.travel("read").await? {
            0 => self.network.table.read_lease(shard).await,
            _ => Err(no_answer("read")),
        }
    }

    async fn create_lease(&self, row: &LeaseRow) -> Result<Outcome<LeaseRow>, StoreError> {
        self.lease(Write::Create(row.clone())).await
    }

    async fn take(&self, take: &Take) -> Result<Outcome<LeaseRow, LeaseRow>, StoreError> {
        let Reply::Taken(outcome) = self.send(Write::Take(take.clone())).await? else {
            panic!("not the answer to this write");
        };
        Ok(outcome)
    }

    async fn commit(
        &self,
        fence: &Fence,
        from: &Checkpoint,
        to: &Checkpoint,
        load: Option<u64>,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        self.lease(Write::Commit(fence.clone(), from.clone(), to.clone(), load))
            .await
    }

    async fn prepare(
        &self,
        fence: &Fence,
        from: &Progress,
        to: &Progress,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        let write = Write::Prepare(fence.clone(), from.clone(), to.clone());
        self.lease(write).await
    }

    async fn finish(
        &self,
        fence: &Fence,
        from: &Checkpoint,
        children: &BTreeSet<ShardId>,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        self.lease(Write::Finish(fence.clone(), from.clone(), children.clone()))
            .await
    }

    async fn release(
        &self,
        fence: &Fence,
        parting: &Parting,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        self.lease(Write::Release(fence.clone(), parting.clone()))
            .await
    }

    async fn remove_ended(
        &self,
        shard: &ShardId,
        counter: u64,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        self.lease(Write::Remove(shard.clone(), counter)).await
    }

    async fn join(&self, row: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        self.worker(Write::Join(row.clone())).await
    }

    async fn renew(
        &self,
        key: &WorkerKey,
        counter: u64,
        leaving: bool,
        load: Option<u64>,
        serves: Option<&StreamSetKey>,
    ) -> Result<Outcome<WorkerRow>, StoreError> {
        let write = Write::Renew(key.clone(), counter, leaving, load, serves.cloned());
        self.worker(write).await
    }

    async fn leave(&self, key: &WorkerKey) -> Result<(), StoreError> {
        self.send(Write::Leave(key.clone())).await.map(|_| ())
    }

    async fn evict(
        &self,
        key: &WorkerKey,
        counter: Option<u64>,
    ) -> Result<Outcome<WorkerRow>, StoreError> {
        self.worker(Write::Evict(key.clone(), counter)).await
    }

    async fn fix_start(
        &self,
        stream: Option<&StreamName>,
        time: SystemTime,
    ) -> Result<SystemTime, StoreError> {
        let write = Write::FixStart(stream.cloned(), time);
        let Reply::Start(time) = self.send(write).await? else {
            panic!("not the answer to this write");
        };
        Ok(time)
    }

    async fn add_streams(&self, set: &StreamSet) -> Result<Outcome<StreamSet>, StoreError> {
        let Reply::Streams(outcome) = self.send(Write::AddStreams(set.clone())).await? else {
            panic!("not the answer to this write");
        };
        Ok(outcome)
    }

    async fn remove_streams(&self, key: &StreamSetKey) -> Result<(), StoreError> {
        self.send(Write::RemoveStreams(key.clone())).await.map(drop)
    }

    async fn read_worker(&self, key: &WorkerKey) -> Result<Option<WorkerRow>, StoreError> {
        match self.travel("read_worker").await? {
            0 => self.network.table.read_worker(key).await,
            _ => Err(no_answer("read_worker")),
        }
    }

    async fn read_watch(&self) -> Result<Option<WatchRow>, StoreError> {
        match self.travel("read_watch").await? {
            0 => self.network.table.read_watch().await,
            _ => Err(no_answer("read_watch")),
        }
    }

    async fn claim_watch(
        &self,
        seen: Option<&WatchRow>,
        to: &WorkerKey,
    ) -> Result<Outcome<WatchRow, WatchRow>, StoreError> {
        let write = Write::ClaimWatch(seen.cloned(), to.clone());
        let Reply::Claimed(outcome) = self.send(write).await? else {
            panic!("not the answer to this write");
        };
        Ok(outcome)
    }

    async fn keep_watch(
        &self,
        term: u64,
        mark: Option<u64>,
    ) -> Result<Outcome<WatchRow>, StoreError> {
        let Reply::Kept(outcome) = self.send(Write::KeepWatch(term, mark)).await? else {
            panic!("not the answer to this write");
        };
        Ok(outcome)
    }

    async fn ring(&self) -> Result<(), StoreError> {
        self.send(Write::Ring).await.map(drop)
    }
}

impl Flaky {
    fn stale_rows(&self) -> Vec<Row> {
        let past = self.network.shared.past.lock().unwrap().clone();
        let mut keys = BTreeMap::new();
        for state in &past {
            for row in state {
                let key = match row {
                    Row::Lease(row) => row.shard.to_string(),
                    Row::Worker(row) => row.key.row_key(),
                    Row::Start(row) => format!("start {:?}", row.stream),
                    Row::Watch(_) => "watch".to_owned(),
                    Row::Streams(set) => set.key().row_key(),
                };
                keys.entry(key).or_insert_with(Vec::new).push(row.clone());
            }
        }
        let mut rows = Vec::new();
        for states in keys.into_values() {
            let at = self.network.roll(past.len() as u64);
            if let Ok(at) = usize::try_from(at)
                && let Some(row) = states.get(at)
            {
                rows.push(row.clone());
            }
        }
        rows
    }
}
