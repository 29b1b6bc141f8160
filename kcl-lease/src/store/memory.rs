//! The reference implementation of the port, in memory: what each condition means, in plain code.
//!
//! For tests, for programs of one process, and as the oracle the DynamoDB store is compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use kcl_core::model::{ApplicationName, Checkpoint, ShardId, StreamName};

use crate::row::{
    Fence, LeaseRow, Parting, Progress, Row, StartRow, StreamSet, StreamSetKey, WatchRow,
    WorkerKey, WorkerRow, whole_millis,
};
use crate::store::{Freshness, LeaseStore, Outcome, StoreError, Take};

/// Lease tables in memory, shared by the workers of one process. Clones share the tables.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    tables: Arc<Mutex<BTreeMap<ApplicationName, MemoryTable>>>,
}

impl MemoryStore {
    /// No tables yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The table of an application, made when it is first asked for.
    #[must_use]
    pub fn table(&self, application: &ApplicationName) -> MemoryTable {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.entry(application.clone()).or_default().clone()
    }
}

/// One lease table in memory. Clones share the rows.
#[derive(Clone, Debug, Default)]
pub struct MemoryTable {
    rows: Arc<Mutex<Rows>>,
}

#[derive(Debug, Default)]
struct Rows {
    leases: BTreeMap<ShardId, LeaseRow>,
    workers: BTreeMap<WorkerKey, WorkerRow>,
    starts: BTreeMap<Option<StreamName>, SystemTime>,
    streams: BTreeMap<StreamSetKey, StreamSet>,
    watch: Option<WatchRow>,
}

impl MemoryTable {
    /// A table without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Deletes the row of a shard, as an operator might.
    #[cfg(feature = "testing")]
    pub fn delete_lease(&self, shard: &ShardId) {
        self.rows().leases.remove(shard);
    }

    /// Deletes every row, as if the table was deleted and made again.
    #[cfg(feature = "testing")]
    pub fn delete_all(&self) {
        *self.rows() = Rows::default();
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a lease row if the condition holds.
    fn change_lease(
        &self,
        shard: &ShardId,
        condition: impl FnOnce(&LeaseRow) -> bool,
        change: impl FnOnce(&mut LeaseRow),
    ) -> Outcome<LeaseRow, LeaseRow> {
        match self.rows().leases.get_mut(shard) {
            Some(row) if condition(row) => {
                change(row);
                Outcome::Applied(row.clone())
            }
            other => Outcome::Refused(other.cloned()),
        }
    }
}

fn without_row<R>(outcome: Outcome<R, R>) -> Outcome<R> {
    match outcome {
        Outcome::Applied(_) => Outcome::Applied(()),
        Outcome::Refused(row) => Outcome::Refused(row),
    }
}

#[async_trait]
impl LeaseStore for MemoryTable {
    async fn ensure_table(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn scan(&self, _: Freshness) -> Result<Vec<Row>, StoreError> {
        let rows = self.rows();
        let leases = rows.leases.values().cloned().map(Row::Lease);
        let workers = rows.workers.values().cloned().map(Row::Worker);
        Ok(leases
            .chain(workers)
            .chain(rows.starts.iter().map(|(stream, time)| {
                Row::Start(StartRow {
                    stream: stream.clone(),
                    time: *time,
                })
            }))
            .chain(rows.streams.values().cloned().map(Row::Streams))
            .chain(rows.watch.clone().map(Row::Watch))
            .collect())
    }

    async fn read_lease(&self, shard: &ShardId) -> Result<Option<LeaseRow>, StoreError> {
        Ok(self.rows().leases.get(shard).cloned())
    }

    async fn create_lease(&self, row: &LeaseRow) -> Result<Outcome<LeaseRow>, StoreError> {
        let mut rows = self.rows();
        if let Some(current) = rows.leases.get(&row.shard) {
            return Ok(Outcome::Refused(Some(current.clone())));
        }
        let mut row = row.clone();
        if let Checkpoint::AtTimestamp(time) = &mut row.checkpoint {
            *time = whole_millis(*time);
        }
        rows.leases.insert(row.shard.clone(), row);
        Ok(Outcome::Applied(()))
    }

    async fn take(&self, take: &Take) -> Result<Outcome<LeaseRow, LeaseRow>, StoreError> {
        Ok(self.change_lease(
            &take.shard,
            |row| row.counter == take.counter && row.owner == take.owner && !row.is_ended(),
            |row| {
                row.owner = Some(take.to.clone().into());
                row.counter += 1;
                row.switches += 1;
            },
        ))
    }

    async fn commit(
        &self,
        fence: &Fence,
        from: &Checkpoint,
        to: &Checkpoint,
        load: Option<u64>,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        Ok(without_row(self.change_lease(
            &fence.shard,
            |row| row.is_fenced_by(fence) && row.checkpoint == *from,
            |row| {
                row.checkpoint = to.clone();
                row.load = load.or(row.load);
                row.pending = None;
                row.switches = 0;
            },
        )))
    }

    async fn prepare(
        &self,
        fence: &Fence,
        from: &Progress,
        to: &Progress,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        Ok(without_row(self.change_lease(
            &fence.shard,
            |row| row.is_fenced_by(fence) && row.progress() == *from,
            |row| {
                if row.checkpoint != to.checkpoint {
                    row.switches = 0;
                }
                row.checkpoint = to.checkpoint.clone();
                row.pending = to.pending.clone();
            },
        )))
    }

    async fn finish(
        &self,
        fence: &Fence,
        from: &Checkpoint,
        children: &BTreeSet<ShardId>,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        Ok(without_row(self.change_lease(
            &fence.shard,
            |row| row.is_fenced_by(fence) && row.checkpoint == *from,
            |row| {
                row.checkpoint = Checkpoint::ShardEnd;
                row.pending = None;
                row.children = children.clone();
                row.owner = None;
                row.counter += 1;
                row.switches = 0;
            },
        )))
    }

    async fn release(
        &self,
        fence: &Fence,
        parting: &Parting,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        Ok(without_row(self.change_lease(
            &fence.shard,
            |row| row.is_fenced_by(fence),
            |row| {
                row.owner = None;
                row.counter += 1;
                row.load = parting.load.or(row.load);
                row.moved = parting.moved.clone().map(Box::new);
            },
        )))
    }

    async fn remove_ended(
        &self,
        shard: &ShardId,
        counter: u64,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        let mut rows = self.rows();
        match rows.leases.get(shard) {
            Some(row) if !row.is_ended() || row.counter != counter => {
                Ok(Outcome::Refused(Some(row.clone())))
            }
            Some(_) | None => {
                rows.leases.remove(shard);
                Ok(Outcome::Applied(()))
            }
        }
    }

    async fn join(&self, row: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        let mut rows = self.rows();
        if let Some(current) = rows.workers.get(&row.key) {
            return Ok(Outcome::Refused(Some(current.clone())));
        }
        rows.workers.insert(row.key.clone(), row.clone());
        Ok(Outcome::Applied(()))
    }

    async fn renew(
        &self,
        key: &WorkerKey,
        counter: u64,
        leaving: bool,
        load: Option<u64>,
        serves: Option<&StreamSetKey>,
    ) -> Result<Outcome<WorkerRow>, StoreError> {
        match self.rows().workers.get_mut(key) {
            Some(row) if row.counter == counter => {
                row.counter += 1;
                row.leaving = leaving;
                row.load = load;
                if let Some(serves) = serves {
                    row.serves = Some(serves.clone());
                }
                Ok(Outcome::Applied(()))
            }
            other => Ok(Outcome::Refused(other.cloned())),
        }
    }

    async fn leave(&self, key: &WorkerKey) -> Result<(), StoreError> {
        self.rows().workers.remove(key);
        Ok(())
    }

    async fn evict(
        &self,
        key: &WorkerKey,
        counter: Option<u64>,
    ) -> Result<Outcome<WorkerRow>, StoreError> {
        let mut rows = self.rows();
        match rows.workers.get(key) {
            Some(row) if Some(row.counter) != counter => Ok(Outcome::Refused(Some(row.clone()))),
            Some(_) | None => {
                rows.workers.remove(key);
                Ok(Outcome::Applied(()))
            }
        }
    }

    async fn read_worker(&self, key: &WorkerKey) -> Result<Option<WorkerRow>, StoreError> {
        Ok(self.rows().workers.get(key).cloned())
    }

    async fn read_watch(&self) -> Result<Option<WatchRow>, StoreError> {
        Ok(self.rows().watch.clone())
    }

    async fn claim_watch(
        &self,
        seen: Option<&WatchRow>,
        to: &WorkerKey,
    ) -> Result<Outcome<WatchRow, WatchRow>, StoreError> {
        let watch = &mut self.rows().watch;
        if watch.as_ref().map(|row| row.term) != seen.map(|row| row.term) {
            return Ok(Outcome::Refused(watch.clone()));
        }
        let before = watch.take();
        let mark = before.as_ref().and_then(|row| row.mark);
        let (term, looks, bell) = before.map_or((0, 0, 0), |row| (row.term, row.looks, row.bell));
        let row = WatchRow {
            owner: to.clone(),
            term: term + 1,
            looks,
            bell: bell + 1,
            mark,
        };
        *watch = Some(row.clone());
        Ok(Outcome::Applied(row))
    }

    async fn keep_watch(
        &self,
        term: u64,
        mark: Option<u64>,
    ) -> Result<Outcome<WatchRow>, StoreError> {
        match &mut self.rows().watch {
            Some(row) if row.term == term => {
                row.looks += 1;
                row.mark = mark;
                Ok(Outcome::Applied(()))
            }
            other => Ok(Outcome::Refused(other.clone())),
        }
    }

    async fn ring(&self) -> Result<(), StoreError> {
        if let Some(row) = &mut self.rows().watch {
            row.bell += 1;
        }
        Ok(())
    }

    async fn fix_start(
        &self,
        stream: Option<&StreamName>,
        time: SystemTime,
    ) -> Result<SystemTime, StoreError> {
        let starts = &mut self.rows().starts;
        let fixed = starts.entry(stream.cloned());
        Ok(*fixed.or_insert_with(|| whole_millis(time)))
    }

    async fn add_streams(&self, set: &StreamSet) -> Result<Outcome<StreamSet>, StoreError> {
        let mut rows = self.rows();
        if let Some(current) = rows.streams.get(set.key()) {
            return Ok(Outcome::Refused(Some(current.clone())));
        }
        rows.streams.insert(set.key().clone(), set.clone());
        Ok(Outcome::Applied(()))
    }

    async fn remove_streams(&self, key: &StreamSetKey) -> Result<(), StoreError> {
        self.rows().streams.remove(key);
        Ok(())
    }
}
