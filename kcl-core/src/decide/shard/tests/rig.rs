//! Random lives of a shard against a rig that plays its shell, its user code and its store.

use proptest::prelude::*;

use super::*;

/// Plays everything around the machine, and knows what is allowed.
struct Rig {
    machine: ShardMachine,
    rng: fastrand::Rng,
    manual: bool,
    now: Instant,
    proven_until: Instant,
    /// Records 1 to this are in the shard, and then it ends.
    records: u64,
    feed: Option<u64>,
    processor: bool,
    call: Option<Call>,
    telling: bool,
    writing: Option<Write>,
    right: bool,
    lost: bool,
    /// The loss was told while the last write ran; its answer decides.
    told: bool,
    stopped: bool,
    durable: u64,
    finished: bool,
    acknowledged: u64,
    end_agreed: bool,
    delivered: u64,
    asks: Vec<u64>,
    next_ask: u64,
    over: bool,
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

impl Rig {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let manual = rng.u8(..4) == 0;
        let policy = if manual {
            CheckpointPolicy::Manual
        } else {
            CheckpointPolicy::default()
        };
        let failure = if rng.u8(..4) == 0 {
            FailurePolicy::StopWorker
        } else {
            FailurePolicy::Restart
        };
        let now = Instant::now();
        let start = Start {
            shard: ShardId::new("s"),
            checkpoint: Checkpoint::TrimHorizon,
            pending: None,
            settings: settings(policy, failure),
            rng: rng.fork(),
            lanes: None,
        };
        let (machine, actions) = ShardMachine::new(start, now);
        let records = rng.u64(..30);
        let mut rig = Self {
            machine,
            rng,
            manual,
            now,
            proven_until: now,
            records,
            feed: None,
            processor: false,
            call: None,
            telling: false,
            writing: None,
            right: true,
            lost: false,
            told: false,
            stopped: false,
            durable: 0,
            finished: false,
            acknowledged: 0,
            end_agreed: false,
            delivered: 0,
            asks: Vec::new(),
            next_ask: 0,
            over: false,
        };
        rig.check_all(actions);
        rig
    }

    fn on(&mut self, event: Event) {
        let actions = self.machine.on(self.now, event);
        self.check_all(actions);
        if let Some(deadline) = self.machine.next_deadline() {
            assert!(
                deadline > self.now || !self.over,
                "a deadline that is over wakes for ever"
            );
        }
    }

    fn check_all(&mut self, actions: Actions) {
        for action in actions {
            self.check(action);
        }
    }

    fn check(&mut self, action: Action) {
        assert!(!self.over, "{action:?} after the end");
        match action {
            Action::OpenFeed(after) => {
                assert_eq!(
                    place(&after),
                    self.acknowledged,
                    "reading goes on where it was acknowledged"
                );
                self.feed = Some(self.acknowledged.max(1) - 1);
            }
            Action::CloseFeed => self.feed = None,
            Action::Call(call) => self.check_call(call),
            Action::Handle(_)
            | Action::StopCalls
            | Action::CancelCalls
            | Action::Tell(Told::Lane(_)) => panic!("there are no lanes here: {action:?}"),
            Action::TellLost => {
                assert!(self.lost && self.processor && self.call.is_none());
                self.telling = true;
            }
            Action::CancelCall => {
                assert!(self.call.take().is_some() || std::mem::take(&mut self.telling));
            }
            Action::DropProcessor => {
                assert!(self.call.is_none());
                self.processor = false;
                self.delivered = self.acknowledged;
            }
            Action::Write(write) => self.check_write(write),
            Action::DropRight => (self.right, self.writing) = (false, None),
            Action::Tell(Told::Trimmed(trimmed)) => panic!("nothing is trimmed: {trimmed:?}"),
            Action::Tell(Told::Failed { .. }) => assert!(!self.processor, "it is gone by now"),
            Action::Answer(id, answer) => {
                let at = self
                    .asks
                    .iter()
                    .position(|ask| *ask == id)
                    .expect("asked and not answered yet");
                self.asks.remove(at);
                assert!(
                    answer.is_err() || !self.lost,
                    "nothing is durable after a loss"
                );
            }
            Action::Prepared(id, upto) => {
                let asked = self.asks.iter().position(|ask| *ask == id);
                self.asks.remove(asked.expect("asked and not answered yet"));
                assert!(!self.lost, "nothing is announced after a loss");
                assert!(upto.is_end() || place(&upto) >= self.durable);
            }
            Action::Done(end) => {
                assert!(self.call.is_none() && self.asks.is_empty());
                match end {
                    End::Finished => assert!(self.finished),
                    End::Released => assert!(!self.right && self.durable == self.acknowledged),
                    End::Lost => assert!(self.lost),
                    End::Abandoned | End::Failed(_) => {}
                }
                self.over = true;
            }
        }
    }

    fn check_call(&mut self, call: Call) {
        assert!(self.call.is_none() && !self.telling, "two calls at once");
        assert!(self.now < self.proven_until, "a call started without proof");
        assert!(!self.lost, "a call after the loss");
        match &call {
            Call::Initialize => {
                assert!(!self.processor, "a second processor");
                self.processor = true;
                self.delivered = self.acknowledged;
            }
            Call::Process(batch) => {
                assert!(self.processor && !self.stopped, "a delivery after the stop");
                for record in &batch.records {
                    let at = place(&record.checkpoint());
                    assert_eq!(
                        at,
                        self.delivered + 1,
                        "records come in order and without a gap"
                    );
                    self.delivered = at;
                }
            }
            Call::ShardEnded => {
                assert_eq!(
                    self.delivered, self.records,
                    "the end before the last record"
                );
                assert!(self.manual || self.acknowledged == self.records);
            }
            Call::ShutdownRequested => assert!(self.processor && self.stopped),
        }
        self.call = Some(call);
    }

    fn check_write(&mut self, write: Write) {
        assert!(self.writing.is_none(), "two writes at once");
        assert!(self.right && !self.lost, "a write after the loss");
        match &write {
            Write::Commit(upto) => {
                assert!(
                    place(upto) <= self.acknowledged,
                    "a commit of what is not acknowledged"
                );
                assert!(
                    place(upto) > self.durable,
                    "a commit that goes back or nowhere"
                );
            }
            Write::Prepare(pending) if pending.checkpoint.is_end() => {
                assert_eq!(
                    self.delivered, self.records,
                    "an end before the last record"
                );
            }
            Write::Prepare(pending) => {
                let at = place(&pending.checkpoint);
                assert!(at > self.durable, "announced before the checkpoint");
                assert!(at <= self.records, "announced beyond the shard");
            }
            Write::Finish(_) => assert!(self.end_agreed, "finished without consent"),
            Write::Release => {
                assert!(self.call.is_none(), "given back while user code runs");
                assert_eq!(
                    self.durable, self.acknowledged,
                    "given back with progress left to commit"
                );
            }
        }
        self.writing = Some(write);
    }

    /// One thing that can happen now; `calm` if only what goes well.
    fn step(&mut self, calm: bool) {
        let roll = if calm { 100 } else { self.rng.u32(..100) };
        let time = Duration::from_millis(self.rng.u64(..2_000));
        match roll {
            0..2 => {
                self.stopped = true;
                self.on(Event::Stop);
            }
            2 if self.feed.is_some() && self.machine.wants_batch() => {
                self.stopped = true;
                self.on(Event::FeedFailed(Error::new(
                    ErrorKind::NotFound,
                    "scripted",
                )));
            }
            3 => self.lose_grant(),
            4 => {
                self.stopped = true;
                self.proven_until = self.now + SECOND;
                self.on(Event::Standing(Standing::HandOver {
                    until: self.proven_until,
                }));
            }
            5..20 => self.prove(time),
            20..35 => self.wait(time),
            35..45 if self.call.is_some() => self.ask(),
            45..50 if self.call.is_some() => self.prepare(),
            _ => self.work(calm),
        }
    }

    fn lose_grant(&mut self) {
        let ended =
            matches!(self.writing, Some(Write::Release | Write::Finish(_))) || self.finished;
        if ended {
            self.told = true;
        } else {
            self.lost = true;
        }
        self.on(Event::Standing(Standing::Lost));
    }

    fn prove(&mut self, time: Duration) {
        if !self.lost && !self.told {
            self.proven_until = self.now + time;
            self.on(Event::Standing(Standing::Held {
                until: self.proven_until,
            }));
        }
    }

    fn wait(&mut self, time: Duration) {
        let target = self.now + time;
        while let Some(deadline) = self.machine.next_deadline().filter(|at| *at <= target) {
            self.now = deadline.max(self.now);
            self.on(Event::Time);
        }
        self.now = target;
    }

    fn ask(&mut self) {
        let id = self.next_ask;
        self.next_ask += 1;
        self.asks.push(id);
        let all = self.rng.bool();
        let at = self.rng.u64(self.durable..=self.delivered);
        if !self.lost && !self.over {
            if all && self.call == Some(Call::ShardEnded) {
                self.end_agreed = true;
                self.acknowledged = self.acknowledged.max(self.delivered);
            } else if !self.finished {
                let upto = if all { self.delivered } else { at };
                self.acknowledged = self.acknowledged.max(upto);
            }
        }
        let upto = (!all && at > 0).then(|| checkpoint(at));
        if upto.is_none() && !all {
            self.asks.pop();
            return;
        }
        let ask = Ask::Commit(upto);
        self.on(Event::Asked { id, ask });
    }

    fn prepare(&mut self) {
        let id = self.next_ask;
        self.next_ask += 1;
        self.asks.push(id);
        let at = self.rng.u64(self.durable..=self.delivered);
        let upto = (at > 0).then(|| checkpoint(at));
        let state = None;
        let ask = Ask::Prepare { upto, state };
        self.on(Event::Asked { id, ask });
    }

    /// User code, store or feed go on, whichever can.
    fn work(&mut self, calm: bool) {
        let fails = !calm && self.rng.u8(..8) == 0;
        let write_first = self.writing.is_some() && (self.rng.bool() || self.call.is_none());
        if std::mem::take(&mut self.telling) {
            self.on(Event::Returned(Ok(())));
        } else if write_first {
            self.write_returns(fails);
        } else if let Some(call) = self.call.take() {
            self.call_returns(&call, fails);
        } else if self.machine.wants_batch() && self.feed.is_some() {
            self.feed_brings();
        } else {
            self.wait(SECOND);
        }
    }

    fn call_returns(&mut self, call: &Call, fails: bool) {
        if fails {
            return self.on(Event::Returned(Err(failure())));
        }
        if !self.lost {
            match call {
                Call::Process(_) if !self.manual => self.acknowledged = self.delivered,
                Call::ShardEnded if !self.manual => self.end_agreed = true,
                Call::Initialize
                | Call::Process(_)
                | Call::ShardEnded
                | Call::ShutdownRequested => {}
            }
        }
        self.on(Event::Returned(Ok(())));
    }

    fn write_returns(&mut self, fails: bool) {
        let write = self.writing.take().unwrap();
        if fails {
            let fenced = self.rng.u8(..4) == 0;
            self.lost |= self.told || fenced;
            if fenced {
                let shard = ShardId::new("s");
                return self.on(Event::Written(Err(CommitError::Fenced { shard })));
            }
            return self.on(Event::Written(Err(unavailable())));
        }
        match write {
            Write::Commit(upto) => self.durable = place(&upto),
            Write::Prepare(_) => {}
            Write::Finish(_) => self.finished = true,
            Write::Release => self.right = false,
        }
        self.on(Event::Written(Ok(())));
    }

    fn feed_brings(&mut self) {
        let at = self.feed.unwrap();
        let last = (at + self.rng.u64(..6)).min(self.records);
        self.feed = Some(last);
        let mut brought = batch(at + 1..=last);
        if last == self.records && self.rng.bool() {
            brought.children = Some(Vec::new());
        }
        self.on(Event::Batch(brought));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_life_of_a_shard_breaks_an_invariant_and_every_one_can_come_to_an_end(seed: u64) {
        let mut rig = Rig::new(seed);
        for _ in 0..rig.rng.u32(..200) {
            if rig.over {
                break;
            }
            rig.step(false);
        }
        // From here on all goes well: the shard has to come to its end.
        for _ in 0..1_000 {
            if rig.over {
                break;
            }
            rig.prove(FAR);
            if rig.call == Some(Call::ShardEnded) && rig.manual && !rig.end_agreed && !rig.lost {
                rig.end_agreed = true;
                rig.acknowledged = rig.delivered;
                rig.asks.push(u64::MAX);
                let ask = Ask::Commit(None);
                rig.on(Event::Asked { id: u64::MAX, ask });
            }
            if !rig.over {
                rig.step(true);
            }
        }
        prop_assert!(rig.over, "stuck in {:?}", rig.machine.state);
    }
}
