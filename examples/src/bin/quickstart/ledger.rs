//! What the workers did: every first delivery by key, repeats, who holds which shard, and the time
//! a failover took. All processors write to it; the story, the screen and the judge read it.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::model::{Batch, SequenceNumber, ShardId};
use kcl_core::port::{Checkpointer, ProcessorResult, RecordProcessor, ShardContext};
use tokio::time::Instant;

use crate::check::fingerprint;

/// Which of the workers: 0, 1, 2.
pub(crate) type WorkerNumber = usize;

/// Shared by everything. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The first delivery of each record, by key, in the order of delivery.
    delivered: BTreeMap<String, Vec<u64>>,
    /// Asked one by one, never walked through, so its order does not matter.
    seen: HashSet<SequenceNumber>,
    duplicates: u64,
    shards: BTreeMap<ShardId, Holding>,
    failover: Option<Failover>,
}

#[derive(Clone, Debug, Default)]
struct Holding {
    worker: Option<WorkerNumber>,
    deliveries: u64,
}

/// What became of the shards of a killed worker.
#[derive(Clone, Debug)]
pub(crate) struct Failover {
    pub(crate) victim: WorkerNumber,
    killed_at: Instant,
    orphans: BTreeMap<ShardId, Orphan>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Orphan {
    held_after: Option<Duration>,
    flows_after: Option<Duration>,
}

impl Ledger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Different records delivered so far.
    pub(crate) fn distinct(&self) -> u64 {
        self.state().seen.len() as u64
    }

    pub(crate) fn duplicates(&self) -> u64 {
        self.state().duplicates
    }

    /// The first deliveries of each key, for the judge.
    pub(crate) fn take_delivered(&self) -> BTreeMap<String, Vec<u64>> {
        std::mem::take(&mut self.state().delivered)
    }

    /// The shards each worker holds now.
    pub(crate) fn held_by(&self, worker: WorkerNumber) -> Vec<ShardId> {
        let state = self.state();
        let held = state
            .shards
            .iter()
            .filter(|(_, holding)| holding.worker == Some(worker));
        held.map(|(shard, _)| shard.clone()).collect()
    }

    /// Whether some worker holds this shard.
    pub(crate) fn is_held(&self, shard: &ShardId) -> bool {
        self.state()
            .shards
            .get(shard)
            .is_some_and(|holding| holding.worker.is_some())
    }

    /// How many records came from each shard, repeats included.
    pub(crate) fn deliveries(&self) -> BTreeMap<ShardId, u64> {
        let state = self.state();
        state
            .shards
            .iter()
            .map(|(shard, holding)| (shard.clone(), holding.deliveries))
            .collect()
    }

    /// A worker was killed: from now on its shards are watched.
    pub(crate) fn killed(&self, victim: WorkerNumber) {
        let mut state = self.state();
        let held = state
            .shards
            .iter_mut()
            .filter(|(_, holding)| holding.worker == Some(victim));
        let orphans = held
            .map(|(shard, holding)| {
                holding.worker = None;
                (shard.clone(), Orphan::default())
            })
            .collect();
        state.failover = Some(Failover {
            victim,
            killed_at: Instant::now(),
            orphans,
        });
    }

    pub(crate) fn failover(&self) -> Option<Failover> {
        self.state().failover.clone()
    }

    fn took(&self, shard: &ShardId, worker: WorkerNumber) {
        let mut state = self.state();
        state.shards.entry(shard.clone()).or_default().worker = Some(worker);
        if let Some(failover) = &mut state.failover {
            failover.note(shard, worker, |orphan| &mut orphan.held_after);
        }
    }

    fn gave_up(&self, shard: &ShardId, worker: WorkerNumber) {
        let mut state = self.state();
        let holding = state.shards.entry(shard.clone()).or_default();
        // The next holder may already have it.
        if holding.worker == Some(worker) {
            holding.worker = None;
        }
    }

    fn deliver(&self, shard: &ShardId, worker: WorkerNumber, batch: &Batch) {
        // Hashing is most of the work and needs no lock.
        let contents: Vec<_> = batch
            .records
            .iter()
            .map(|record| fingerprint(&record.data))
            .collect();
        let mut guard = self.state();
        let state = &mut *guard;
        for (record, content) in batch.records.iter().zip(contents) {
            if !state.seen.insert(record.sequence_number.clone()) {
                state.duplicates += 1;
                continue;
            }
            match state.delivered.get_mut(&record.partition_key) {
                Some(contents) => contents.push(content),
                None => {
                    state
                        .delivered
                        .insert(record.partition_key.clone(), vec![content]);
                }
            }
        }
        let holding = state.shards.entry(shard.clone()).or_default();
        holding.deliveries += batch.records.len() as u64;
        if let Some(failover) = &mut state.failover
            && !batch.records.is_empty()
        {
            failover.note(shard, worker, |orphan| &mut orphan.flows_after);
        }
    }
}

impl Failover {
    fn note(
        &mut self,
        shard: &ShardId,
        worker: WorkerNumber,
        what: impl Fn(&mut Orphan) -> &mut Option<Duration>,
    ) {
        if worker != self.victim
            && let Some(orphan) = self.orphans.get_mut(shard)
        {
            let after = self.killed_at.elapsed();
            what(orphan).get_or_insert(after);
        }
    }

    pub(crate) fn shards(&self) -> usize {
        self.orphans.len()
    }

    /// How long until the last of the shards had a new worker; nothing while one has none.
    pub(crate) fn held_after(&self) -> Option<Duration> {
        let all: Option<Vec<_>> = self
            .orphans
            .values()
            .map(|orphan| orphan.held_after)
            .collect();
        all?.into_iter().max()
    }

    /// How long until the last of those shards that have records brought its first one.
    pub(crate) fn flows_after(&self) -> Option<Duration> {
        self.orphans
            .values()
            .filter_map(|orphan| orphan.flows_after)
            .max()
    }
}

/// The processor of one shard: it writes everything into the ledger.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) ledger: Ledger,
    pub(crate) worker: WorkerNumber,
}

#[async_trait]
impl RecordProcessor for Recorder {
    async fn initialize(&mut self, shard: &ShardContext) -> ProcessorResult {
        self.ledger.took(shard.shard(), self.worker);
        Ok(())
    }

    async fn process_records(
        &mut self,
        shard: &ShardContext,
        batch: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        self.ledger.deliver(shard.shard(), self.worker, batch);
        Ok(())
    }

    async fn lease_lost(&mut self, shard: &ShardContext) {
        self.ledger.gave_up(shard.shard(), self.worker);
    }

    async fn shard_ended(&mut self, shard: &ShardContext, _: &Checkpointer) -> ProcessorResult {
        self.ledger.gave_up(shard.shard(), self.worker);
        Ok(())
    }

    async fn shutdown_requested(
        &mut self,
        shard: &ShardContext,
        _: &Checkpointer,
    ) -> ProcessorResult {
        self.ledger.gave_up(shard.shard(), self.worker);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kcl_core::model::Record;

    fn batch(numbers: std::ops::Range<u64>) -> Batch {
        let record = |number: u64| Record {
            sequence_number: SequenceNumber::new(number.to_string()).unwrap(),
            subsequence_number: 0,
            partition_key: "k".to_owned(),
            data: number.to_string().into(),
            approximate_arrival: None,
        };
        Batch {
            records: numbers.map(record).collect(),
            ..Batch::default()
        }
    }

    #[test]
    fn a_repeat_is_a_duplicate_and_no_second_delivery() {
        let ledger = Ledger::default();
        let shard = ShardId::new("s0");
        ledger.deliver(&shard, 0, &batch(1..6));
        ledger.deliver(&shard, 1, &batch(4..9));
        assert_eq!((ledger.distinct(), ledger.duplicates()), (8, 2));
        let expected: Vec<_> = (1..9_u64)
            .map(|n| fingerprint(n.to_string().as_bytes()))
            .collect();
        assert_eq!(ledger.take_delivered()["k"], expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failover_is_over_when_every_orphan_has_a_new_worker() {
        let ledger = Ledger::default();
        let (first, second) = (ShardId::new("s0"), ShardId::new("s1"));
        ledger.took(&first, 0);
        ledger.took(&second, 0);
        ledger.killed(0);
        assert!(ledger.held_by(0).is_empty());
        tokio::time::advance(Duration::from_secs(3)).await;
        ledger.took(&first, 1);
        ledger.deliver(&first, 1, &batch(1..2));
        assert_eq!(ledger.failover().unwrap().held_after(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        ledger.took(&second, 2);
        let failover = ledger.failover().unwrap();
        assert_eq!(failover.held_after(), Some(Duration::from_secs(4)));
        assert_eq!(failover.flows_after(), Some(Duration::from_secs(3)));
        assert_eq!(
            (ledger.held_by(1), ledger.held_by(2)),
            (vec![first], vec![second])
        );
    }
}
