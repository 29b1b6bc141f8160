//! Random records, keys, settings and outcomes, against a rig that knows what is allowed.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

struct Rig {
    lanes: Lanes,
    rng: fastrand::Rng,
    now: Instant,
    settings: Arc<Settings>,
    is_by_record: bool,
    keys: usize,
    poison: BTreeSet<Number>,
    taken: Number,
    /// Where pages end.
    ends: Vec<Number>,
    /// The calls that run.
    calls: BTreeMap<CallId, LaneCall>,
    /// The lane of each key, where each has one.
    lane_of: BTreeMap<u64, usize>,
    /// Settled by the rig's word.
    settled: BTreeSet<Number>,
    diverted: BTreeSet<Number>,
    /// Begun by the handler.
    seen: BTreeSet<Number>,
    left: bool,
    failed_since_left: bool,
}

/// How calls end.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    /// Well, but for poison.
    Calm,
    /// In any way.
    Wild,
}

impl Rig {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let handler = HandlerSettings {
            lanes: rng.usize(1..5),
            lane_choice: *rng.choice(&[LaneChoice::Free, LaneChoice::ByKey]).unwrap(),
            lane_commit: *rng.choice(&[LaneCommit::Record, LaneCommit::Page]).unwrap(),
            batch_records_max: rng.usize(1..8),
            batch_window: SECOND * rng.u32(0..3),
            unsettled_records_max: rng.usize(5..60),
            ..HandlerSettings::default()
        };
        let failure = FailureSettings {
            policy: FailurePolicy::Divert,
            attempts_max: Some(rng.u32(1..4)),
            bisect: rng.bool(),
            ..FailureSettings::default()
        };
        let settings = settings(handler, failure);
        let now = Instant::now();
        let is_by_record = rng.bool();
        Self {
            lanes: lanes(is_by_record, settings.clone(), now),
            now,
            settings,
            is_by_record,
            keys: rng.usize(1..6),
            poison: (0..200).filter(|_| rng.u8(..12) == 0).collect(),
            taken: 0,
            ends: Vec::new(),
            calls: BTreeMap::new(),
            lane_of: BTreeMap::new(),
            settled: BTreeSet::new(),
            diverted: BTreeSet::new(),
            seen: BTreeSet::new(),
            left: false,
            failed_since_left: false,
            rng,
        }
    }

    fn key(&self, number: Number) -> u64 {
        number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % self.keys as u64
    }

    fn take(&mut self) {
        let count = self.rng.u64(0..12);
        let numbers = self.taken..self.taken + count;
        self.taken = numbers.end;
        self.ends.push(numbers.end);
        let keys: Vec<_> = numbers.map(|number| (number, self.key(number))).collect();
        let records = keys.into_iter();
        let records = records.map(|(number, key)| record(number, &key.to_string(), "data"));
        self.lanes.take(records.collect(), None, self.now);
    }

    fn start(&mut self, ends: bool) {
        while let Some(call) = self.lanes.start(ends, self.now) {
            self.check(&call);
            assert!(self.calls.insert(call.id, call).is_none(), "one call twice");
        }
        assert!(self.calls.len() <= self.settings.handler.lanes);
    }

    fn check(&mut self, call: &LaneCall) {
        assert!(self.calls.values().all(|other| other.lane != call.lane));
        let handler = &self.settings.handler;
        assert!((1..=handler.batch_records_max).contains(&call.records.len()));
        let numbers: Vec<_> = call.records.iter().map(number_of).collect();
        assert!(numbers.is_sorted(), "{numbers:?} are not in order");
        if handler.lane_choice == LaneChoice::ByKey {
            for number in &numbers {
                let key = self.key(*number);
                let lane = *self.lane_of.entry(key).or_insert(call.lane);
                assert_eq!(lane, call.lane, "a key in another lane");
            }
        }
        let limit = self.settings.failure.attempts_max.unwrap();
        match &call.errand {
            Errand::Handle => assert!(call.attempt <= limit, "one attempt too many"),
            Errand::Divert(given_up) => {
                assert_eq!(given_up.attempts, limit, "given up too soon");
                if self.is_by_record || self.settings.failure.bisect {
                    // Only what failed by itself.
                    assert_eq!(numbers.len(), 1);
                }
                return;
            }
        }
        for number in &numbers {
            assert!(!self.settled.contains(number), "{number} is settled");
            let key = self.key(*number);
            let is_one_lane = handler.lanes == 1;
            let earlier = (0..*number).filter(|at| is_one_lane || self.key(*at) == key);
            for earlier in earlier.filter(|at| !numbers.contains(at)) {
                assert!(self.settled.contains(&earlier), "{number} before {earlier}");
            }
        }
    }

    /// Some call comes back.
    fn come_back(&mut self, mood: Mood) {
        let ids: Vec<_> = self.calls.keys().copied().collect();
        let Some(id) = self.rng.choice(ids) else {
            return;
        };
        let call = self.calls.remove(&id).unwrap();
        let numbers: Vec<_> = call.records.iter().map(number_of).collect();
        drop(call.records);
        let outcome = match call.errand {
            Errand::Handle if self.is_by_record => self.by_record(&numbers, mood),
            Errand::Handle => self.by_batch(&numbers, mood),
            Errand::Divert(_) if mood == Mood::Wild && self.rng.bool() => {
                Outcome::FailedFrom(0, failed())
            }
            Errand::Divert(_) => {
                self.diverted.extend(&numbers);
                self.settled.extend(&numbers);
                Outcome::Done
            }
        };
        let went_well = matches!(outcome, Outcome::Done | Outcome::Stopped(_, None));
        self.failed_since_left |= self.left && !went_well;
        assert!(
            self.lanes
                .returned(id, outcome, self.now, &mut self.rng)
                .is_none()
        );
        self.check_prefix();
    }

    /// A call is slow with one of its records, and gives back the others.
    fn give_back(&mut self) {
        let ids: Vec<_> = self.calls.keys().copied().collect();
        let Some(id) = self.rng.choice(ids) else {
            return;
        };
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        if !self.is_by_record || call.records.len() < 2 || !matches!(call.errand, Errand::Handle) {
            return;
        }
        let numbers: Vec<_> = call.records.iter().map(number_of).collect();
        let done = self.rng.usize(..numbers.len());
        if numbers[..done]
            .iter()
            .any(|number| self.poison.contains(number))
        {
            return;
        }
        call.records = Arc::new(vec![call.records[done].clone()]);
        self.seen.extend(&numbers[..=done]);
        self.settled.extend(&numbers[..done]);
        self.lanes.given_back(id, done);
        self.check_prefix();
    }

    fn by_record(&mut self, numbers: &[Number], mood: Mood) -> Outcome {
        for (place, number) in numbers.iter().enumerate() {
            if mood == Mood::Wild && self.rng.u8(..6) == 0 {
                return Outcome::Stopped(place, None);
            }
            self.seen.insert(*number);
            let fails = mood == Mood::Wild && self.rng.u8(..6) == 0;
            if fails || self.poison.contains(number) {
                return Outcome::Stopped(place, Some(failed()));
            }
            self.settled.insert(*number);
        }
        Outcome::Done
    }

    fn by_batch(&mut self, numbers: &[Number], mood: Mood) -> Outcome {
        self.seen.extend(numbers);
        let is_bad = |number: &Number| self.poison.contains(number);
        let mut bad: Vec<_> = (0..numbers.len())
            .filter(|at| is_bad(&numbers[*at]))
            .collect();
        if mood == Mood::Wild && self.rng.u8(..4) == 0 {
            let rng = &mut self.rng;
            let is_poison = |at: &usize| self.poison.contains(&numbers[*at]);
            bad = (0..numbers.len())
                .filter(|at| is_poison(at) || rng.bool())
                .collect();
        }
        let Some(first) = bad.first().copied() else {
            self.settled.extend(numbers);
            return Outcome::Done;
        };
        if self.settings.failure.bisect {
            return match self.rng.u8(..2) {
                0 => Outcome::FailedFrom(0, failed()),
                _ => {
                    self.settled.extend(&numbers[..first]);
                    Outcome::FailedFrom(first, failed())
                }
            };
        }
        if mood == Mood::Wild && self.rng.u8(..4) == 0 {
            self.settled.extend(&numbers[..first]);
            return Outcome::NotTried(first, failed());
        }
        let good = (0..numbers.len()).filter(|at| !bad.contains(at));
        self.settled.extend(good.map(|at| numbers[at]));
        Outcome::FailedAt(bad, failed())
    }

    fn prefix(&self) -> Number {
        (0..).find(|at| !self.settled.contains(at)).unwrap_or(0)
    }

    fn check_prefix(&self) {
        let handler = &self.settings.handler;
        let mut settled = self.prefix();
        if handler.lanes > 1 && handler.lane_commit == LaneCommit::Page && !self.left {
            let ends = self.ends.iter().copied();
            settled = ends.take_while(|end| *end <= settled).last().unwrap_or(0);
        }
        let at = settled.checked_sub(1);
        let at = at.map_or(Checkpoint::TrimHorizon, |at| {
            record(at, "", "").checkpoint()
        });
        assert_eq!(self.lanes.settled_to(), &at, "not what was settled");
    }

    fn wait(&mut self) {
        if let Some(at) = self.lanes.next_deadline(self.now) {
            self.now = at;
        }
    }

    fn step(&mut self, mood: Mood) {
        match self.rng.u8(..4) {
            0 if !self.left && self.lanes.has_room() && self.taken < 180 => self.take(),
            1 => self.wait(),
            2 if self.rng.bool() => self.give_back(),
            _ => self.come_back(mood),
        }
        self.start(false);
        let running = self.lanes.jobs.values().flat_map(|job| &job.pieces);
        let out: usize = running.map(Piece::len).sum();
        let load = self.lanes.load(self.now);
        assert!(out as u64 <= load.span || self.left);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing is called out of order, nothing passes for settled that is not, and all comes to its end, poison by
    /// the destination alone.
    #[test]
    fn every_record_is_settled_in_the_end_and_poison_by_the_destination_alone(seed: u64) {
        let mut rig = Rig::new(seed);
        for _ in 0..rig.rng.u32(..200) {
            rig.step(Mood::Wild);
        }
        for _ in 0..5_000 {
            rig.come_back(Mood::Calm);
            rig.start(true);
            if rig.calls.is_empty() {
                rig.wait();
                rig.start(true);
            }
            if rig.lanes.is_empty() {
                break;
            }
        }
        prop_assert!(rig.lanes.is_empty(), "stuck: {:?}", rig.lanes);
        prop_assert_eq!(rig.prefix(), rig.taken);
        prop_assert_eq!(rig.lanes.load(rig.now).bytes, 0);
        let poison: BTreeSet<_> = rig.poison.iter().copied().filter(|at| *at < rig.taken).collect();
        prop_assert!(poison.is_subset(&rig.diverted), "poison was settled");
    }

    /// With a handler that fails at poison alone, exactly the poison goes to the destination, wherever it sits.
    #[test]
    fn exactly_the_poison_is_given_up(seed: u64) {
        let mut rig = Rig::new(seed);
        for _ in 0..5_000 {
            if rig.rng.bool() && rig.taken < 100 && rig.lanes.has_room() {
                rig.take();
            }
            rig.start(rig.taken >= 100);
            if rig.calls.is_empty() {
                rig.wait();
            }
            rig.come_back(Mood::Calm);
            if rig.taken >= 100 && rig.lanes.is_empty() {
                break;
            }
        }
        prop_assert!(rig.lanes.is_empty(), "stuck: {:?}", rig.lanes);
        let poison: BTreeSet<_> = rig.poison.iter().copied().filter(|at| *at < rig.taken).collect();
        prop_assert_eq!(rig.diverted, poison);
    }

    /// A shard that is left comes to its end, and what anybody has seen is settled unless something failed.
    #[test]
    fn a_shard_that_is_left_without_failures_is_left_without_a_hole(seed: u64) {
        let mut rig = Rig::new(seed);
        rig.poison.clear();
        for _ in 0..rig.rng.u32(..60) {
            rig.step(Mood::Calm);
        }
        rig.left = true;
        rig.lanes.leave();
        let mood = if rig.rng.bool() { Mood::Calm } else { Mood::Wild };
        for _ in 0..2_000 {
            if rig.lanes.is_left() {
                break;
            }
            rig.start(false);
            rig.come_back(mood);
        }
        prop_assert!(rig.lanes.is_left(), "stuck: {:?}", rig.lanes);
        prop_assert!(rig.calls.is_empty());
        if !rig.failed_since_left {
            let beyond = rig.seen.iter().filter(|at| **at >= rig.prefix()).count();
            prop_assert_eq!(beyond, 0, "records come twice");
        }
    }
}
