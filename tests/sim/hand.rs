//! Histories written by hand, for the tests of the rules.

use std::time::{Duration, UNIX_EPOCH};

use kcl_core::model::{Checkpoint, SequenceNumber, ShardId};
use tests::sim::checkers::{Oracle, Rule};
use tests::sim::history::{Call, Ending, Event, LeaseRow, Process, RecordId, Step};
use tests::sim::ledger::{Expectations, OPERATOR, Start};
use tests::sim::scenario::{Handling, Heavy};
use tests::sim::subject::Subject;

pub(crate) const P: Process = Process { worker: 0, life: 0 };
pub(crate) const Q: Process = Process { worker: 1, life: 0 };

/// Writes a history by hand.
pub(crate) struct Hand {
    pub(crate) oracle: Oracle,
    pub(crate) number: u64,
    pub(crate) now: Duration,
    records: RecordId,
}

impl Hand {
    pub(crate) fn new(clean: bool) -> Self {
        Self::starting(Start::TrimHorizon, clean)
    }

    pub(crate) fn starting(start: Start, clean: bool) -> Self {
        Self::with(start, clean, None, None)
    }

    /// A run in which records go to a handler.
    pub(crate) fn handled(handling: Handling, clean: bool) -> Self {
        Self::with(Start::TrimHorizon, clean, None, Some(handling))
    }

    /// A run in which loads differ.
    pub(crate) fn heavy(heavy: Heavy) -> Self {
        Self::with(Start::TrimHorizon, false, Some(heavy), None)
    }

    /// Production goes on for so many seconds.
    pub(crate) fn producing_until(self, seconds: u64) -> Self {
        let expect = Expectations {
            quiet: Duration::from_secs(seconds),
            ..self.oracle.ledger().expect
        };
        Self {
            oracle: Oracle::new(expect),
            ..self
        }
    }

    fn with(start: Start, clean: bool, heavy: Option<Heavy>, handling: Option<Handling>) -> Self {
        let expect = Expectations {
            wall_zero: UNIX_EPOCH,
            start,
            clean,
            still: clean,
            heavy,
            quiet: Duration::from_secs(120),
            lease_max: Duration::from_secs(10),
            overlap: Duration::ZERO,
            shard_requests: 50,
            commits_each: false,
            streams: 1,
            handling,
        };
        let oracle = Oracle::new(expect);
        Self {
            oracle,
            number: 0,
            now: Duration::ZERO,
            records: 0,
        }
    }

    pub(crate) fn add(&mut self, event: Event) -> u64 {
        self.number += 1;
        self.oracle.observe(self.now, self.number, &event);
        self.number
    }

    pub(crate) fn after(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    pub(crate) fn starts(&mut self, process: Process) {
        self.life(process, Step::Started);
        let incarnation = name(process);
        self.add(Event::WorkerRow {
            by: process,
            incarnation,
            counter: Some(0),
        });
    }

    pub(crate) fn life(&mut self, process: Process, step: Step) {
        self.add(Event::Life { process, step });
    }

    pub(crate) fn dies(&mut self, process: Process, by: Process) {
        self.life(process, Step::Killed);
        self.add(Event::WorkerRow {
            by,
            incarnation: name(process),
            counter: None,
        });
    }

    pub(crate) fn shard(&mut self, shard: &str, parents: &[&str]) {
        let parents = parents.iter().map(ShardId::new).collect();
        self.add(Event::ShardMade {
            shard: shard.into(),
            parents,
        });
    }

    pub(crate) fn closed(&mut self, shard: &str) {
        self.add(Event::ShardClosed {
            shard: shard.into(),
        });
    }

    /// Puts a record of this key into the shard; its sequence number is its own number plus 100.
    pub(crate) fn put(&mut self, shard: &str, key: u32) -> RecordId {
        let record = self.records;
        self.records += 1;
        let arrival = u64::try_from(self.now.as_millis()).unwrap();
        let sequence = number(record);
        self.add(Event::Produced {
            record,
            shard: shard.into(),
            sequence,
            key,
            arrival,
        });
        record
    }

    pub(crate) fn write(
        &mut self,
        by: Process,
        shard: &str,
        before: Option<&LeaseRow>,
        after: &LeaseRow,
    ) {
        let sent = self.number;
        self.write_sent(by, sent, shard, before, Some(after));
    }

    pub(crate) fn write_sent(
        &mut self,
        by: Process,
        sent: u64,
        shard: &str,
        before: Option<&LeaseRow>,
        after: Option<&LeaseRow>,
    ) {
        let (before, after) = (before.cloned(), after.cloned());
        self.add(Event::Lease {
            by,
            sent,
            heard: true,
            shard: shard.into(),
            before,
            after,
        });
    }

    /// Makes the lease of a shard, and gives it to a process.
    pub(crate) fn grant(&mut self, process: Process, shard: &str) -> LeaseRow {
        let fresh = row(None, 0, Checkpoint::TrimHorizon);
        let held = row(Some(process), 1, Checkpoint::TrimHorizon);
        self.write(process, shard, None, &fresh);
        self.write(process, shard, Some(&fresh), &held);
        held
    }

    pub(crate) fn call(
        &mut self,
        process: Process,
        instance: u32,
        shard: &str,
        epoch: u64,
        call: Call,
    ) {
        self.add(Event::Called {
            process,
            instance,
            shard: shard.into(),
            epoch,
            call,
        });
    }

    pub(crate) fn called(
        &mut self,
        process: Process,
        instance: u32,
        shard: &str,
        epoch: u64,
        call: Call,
    ) {
        self.call(process, instance, shard, epoch, call);
        self.add(Event::Returned {
            instance,
            ending: Ending::Well,
        });
    }

    pub(crate) fn processed(
        &mut self,
        process: Process,
        instance: u32,
        shard: &str,
        ids: &[RecordId],
    ) {
        self.called(process, instance, shard, 1, Call::Initialize);
        self.called(process, instance, shard, 1, Call::Process(ids.to_vec()));
    }

    pub(crate) fn sent(&mut self, process: Process, subject: Subject) {
        self.add(Event::Sent {
            process,
            subject,
            shard: None,
            fate: "fine",
        });
    }

    pub(crate) fn reads(&mut self, process: Process, shard: &str) {
        self.add(Event::Sent {
            process,
            subject: Subject::Records,
            shard: Some(shard.into()),
            fate: "fine",
        });
    }

    /// An operator deletes the row of a shard.
    pub(crate) fn write_by_operator(&mut self, shard: &str, before: &LeaseRow) {
        let sent = self.number;
        self.write_sent(OPERATOR, sent, shard, Some(before), None);
    }

    pub(crate) fn broken(&self) -> Vec<Rule> {
        let mut rules: Vec<_> = self
            .oracle
            .violations()
            .iter()
            .map(|found| found.rule)
            .collect();
        rules.dedup();
        rules
    }

    #[track_caller]
    pub(crate) fn breaks(&self, rule: Rule) {
        assert_eq!(self.broken(), [rule], "{:?}", self.oracle.violations());
    }
}

pub(crate) fn name(process: Process) -> String {
    process.to_string()
}

pub(crate) fn number(record: RecordId) -> SequenceNumber {
    SequenceNumber::new((100 + record).to_string()).unwrap()
}

pub(crate) fn at(record: RecordId) -> Checkpoint {
    Checkpoint::at(number(record))
}

pub(crate) fn row(owner: Option<Process>, epoch: u64, checkpoint: Checkpoint) -> LeaseRow {
    LeaseRow {
        incarnation: owner.map(name),
        epoch,
        checkpoint,
        given_to: None,
    }
}

/// One process, one shard, three records of one key, all processed.
pub(crate) fn small(clean: bool) -> (Hand, LeaseRow) {
    let mut hand = Hand::new(clean);
    hand.shard("a", &[]);
    hand.starts(P);
    for _ in 0..3 {
        hand.put("a", 7);
    }
    let held = hand.grant(P, "a");
    hand.processed(P, 0, "a", &[0, 1, 2]);
    (hand, held)
}

/// Shard `a` with record 0 of key 7 is held and closed, its child `b` has record 1 of the same key.
pub(crate) fn split(start: Start) -> Hand {
    let mut hand = Hand::starting(start, false);
    hand.shard("a", &[]);
    hand.starts(P);
    hand.put("a", 7);
    hand.shard("b", &["a"]);
    hand.closed("a");
    hand.put("b", 7);
    hand
}
