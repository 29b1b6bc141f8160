//! Random lives of a shard whose records go to a handler, against a rig that plays its shell, its
//! handler and its store; and single steps where the life and the lanes meet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use proptest::prelude::*;

use super::*;
use crate::decide::lanes::Errand;
use crate::event::FailureCause;
use crate::port::Failed;
use crate::settings::HandlerSettings;

struct Rig {
    machine: ShardMachine,
    rng: fastrand::Rng,
    now: Instant,
    proven_until: Instant,
    /// Records 1 to this are in the shard, and then it ends.
    records: u64,
    read: u64,
    feed: bool,
    by_record: bool,
    /// What each call that runs was given.
    calls: BTreeMap<CallId, (bool, Vec<u64>)>,
    cancelled: bool,
    settled: BTreeSet<u64>,
    seen: BTreeSet<u64>,
    writing: Option<Write>,
    right: bool,
    lost: bool,
    told: bool,
    stopped: bool,
    failed: bool,
    durable: u64,
    finished: bool,
    end: Option<End>,
}

fn place(checkpoint: &Checkpoint) -> u64 {
    match checkpoint {
        Checkpoint::Sequence { sequence, .. } => sequence.as_str().parse().unwrap(),
        Checkpoint::TrimHorizon => 0,
        other @ (Checkpoint::Latest | Checkpoint::AtTimestamp(_) | Checkpoint::ShardEnd) => {
            panic!("{other} is not a place in the rig")
        }
    }
}

fn scripted() -> Failed {
    Failed {
        cause: FailureCause::Error,
        error: failure(),
    }
}

impl Rig {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let policy = match rng.u8(..4) {
            0 => FailurePolicy::StopWorker,
            1 | 2 => FailurePolicy::Divert,
            _ => FailurePolicy::Restart,
        };
        let attempts = (policy != FailurePolicy::Restart && rng.u8(..4) > 0).then(|| rng.u32(1..3));
        let settings = Settings {
            handler: HandlerSettings {
                lanes: rng.usize(1..5),
                batch_records_max: rng.usize(1..6),
                unsettled_records_max: rng.usize(5..20),
                ..HandlerSettings::default()
            },
            failure: FailureSettings {
                policy,
                attempts_max: attempts.or((policy == FailurePolicy::Divert).then_some(2)),
                bisect: rng.bool(),
                ..FailureSettings::default()
            },
            ..Settings::default()
        };
        let now = Instant::now();
        let by_record = rng.bool();
        let start = Start {
            shard: ShardId::new("s"),
            checkpoint: Checkpoint::TrimHorizon,
            pending: None,
            settings: Arc::new(settings),
            rng: rng.fork(),
            lanes: Some(LanesStart {
                is_by_record: by_record,
                keep: None,
                weigh: None,
                wall: SystemTime::UNIX_EPOCH,
            }),
        };
        let (machine, actions) = ShardMachine::new(start, now);
        let mut rig = Self {
            machine,
            now,
            proven_until: now,
            records: rng.u64(..40),
            read: 0,
            feed: false,
            by_record,
            calls: BTreeMap::new(),
            cancelled: false,
            settled: BTreeSet::new(),
            seen: BTreeSet::new(),
            writing: None,
            right: true,
            lost: false,
            told: false,
            stopped: false,
            failed: false,
            durable: 0,
            finished: false,
            end: None,
            rng,
        };
        rig.check_all(actions);
        rig
    }

    fn on(&mut self, event: Event) {
        let actions = self.machine.on(self.now, event);
        self.check_all(actions);
    }

    fn check_all(&mut self, actions: Actions) {
        for action in actions {
            self.check(action);
        }
    }

    fn prefix(&self) -> u64 {
        (1..).find(|at| !self.settled.contains(at)).unwrap_or(1) - 1
    }

    fn check(&mut self, action: Action) {
        assert!(self.end.is_none(), "{action:?} after the end");
        match action {
            Action::OpenFeed(_) => self.feed = true,
            Action::CloseFeed => self.feed = false,
            Action::Handle(call) => self.check_call(&call),
            Action::StopCalls | Action::Tell(_) => {}
            Action::CancelCalls => self.cancelled = true,
            Action::Write(write) => {
                assert!(self.writing.is_none() && self.right && !self.lost);
                match &write {
                    Write::Commit(upto) => {
                        let upto = place(upto);
                        assert!(upto > self.durable, "a commit that goes back or nowhere");
                        assert!(upto <= self.prefix(), "a commit of what is not settled");
                    }
                    Write::Finish(_) => {
                        assert_eq!(
                            self.prefix(),
                            self.records,
                            "finished before all is settled"
                        );
                        assert!(self.calls.is_empty());
                    }
                    Write::Release => {
                        assert!(self.calls.is_empty(), "given back while a call runs");
                        assert_eq!(self.durable, self.prefix(), "progress is left to commit");
                        let again = self.seen.iter().any(|at| *at > self.durable);
                        assert!(
                            !again || self.failed || self.cancelled,
                            "records come twice"
                        );
                    }
                    Write::Prepare(pending) => panic!("nobody prepares {pending:?}"),
                }
                self.writing = Some(write);
            }
            Action::DropRight => (self.right, self.writing) = (false, None),
            Action::Done(end) => {
                match &end {
                    End::Finished => assert!(self.finished),
                    End::Released => assert!(!self.right),
                    End::Lost => assert!(self.lost),
                    End::Abandoned | End::Failed(_) => {}
                }
                let abandoned = matches!(end, End::Abandoned);
                assert!(abandoned || self.calls.is_empty(), "over while a call runs");
                self.end = Some(end);
            }
            action @ (Action::Call(_)
            | Action::TellLost
            | Action::CancelCall
            | Action::DropProcessor
            | Action::Answer(..)
            | Action::Prepared(..)) => panic!("there is no processor: {action:?}"),
        }
    }

    fn check_call(&mut self, call: &LaneCall) {
        assert!(self.now < self.proven_until, "a call started without proof");
        assert!(!self.lost, "a call after the loss");
        assert!(!self.cancelled, "a call after all were cut off");
        let numbers = call
            .records
            .iter()
            .map(|record| place(&record.checkpoint()));
        let numbers: Vec<_> = numbers.collect();
        if self.stopped {
            let seen = self.seen.last().copied().unwrap_or_default();
            let highest = *numbers.last().unwrap();
            assert!(highest <= seen, "{highest} is begun after the stop");
        }
        let handles = matches!(call.errand, Errand::Handle);
        self.calls.insert(call.id, (handles, numbers));
    }

    fn step(&mut self, calm: bool) {
        let roll = if calm { 100 } else { self.rng.u32(..100) };
        let time = Duration::from_millis(self.rng.u64(..3_000));
        match roll {
            0..2 => {
                self.stopped = true;
                self.on(Event::Stop);
            }
            2 => {
                // If it ends with the last write, the answer to that one says what it was.
                let is_last = matches!(self.writing, Some(Write::Release | Write::Finish(_)));
                self.told |= is_last || self.finished;
                self.lost |= !is_last && !self.finished;
                self.on(Event::Standing(Standing::Lost));
            }
            3 => {
                self.stopped = true;
                self.proven_until = self.now + SECOND;
                let until = self.proven_until;
                self.on(Event::Standing(Standing::HandOver { until }));
            }
            4..20 => self.prove(time),
            20..35 => self.wait(time),
            _ => self.work(calm),
        }
    }

    fn prove(&mut self, time: Duration) {
        if !self.lost && !self.told && self.right && !self.finished {
            self.proven_until = self.now + time;
            let until = self.proven_until;
            self.on(Event::Standing(Standing::Held { until }));
        }
    }

    fn wait(&mut self, time: Duration) {
        let target = self.now + time;
        let mut steps = 0;
        while let Some(deadline) = self.machine.next_deadline().filter(|at| *at <= target) {
            steps += 1;
            assert!(steps < 10_000, "it spins");
            self.now = deadline.max(self.now);
            self.on(Event::Time);
        }
        self.now = target;
    }

    fn work(&mut self, calm: bool) {
        let fails = !calm && self.rng.u8(..6) == 0;
        let write = self.writing.is_some() && self.rng.bool();
        if write || (self.writing.is_some() && self.calls.is_empty()) {
            self.write_returns(fails);
        } else if self.machine.wants_batch() && self.feed && self.rng.bool() {
            let last = (self.read + self.rng.u64(..6)).min(self.records);
            let mut brought = batch(self.read + 1..=last);
            self.read = last;
            if last == self.records && self.rng.bool() {
                brought.children = Some(Vec::new());
            }
            self.on(Event::Batch(brought));
        } else if !self.calls.is_empty() {
            self.call_returns(fails);
        } else {
            self.wait(SECOND);
        }
    }

    fn call_returns(&mut self, fails: bool) {
        let ids: Vec<_> = self.calls.keys().copied().collect();
        let id = self.rng.choice(ids).unwrap();
        let (handles, numbers) = self.calls.remove(&id).unwrap();
        let outcome = if self.cancelled && self.rng.bool() {
            self.seen.extend(&numbers);
            Outcome::Cancelled
        } else if handles && self.by_record && self.rng.u8(..4) == 0 {
            let done = self.rng.usize(..numbers.len());
            self.seen.extend(&numbers[..done]);
            self.settled.extend(&numbers[..done]);
            Outcome::Stopped(done, None)
        } else {
            self.seen.extend(&numbers);
            let from = if handles && !self.by_record {
                self.rng.usize(..numbers.len())
            } else {
                0
            };
            match fails {
                true if handles && self.by_record => Outcome::Stopped(0, Some(scripted())),
                true => Outcome::FailedFrom(from, scripted()),
                false => Outcome::Done,
            }
        };
        match &outcome {
            Outcome::Done => self.settled.extend(&numbers),
            Outcome::FailedFrom(from, _) => self.settled.extend(&numbers[..*from]),
            Outcome::Stopped(..)
            | Outcome::FailedWithin(..)
            | Outcome::FailedAt(..)
            | Outcome::NotTried(..)
            | Outcome::Cancelled => {}
        }
        self.failed |= fails;
        self.on(Event::Called {
            id,
            outcome,
            hold: None,
        });
    }

    fn write_returns(&mut self, fails: bool) {
        let write = self.writing.take().unwrap();
        if fails {
            self.lost |= self.told;
            return self.on(Event::Written(Err(unavailable())));
        }
        match write {
            Write::Commit(upto) => self.durable = place(&upto),
            Write::Finish(_) => self.finished = true,
            Write::Release => self.right = false,
            Write::Prepare(_) => {}
        }
        self.on(Event::Written(Ok(())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_life_with_lanes_breaks_an_invariant_and_every_one_can_come_to_an_end(seed: u64) {
        let mut rig = Rig::new(seed);
        for _ in 0..rig.rng.u32(..200) {
            if rig.end.is_some() {
                break;
            }
            rig.step(false);
        }
        for _ in 0..3_000 {
            if rig.end.is_some() {
                break;
            }
            rig.prove(FAR);
            if rig.end.is_none() {
                rig.step(true);
            }
        }
        prop_assert!(rig.end.is_some(), "stuck in {:?} with {:?}", rig.machine.state, rig.machine.lanes);
    }
}

fn machine(now: Instant) -> ShardMachine {
    let start = Start {
        shard: ShardId::new("s"),
        checkpoint: checkpoint(10),
        pending: None,
        settings: Arc::new(Settings::default()),
        rng: fastrand::Rng::with_seed(1),
        lanes: Some(LanesStart {
            is_by_record: false,
            keep: None,
            weigh: None,
            wall: SystemTime::UNIX_EPOCH,
        }),
    };
    ShardMachine::new(start, now).0
}

fn held(now: Instant) -> Event {
    Event::Standing(Standing::Held { until: now + FAR })
}

#[test]
fn a_handler_that_never_comes_back_costs_the_lease_its_time() {
    let now = Instant::now();
    let mut machine = machine(now);
    machine.on(now, held(now));
    machine.on(now, Event::Batch(batch(11..=12)));
    machine.on(now, Event::Stop);
    let now = machine.next_deadline().unwrap();
    assert!(matches!(
        machine.on(now, Event::Time)[..],
        [Action::CancelCalls]
    ));
    let now = machine.next_deadline().unwrap();
    let actions = machine.on(now, Event::Time);
    assert!(matches!(
        actions[..],
        [Action::DropRight, Action::Done(End::Abandoned)]
    ));
}

#[test]
fn what_the_worker_stops_for_is_told_though_the_shard_cannot_be_given_back() {
    let mut now = Instant::now();
    let mut machine = machine(now);
    machine.on(now, held(now));
    let mut actions = machine.on(now, Event::FeedFailed(failure()));
    // The store does not answer: the write stays on its way until time is over.
    while !matches!(actions.last(), Some(Action::Done(_))) {
        now = machine.next_deadline().unwrap();
        actions = machine.on(now, Event::Time);
    }
    assert!(matches!(
        actions[..],
        [Action::DropRight, Action::Done(End::Failed(_))]
    ));
}

#[test]
fn calls_that_are_cut_off_come_back_before_the_shard_is_given_back() {
    let now = Instant::now();
    let mut machine = machine(now);
    machine.on(now, held(now));
    machine.on(now, Event::Batch(batch(11..=12)));
    machine.on(now, Event::Stop);
    let now = machine.next_deadline().unwrap();
    machine.on(now, Event::Time);
    // It was done just before it was cut off, which counts.
    let outcome = Outcome::Done;
    let actions = machine.on(
        now,
        Event::Called {
            id: 0,
            outcome,
            hold: None,
        },
    );
    assert!(
        matches!(&actions[..], [Action::Tell(_), Action::Write(Write::Commit(upto))] if *upto == checkpoint(12))
    );
    let actions = machine.on(now, Event::Written(Ok(())));
    assert!(matches!(actions[..], [Action::Write(Write::Release)]));
}

#[test]
fn after_a_loss_nothing_is_started_and_the_end_waits_for_the_calls() {
    let now = Instant::now();
    let mut machine = machine(now);
    machine.on(now, held(now));
    machine.on(now, Event::Batch(batch(11..=12)));
    let actions = machine.on(now, Event::Standing(Standing::Lost));
    assert!(matches!(
        actions[..],
        [Action::CloseFeed, Action::DropRight, Action::StopCalls]
    ));
    let now = machine.next_deadline().unwrap();
    assert!(matches!(
        machine.on(now, Event::Time)[..],
        [Action::CancelCalls]
    ));
    assert_eq!(machine.next_deadline(), None);
    let outcome = Outcome::Cancelled;
    let actions = machine.on(
        now,
        Event::Called {
            id: 0,
            outcome,
            hold: None,
        },
    );
    assert!(matches!(actions[..], [Action::Done(End::Lost)]));
}
