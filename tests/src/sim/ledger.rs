//! Everything that is known of a run so far, folded from its events.
//!
//! It judges nothing: the rules in [`checkers`](super::checkers) read it before each event is added.
//! Records of a shard are counted by their place in it, so that a checkpoint is a number: how many
//! records of the shard it covers.

mod handling;
mod kinds;
mod loss;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use kcl_core::model::{Checkpoint, SequenceNumber, ShardId};

use super::history::{Call, Ending, Event, InstanceId, LeaseRow, Process, RecordId, Step};
use super::scenario::{Handling, Heavy};
use super::subject::Subject;

pub use handling::{Chain, Handed, HandedLedger, HandlingLedger, Window};
pub use kinds::{
    GrantLedger, InstanceLedger, KeyLedger, Over, ProcessLedger, RecordLedger, ShardLedger,
    Subscriber, millis,
};
pub use loss::{Deletion, ShardLoss};
pub use traffic::{Bucket, Traffic};

/// Where the application starts, and how strict the rules are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expectations {
    /// The wall clock of the service at the start of the run.
    pub wall_zero: SystemTime,
    /// Where unread shards start.
    pub start: Start,
    /// Nothing fails in this run: no duplicates, no failed exits.
    pub clean: bool,
    /// Nothing happens to the fleet or the stream in this run either: no lease moves once settled.
    pub still: bool,
    /// What weighs how much, if loads differ.
    pub heavy: Option<Heavy>,
    /// When production stops.
    pub quiet: Duration,
    /// The longest lease time of the fleet, by the slowest clock of it.
    pub lease_max: Duration,
    /// For how long after the loss of a lease calls may start, because clocks are further apart than the library
    /// allows for.
    pub overlap: Duration,
    /// How many requests for each shard that it reads a worker may need in ten seconds.
    pub shard_requests: usize,
    /// Whether there is a checkpoint after each batch as well. How many batches there are is not up to the worker where
    /// they are pushed.
    pub commits_each: bool,
    /// How many streams a worker reads: each is listed by itself.
    pub streams: usize,
    /// How records are handled, if they go to a handler; else to processors.
    pub handling: Option<Handling>,
}

/// Where unread shards start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record.
    TrimHorizon,
    /// At the time the lease is made.
    Latest,
    /// At this time, in milliseconds since the start of the run.
    At(u64),
}

/// Everything that is known.
#[derive(Debug)]
pub struct Ledger {
    /// How strict the rules are.
    pub expect: Expectations,
    /// The time of the event at hand.
    pub now: Duration,
    /// The number of the event at hand.
    pub number: u64,
    /// The shards.
    pub shards: BTreeMap<ShardId, ShardLedger>,
    /// The records by number.
    pub records: Vec<RecordLedger>,
    /// The partition keys.
    pub keys: BTreeMap<u32, KeyLedger>,
    /// The processes.
    pub processes: BTreeMap<Process, ProcessLedger>,
    /// The process behind each incarnation. A process that was taken for dead goes on as another.
    pub incarnations: BTreeMap<String, Process>,
    /// The worker rows in the table.
    pub workers: BTreeMap<String, u64>,
    /// The processors.
    pub instances: BTreeMap<InstanceId, InstanceLedger>,
    /// When the first process started.
    pub first_start: Option<Duration>,
    /// When the world was healed.
    pub healed: Option<Duration>,
    /// Whether the run is over: nobody has to keep anything any more.
    pub finished: bool,
    /// Incarnations whose row was deleted.
    pub buried: BTreeSet<String>,
    /// Those of them that the rival deleted.
    pub robbed: BTreeSet<String>,
    /// Writes and looks that were sent and of which the sender has heard nothing, by the number of the event.
    pub under_way: BTreeMap<u64, (Process, Subject, Duration)>,
    /// Writes that were applied and whose writer does not know: who, which shard, which epoch.
    pub doubts: BTreeSet<(Process, ShardId, Option<u64>)>,
    /// The incarnation that keeps the watch.
    pub watch: Option<String>,
    /// By how much the services' wall clock was moved on.
    pub passed: Duration,
    /// When shards were made or closed.
    pub changes: Vec<Duration>,
    /// What operators deleted.
    pub deletions: Vec<Deletion>,
    /// The shards that each process reads: those its processors are for.
    pub reading: BTreeMap<Process, BTreeSet<InstanceId>>,
    /// The calls of handlers, where records go to those.
    pub handling: HandlingLedger,
}

/// The number that stands for the rival, which is no worker.
pub const RIVAL: Process = Process {
    worker: u8::MAX,
    life: 0,
};

/// The number that stands for an operator, who is no worker either.
pub const OPERATOR: Process = Process {
    worker: u8::MAX,
    life: 1,
};

impl Ledger {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(expect: Expectations) -> Self {
        Self {
            expect,
            now: Duration::ZERO,
            number: 0,
            shards: BTreeMap::new(),
            records: Vec::new(),
            keys: BTreeMap::new(),
            processes: BTreeMap::new(),
            incarnations: BTreeMap::new(),
            workers: BTreeMap::new(),
            instances: BTreeMap::new(),
            first_start: None,
            healed: None,
            finished: false,
            buried: BTreeSet::new(),
            robbed: BTreeSet::new(),
            under_way: BTreeMap::new(),
            doubts: BTreeSet::new(),
            watch: None,
            passed: Duration::ZERO,
            changes: Vec::new(),
            deletions: Vec::new(),
            reading: BTreeMap::new(),
            handling: HandlingLedger::default(),
        }
    }

    /// The services' wall clock, in milliseconds since the start of the run.
    #[must_use]
    pub fn wall(&self) -> u64 {
        u64::try_from((self.now + self.passed).as_millis()).unwrap_or(u64::MAX)
    }

    /// The processors of a process that may still be called.
    pub fn instances_of(&self, process: Process) -> impl Iterator<Item = &InstanceLedger> {
        let of = self.reading.get(&process).into_iter().flatten();
        of.filter_map(|instance| self.instances.get(instance))
    }

    /// The shards that a process holds, going by the rows.
    pub fn held_by(&self, process: Process) -> impl Iterator<Item = (&ShardId, &ShardLedger)> {
        self.shards.iter().filter(move |(_, of)| {
            let row = of.row.as_ref();
            row.is_some_and(|row| self.holder(row) == Some(process))
        })
    }

    /// Whether the shard's end was ever durable.
    #[must_use]
    pub fn is_ended(&self, shard: &ShardId) -> bool {
        self.shards.get(shard).is_some_and(|of| of.ended)
    }

    /// Who keeps the watch.
    #[must_use]
    pub fn watch_keeper(&self) -> Option<Process> {
        self.incarnations.get(self.watch.as_ref()?).copied()
    }

    /// The process of this worker that runs.
    #[must_use]
    pub fn running(&self, worker: u8) -> Option<Process> {
        let mut of = self.processes.iter().rev();
        of.find(|(process, known)| process.worker == worker && known.running)
            .map(|(process, _)| *process)
    }

    /// The records of a call, or nothing if one is unknown.
    #[must_use]
    pub fn records_of<'a>(&'a self, ids: &[RecordId]) -> Option<Vec<&'a RecordLedger>> {
        ids.iter()
            .map(|id| self.records.get(*id as usize))
            .collect()
    }

    /// The process that holds the lease, going by the row.
    #[must_use]
    pub fn holder(&self, row: &LeaseRow) -> Option<Process> {
        self.incarnations.get(row.incarnation.as_ref()?).copied()
    }

    /// How many records of the shard the checkpoint covers: at least and at most.
    #[must_use]
    pub fn covered(&self, shard: &ShardId, checkpoint: &Checkpoint) -> Option<(usize, usize)> {
        self.shards
            .get(shard)?
            .covered(checkpoint, self.expect.wall_zero)
    }

    /// Adds an event.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::ShardMade { shard, parents } => {
                self.changes.push(self.now);
                self.shards
                    .entry(shard.clone())
                    .or_default()
                    .parents
                    .clone_from(parents);
            }
            Event::ShardClosed { shard } => {
                self.changes.push(self.now);
                self.shards.entry(shard.clone()).or_default().closed = Some(self.now);
            }
            Event::Produced {
                shard,
                sequence,
                key,
                arrival,
                record,
            } => {
                self.produced(shard, sequence, *key, *arrival, *record);
            }
            Event::Life { process, step } => self.life(*process, step),
            Event::WorkerRow {
                by,
                incarnation,
                counter,
            } => {
                self.worker_row(*by, incarnation, *counter);
            }
            Event::Lease {
                shard,
                after,
                before,
                by,
                heard,
                ..
            } => {
                self.doubt(*by, shard, before.as_ref(), *heard);
                self.lease(*by, shard, before.as_ref(), after.as_ref());
            }
            Event::Sent {
                process,
                subject,
                shard,
                ..
            } => self.sent(*process, *subject, shard.as_ref()),
            Event::Answered { sent, .. } => {
                self.under_way.remove(sent);
            }
            Event::Subscribed { process, shard } => {
                self.subscriber(*process, shard, |it| it.open += 1);
            }
            Event::Accepted { process, shard } => {
                let now = self.now;
                self.subscriber(*process, shard, |it| it.accepted = Some(now));
            }
            Event::Unsubscribed { process, shard } => {
                let now = self.now;
                self.subscriber(*process, shard, |it| {
                    it.open = it.open.saturating_sub(1);
                    // Who lets go in the moment in which the frame comes may not have seen it.
                    it.accepted = it.accepted.filter(|at| *at < now);
                });
            }
            Event::Watch { incarnation, .. } => self.watch = Some(incarnation.clone()),
            Event::Called {
                process,
                instance,
                shard,
                epoch,
                call,
            } => {
                self.called(*process, *instance, shard, *epoch, call);
            }
            Event::Acknowledges { instance, upto } => self.acknowledges(*instance, *upto),
            Event::Acknowledged {
                instance,
                upto: Some(upto),
                ok: true,
            } => {
                self.confirmed(*instance, *upto);
            }
            Event::Returned { instance, ending } => self.returned(*instance, *ending),
            Event::HandlerCalled(call) => {
                self.has_batch(call.process);
                self.handler_called(call);
            }
            Event::HandlerReturned { call, ending, done } => {
                self.handler_returned(*call, *ending, done);
            }
            Event::GaveUp { process, first, .. } => self.gave_up(*process, first),
            Event::Healed => self.healed = Some(self.now),
            Event::Finished => self.finished = true,
            Event::Told { process, notice } => self.told(*process, notice),
            Event::DayPassed { by } => self.day_passed(*by),
            Event::Struck { strike, process } => self.struck(*strike, *process),
            Event::TableDeleted => self.table_deleted(),
            Event::Acknowledged { .. }
            | Event::Left { .. }
            | Event::Judged { .. }
            | Event::ReadOld { .. }
            | Event::Reread { .. }
            | Event::Refused { .. }
            | Event::PushStruck { .. }
            | Event::Incident(_) => {}
        }
    }

    fn sent(&mut self, process: Process, subject: Subject, shard: Option<&ShardId>) {
        let now = self.now;
        if subject.is_followed() {
            // Of those that vanished nobody ever hears. Numbers grow, so the oldest come first.
            while let Some(first) = self.under_way.first_entry()
                && first.get().2 + Duration::from_secs(10) <= now
            {
                first.remove();
            }
            self.under_way.insert(self.number, (process, subject, now));
        }
        if subject == Subject::Records
            && let Some(of) = shard.and_then(|shard| self.shards.get_mut(shard))
        {
            of.reads.retain(|_, bucket| !bucket.is_full(now));
            of.reads.entry(process).or_default().take(now);
        }
        if subject == Subject::Subscribe
            && let Some(shard) = shard
        {
            self.subscriber(process, shard, |it| it.asked = Some(now));
        }
        let shards = match self.expect.handling {
            None => self.reading.get(&process).map_or(0, BTreeSet::len),
            // A handler is not told when its shards come and go.
            Some(_) => self.held_by(process).count(),
        };
        if let Some(known) = self.processes.get_mut(&process) {
            known.traffic.add(now, subject == Subject::Shards, shards);
            if matches!(subject, Subject::Make | Subject::Take | Subject::Finish) {
                known.traffic.add_row(now, subject);
            }
        }
    }

    fn subscriber(
        &mut self,
        process: Process,
        shard: &ShardId,
        change: impl FnOnce(&mut Subscriber),
    ) {
        if let Some(of) = self.shards.get_mut(shard) {
            change(of.subscribers.entry(process).or_default());
        }
    }

    fn produced(
        &mut self,
        shard: &ShardId,
        sequence: &SequenceNumber,
        key: u32,
        arrival: u64,
        record: RecordId,
    ) {
        assert_eq!(
            record as usize,
            self.records.len(),
            "records are numbered in order"
        );
        let of = self.shards.entry(shard.clone()).or_default();
        let place = of.records.len();
        of.records.push(record);
        of.places.insert(sequence.clone(), place);
        of.arrivals.push(arrival);
        let of_key = self.keys.entry(key).or_default();
        let key_place = of_key.produced;
        of_key.produced += 1;
        of_key.records.push(record);
        self.records.push(RecordLedger {
            shard: shard.clone(),
            place,
            key,
            key_place,
            arrival,
            produced: self.now,
            deliveries: 0,
            done: false,
        });
    }

    fn life(&mut self, process: Process, step: &Step) {
        let known = self.processes.entry(process).or_default();
        match step {
            Step::Started => {
                known.running = true;
                known.started = self.now;
                self.first_start.get_or_insert(self.now);
            }
            Step::StopAsked => {
                known.asked = Some(self.now);
                self.disturbed(process);
            }
            Step::Frozen => {
                known.frozen = true;
                self.disturbed(process);
            }
            Step::Thawed => known.frozen = false,
            Step::Killed | Step::Exited(_) => {
                known.running = false;
                known.ended = Some(self.now);
                self.disturbed(process);
                self.reading.remove(&process);
                self.doubts.retain(|(by, ..)| *by != process);
                self.under_way.retain(|_, (by, ..)| *by != process);
            }
        }
    }

    /// A write whose answer is lost leaves its writer in doubt, until it writes again in the same
    /// grant and hears of it.
    fn doubt(&mut self, by: Process, shard: &ShardId, before: Option<&LeaseRow>, heard: bool) {
        let doubt = (by, shard.clone(), before.map(|row| row.epoch));
        if heard {
            self.doubts.remove(&doubt);
        } else if before.is_some_and(|row| self.holder(row) == Some(by)) {
            self.doubts.insert(doubt);
        }
    }

    fn worker_row(&mut self, by: Process, incarnation: &str, counter: Option<u64>) {
        match counter {
            Some(counter) => {
                // Only its own process ever makes the row of an incarnation.
                // A late copy of the request that made a row can make it again.
                self.incarnations
                    .entry(incarnation.to_owned())
                    .or_insert(by);
                if let Some(known) = self.processes.get_mut(&by) {
                    known.joined = true;
                }
                self.workers.insert(incarnation.to_owned(), counter);
            }
            None => {
                self.workers.remove(incarnation);
                if by == RIVAL || by == OPERATOR {
                    self.robbed(incarnation);
                }
                self.buried.insert(incarnation.to_owned());
            }
        }
    }

    /// A rival has declared a life over: whatever it held can be taken without its knowing.
    fn robbed(&mut self, incarnation: &str) {
        self.robbed.insert(incarnation.to_owned());
        for of in self.shards.values_mut() {
            let held = of.grants.values_mut();
            for grant in held.filter(|grant| grant.incarnation == incarnation) {
                grant.stolen.get_or_insert(self.now);
            }
        }
    }

    fn lease(
        &mut self,
        by: Process,
        shard: &ShardId,
        before: Option<&LeaseRow>,
        after: Option<&LeaseRow>,
    ) {
        let of = self.shards.entry(shard.clone()).or_default();
        if by == RIVAL
            && let Some(before) = before
            && let Some(grant) = of.grants.get_mut(&before.epoch)
        {
            grant.stolen = Some(self.now);
        }
        if by == OPERATOR && after.is_none() {
            // The row of a shard that the stream has forgotten is no longer missed by anybody.
            let missed =
                before.filter(|row| !row.checkpoint.is_end() && of.loss.forgotten.is_none());
            let with_all = self.deletions.last();
            let with_all = with_all.is_some_and(|it| it.shard.is_none() && it.at == self.now);
            if let Some(row) = missed.filter(|_| !with_all) {
                self.lease_deleted(shard, row);
            }
            self.row_deleted(shard);
        }
        let of = self.shards.entry(shard.clone()).or_default();
        if after.is_none() {
            of.gone = Some(self.number);
        }
        if let Some(row) = after {
            of.first.get_or_insert_with(|| row.checkpoint.clone());
            of.leased.get_or_insert(self.now);
            if of.first.as_ref() != Some(&row.checkpoint) {
                of.begun.get_or_insert(self.now);
            }
            of.ended |= row.checkpoint.is_end();
            if before.is_none() {
                of.loss.late = of.loss.abandoned.take().or(of.loss.late);
            }
            if before.is_none_or(|before| before.epoch != row.epoch) {
                of.moved = Some(self.now);
                let taker = row.incarnation.clone().filter(|_| row.was_given());
                of.given = taker.map(|taker| (taker, self.now));
                if let Some(incarnation) = &row.incarnation {
                    let grant = GrantLedger {
                        incarnation: incarnation.clone(),
                        number: self.number,
                        since: self.now,
                        checkpoint: row.checkpoint.clone(),
                        acknowledged: None,
                        end_agreed: false,
                        // It was on its way when the life was declared over.
                        stolen: self.robbed.contains(incarnation).then_some(self.now),
                    };
                    of.grants.insert(row.epoch, grant);
                }
            }
        }
        of.row = after.cloned();
    }

    fn called(
        &mut self,
        process: Process,
        instance: InstanceId,
        shard: &ShardId,
        epoch: u64,
        call: &Call,
    ) {
        let known = self
            .instances
            .entry(instance)
            .or_insert_with(|| InstanceLedger {
                process,
                shard: shard.clone(),
                epoch,
                number: self.number,
                call: None,
                reached: None,
                over: None,
            });
        self.reading.entry(process).or_default().insert(instance);
        known.call = Some(call.clone());
        let Call::Process(ids) = call else { return };
        let last = ids
            .iter()
            .rev()
            .find_map(|id| self.records.get(*id as usize));
        known.reached = last.map(|record| record.place + 1).or(known.reached);
        self.delivered(shard, ids);
        self.has_batch(process);
    }

    fn has_batch(&mut self, process: Process) {
        let now = self.now;
        if let Some(known) = self.processes.get_mut(&process) {
            known.traffic.add_batch(now);
        }
    }

    fn delivered(&mut self, shard: &ShardId, ids: &[RecordId]) {
        for id in ids {
            let Some(record) = self.records.get_mut(*id as usize) else {
                continue;
            };
            record.deliveries += 1;
            if let Some(of) = self.shards.get_mut(shard) {
                of.delivered = Some(self.now);
                of.reached = of.reached.max(record.place + 1);
            }
            if record.deliveries == 1 {
                let key = self.keys.entry(record.key).or_default();
                key.next = key.next.max(Some(record.key_place + 1));
            }
        }
    }

    fn acknowledges(&mut self, instance: InstanceId, upto: Option<RecordId>) {
        let Some(known) = self.instances.get(&instance) else {
            return;
        };
        let Some(upto) = upto else {
            if let Some(grant) = grant_of(&mut self.shards, known) {
                grant.end_agreed = true;
            }
            return;
        };
        let Some(Call::Process(ids)) = &known.call else {
            return;
        };
        for id in ids.iter().filter(|id| **id <= upto) {
            if let Some(record) = self.records.get_mut(*id as usize) {
                record.done = true;
            }
        }
    }

    fn confirmed(&mut self, instance: InstanceId, upto: RecordId) {
        let Some(place) = self.records.get(upto as usize).map(|record| record.place) else {
            return;
        };
        self.acknowledged_upto(instance, place + 1);
    }

    fn acknowledged_upto(&mut self, instance: InstanceId, count: usize) {
        let Some(known) = self.instances.get(&instance) else {
            return;
        };
        if let Some(grant) = grant_of(&mut self.shards, known) {
            grant.acknowledged = Some(grant.acknowledged.unwrap_or(0).max(count));
        }
    }

    fn returned(&mut self, instance: InstanceId, ending: Ending) {
        let Some(known) = self.instances.get_mut(&instance) else {
            return;
        };
        let call = known.call.take();
        let over = match (&call, ending) {
            (_, Ending::Failed | Ending::Cancelled) => true,
            (Some(Call::LeaseLost | Call::ShardEnded), Ending::Well) => true,
            (Some(Call::Initialize | Call::Process(_) | Call::ShutdownRequested) | None, _) => {
                false
            }
        };
        if over && let Some(reading) = self.reading.get_mut(&known.process) {
            reading.remove(&instance);
        }
        match (&call, ending) {
            (_, Ending::Failed) => known.over = Some(Over::Failed),
            (_, Ending::Cancelled) => known.over = Some(Over::Cancelled),
            (Some(Call::LeaseLost), Ending::Well) => known.over = Some(Over::Lost),
            (Some(Call::ShardEnded), Ending::Well) => {
                known.over = Some(Over::Ended);
                if let Some(grant) = grant_of(&mut self.shards, known) {
                    grant.end_agreed = true;
                }
            }
            (Some(Call::Process(ids)), Ending::Well) => {
                for id in ids {
                    if let Some(record) = self.records.get_mut(*id as usize) {
                        record.done = true;
                    }
                }
                if let Some(reached) = known.reached {
                    self.acknowledged_upto(instance, reached);
                }
            }
            (Some(Call::Initialize | Call::ShutdownRequested) | None, Ending::Well) => {}
        }
    }
}

/// The grant that a processor is for: one of the same number, after a row was deleted, is not.
fn grant_of<'a>(
    shards: &'a mut BTreeMap<ShardId, ShardLedger>,
    instance: &InstanceLedger,
) -> Option<&'a mut GrantLedger> {
    let grant = shards
        .get_mut(&instance.shard)?
        .grants
        .get_mut(&instance.epoch)?;
    (instance.number > grant.number).then_some(grant)
}
