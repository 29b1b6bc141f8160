//! A fleet in one place: every worker plans as often as it would, and what it plans is carried out.

use crate::plan::classes::Reads;
use crate::plan::load::*;
use crate::plan::view::Seen;
use crate::plan::{Plan, plan};
use crate::rate::Rate;
use crate::row::{Incarnation, LeaseRow, WorkerRow};
use kcl_core::model::{Checkpoint, HashKeyRange, Shard, WorkerId};

pub(super) const LOOK: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);
const REST: Duration = Duration::from_secs(300);
pub(super) const THRESHOLD: f64 = 0.08;
pub(super) const MEBI: u64 = 1 << 20;

pub(super) fn key(n: usize) -> WorkerKey {
    WorkerKey {
        worker: WorkerId::new(format!("w{n:03}")).unwrap(),
        incarnation: Incarnation::parse("1").unwrap(),
    }
}

pub(super) fn lease(n: usize) -> LeaseRow {
    let shard = Shard {
        id: ShardId::new(format!("s-{n:04}")),
        parents: vec![],
        range: HashKeyRange { start: 0, end: 1 },
        open: true,
    };
    LeaseRow::fresh(&shard, Checkpoint::TrimHorizon)
}

/// A grant, as its holder knows it.
pub(super) struct Grant {
    leaving: Option<(Option<Moved>, u32)>,
    rate: Rate,
    count: u64,
    rests_until: Instant,
}

pub(super) struct Worker {
    pub(super) capacity: Capacity,
    pub(super) held: BTreeMap<ShardId, Grant>,
    patience: Patience,
    is_settled: bool,
    in_vain: Option<Instant>,
    owed: Vec<(ShardId, Moved)>,
}

pub(super) struct Fleet {
    pub(super) now: Instant,
    rng: fastrand::Rng,
    noise: f64,
    pub(super) by_load: bool,
    pub(super) truth: BTreeMap<ShardId, u64>,
    pub(super) leases: BTreeMap<ShardId, LeaseRow>,
    pub(super) workers: BTreeMap<WorkerKey, Worker>,
    pub(super) rows: BTreeMap<WorkerKey, WorkerRow>,
    mark: Option<u64>,
    /// Whether every plan must be as if only counts mattered.
    pub(super) is_equal: bool,
    pub(super) looks: usize,
}

impl Fleet {
    pub(super) fn new(seed: u64, noise: f64, loads: &[u64], capacities: &[f64]) -> Self {
        let leases = (0..loads.len()).map(lease);
        let mut fleet = Self {
            now: Instant::now(),
            rng: fastrand::Rng::with_seed(seed),
            noise,
            by_load: true,
            truth: leases
                .clone()
                .map(|row| row.shard)
                .zip(loads.iter().copied())
                .collect(),
            leases: leases.map(|row| (row.shard.clone(), row)).collect(),
            workers: BTreeMap::new(),
            rows: BTreeMap::new(),
            mark: None,
            is_equal: false,
            looks: 0,
        };
        for (n, capacity) in capacities.iter().enumerate() {
            fleet.join(n, *capacity);
        }
        fleet
    }

    pub(super) fn join(&mut self, n: usize, capacity: f64) {
        let capacity = Capacity::new(capacity);
        let row = WorkerRow {
            key: key(n),
            counter: 0,
            leaving: false,
            lease_time: Duration::from_secs(10),
            leases_max: None,
            capacity: Some(capacity),
            load: Some(0),
            serves: None,
        };
        let worker = Worker {
            capacity,
            held: BTreeMap::new(),
            patience: Patience::default(),
            is_settled: false,
            in_vain: None,
            owed: Vec::new(),
        };
        self.rows.insert(key(n), row);
        self.workers.insert(key(n), worker);
        self.ring();
    }

    /// It is gone, and what it held is free.
    pub(super) fn leave(&mut self, key: &WorkerKey) {
        let gone = self.workers.remove(key).unwrap();
        self.rows.remove(key);
        for shard in gone.held.keys() {
            let row = self.leases.get_mut(shard).unwrap();
            row.owner = None;
            row.counter += 1;
        }
        self.ring();
    }

    fn ring(&mut self) {
        self.workers
            .values_mut()
            .for_each(|worker| worker.is_settled = false);
    }

    pub(super) fn view(&self) -> View {
        let since = self.now;
        let lease = |(id, row): (&ShardId, &LeaseRow)| {
            (
                id.clone(),
                Seen {
                    row: row.clone(),
                    since,
                },
            )
        };
        let worker = |(key, row): (&WorkerKey, &WorkerRow)| {
            (
                key.clone(),
                Seen {
                    row: row.clone(),
                    since,
                },
            )
        };
        View {
            leases: self.leases.iter().map(lease).collect(),
            workers: self.rows.iter().map(worker).collect(),
            ..View::default()
        }
    }

    pub(super) fn me(&self, key: &WorkerKey) -> Me {
        let worker = &self.workers[key];
        let mut own = Own {
            threshold: THRESHOLD,
            ..Own::default()
        };
        for (shard, grant) in &worker.held {
            own.total += grant.rate.per_second();
            if grant.rate.is_known() {
                own.shards.insert(shard.clone(), grant.rate.per_second());
            }
            if grant.rests_until > self.now {
                own.resting.insert(shard.clone());
            }
        }
        let held = worker.held.iter();
        Me {
            key: key.clone(),
            held: held
                .map(|(id, grant)| (id.clone(), grant.leaving.is_some()))
                .collect(),
            taking: true,
            leases_max: None,
            capacity: worker.capacity,
            own: self.by_load.then_some(own),
            silent: BTreeSet::new(),
            reads: Reads::Single,
            watch: None,
            foreign_patience: Duration::from_secs(10),
        }
    }

    /// Time passes: records are read, rows are renewed, checkpoints are written.
    pub(super) fn read(&mut self) {
        self.now += LOOK;
        for (key, worker) in &mut self.workers {
            let mut total = 0;
            for (shard, grant) in &mut worker.held {
                let noise = 1.0 + self.noise * (2.0 * self.rng.f64() - 1.0);
                grant.count += (self.truth[shard] as f64 * noise * LOOK.as_secs_f64()) as u64;
                grant.rate.measure(grant.count, self.now);
                total += grant.rate.per_second();
                if grant.rate.is_known() && grant.leaving.is_none() {
                    self.leases.get_mut(shard).unwrap().load = Some(grant.rate.per_second());
                }
            }
            self.rows.get_mut(key).unwrap().load = self.by_load.then_some(total);
        }
    }

    /// One look of everybody who has a reason to. Answers how many leases changed hands.
    fn look(&mut self) -> usize {
        self.read();
        let view = self.view();
        let mut moves = 0;
        let keys: Vec<_> = self.workers.keys().cloned().collect();
        for (n, key) in keys.iter().enumerate() {
            let me = self.me(key);
            let now = self.now;
            let worker = self.workers.get_mut(key).unwrap();
            let per_capacity = me
                .own
                .as_ref()
                .map_or(0, |own| own.per_capacity(me.capacity));
            let rested = worker
                .in_vain
                .is_none_or(|at| now.duration_since(at) >= PATIENCE);
            let is_marked = self.mark.is_some_and(|mark| per_capacity >= mark) && rested;
            if n > 0 && worker.is_settled && !is_marked {
                continue;
            }
            self.looks += 1;
            let plan = plan(&view, &me, now);
            if self.is_equal {
                let by_count = Me {
                    own: None,
                    ..me.clone()
                };
                assert_same(&plan, &crate::plan::plan(&view, &by_count, now));
            }
            if n == 0 {
                self.mark = plan.mark;
            }
            worker.is_settled = plan.is_settled();
            worker.in_vain = plan.wishes.is_empty().then_some(now);
            moves += self.carry_out(key, &plan);
        }
        moves += self.release();
        if moves > 0 {
            self.ring();
        }
        moves
    }

    fn carry_out(&mut self, key: &WorkerKey, plan: &Plan) -> usize {
        let now = self.now;
        let mut moves = 0;
        let worker = self.workers.get_mut(key).unwrap();
        let wished = worker
            .patience
            .is_over(!plan.wishes.is_empty(), now, PATIENCE);
        let wishes = if wished { &plan.wishes[..] } else { &[] };
        for moving in plan.give_away.iter().chain(wishes) {
            let grant = worker.held.get_mut(&moving.shard).unwrap();
            grant.leaving = Some((Some(moving.moved.clone()), self.rng.u32(0..3)));
        }
        for shard in &plan.give_up {
            worker.held.get_mut(shard).unwrap().leaving = Some((None, self.rng.u32(0..3)));
        }
        for pick in &plan.take {
            let row = self.leases.get_mut(&pick.row.shard).unwrap();
            assert_eq!(row.owner, None, "two took {}", row.shard);
            row.owner = Some(key.clone().into());
            row.counter += 1;
            let moved = row.moved.as_deref().filter(|moved| moved.to == *key);
            if let Some(moved) = moved
                && let Some(back) = &moved.in_return
            {
                let returned = Moved {
                    from: back.from.clone(),
                    to: moved.from.clone(),
                    in_return: None,
                };
                worker.owed.push((back.shard.clone(), returned));
            }
            let grant = Grant {
                leaving: None,
                rate: row
                    .load
                    .map_or(Rate::unknown(now), |load| Rate::known(load, now)),
                count: 0,
                rests_until: moved.map_or(now, |_| now + REST),
            };
            worker.held.insert(row.shard.clone(), grant);
            moves += 1;
        }
        for (shard, moved) in std::mem::take(&mut worker.owed) {
            if let Some(grant) = worker.held.get_mut(&shard) {
                grant.leaving = Some((Some(moved), 0));
            }
        }
        moves
    }

    fn release(&mut self) -> usize {
        let mut released = 0;
        for worker in self.workers.values_mut() {
            worker.held.retain(|shard, grant| {
                match &mut grant.leaving {
                    None => return true,
                    Some((_, wait)) if *wait > 0 => {
                        *wait -= 1;
                        return true;
                    }
                    Some(_) => {}
                }
                let row = self.leases.get_mut(shard).unwrap();
                row.owner = None;
                row.counter += 1;
                if grant.rate.is_known() {
                    row.load = Some(grant.rate.per_second());
                }
                row.moved = grant
                    .leaving
                    .take()
                    .and_then(|(moved, _)| moved.map(Box::new));
                released += 1;
                false
            });
        }
        released
    }

    /// Until nothing moved for so long. Answers how many leases were taken.
    pub(super) fn settle(&mut self, quiet: Duration) -> usize {
        let (mut taken, mut last) = (0, self.now);
        let began = self.now;
        loop {
            let before: Vec<_> = self.leases.values().map(|row| row.owner.clone()).collect();
            if self.look() > 0 {
                last = self.now;
            }
            let owners = self.leases.values().zip(&before);
            taken += owners
                .filter(|(row, before)| row.owner.is_some() && row.owner != **before)
                .count();
            if self.now.duration_since(last) >= quiet
                && self.leases.values().all(|row| row.owner.is_some())
            {
                return taken;
            }
            assert!(
                self.now.duration_since(began) < Duration::from_secs(4 * 3600),
                "it never ends"
            );
        }
    }

    pub(super) fn load(&self, worker: &Worker) -> f64 {
        worker
            .held
            .keys()
            .map(|shard| self.truth[shard] as f64)
            .sum()
    }

    /// By the true loads: the fair load of each worker, and whether a shard alone is more than it.
    pub(super) fn fair(&self) -> BTreeMap<WorkerKey, (f64, bool)> {
        let mut members: Vec<_> = self
            .workers
            .iter()
            .map(|(key, worker)| Member {
                key,
                capacity: worker.capacity.factor(),
                load: self.load(worker),
                fair: 0.0,
                held: worker.held.len(),
                spare: 0,
                room: 0,
            })
            .collect();
        let largest = self.workers.iter().map(|(key, worker)| {
            let loads = worker.held.keys().map(|shard| self.truth[shard] as f64);
            (key, loads.fold(0.0, f64::max))
        });
        let level = level(&mut members, &largest.collect());
        let fair = members.iter().map(|member| {
            let is_alone = member.fair > level * member.capacity * 1.000_001;
            (member.key.clone(), (member.fair, is_alone))
        });
        fair.collect()
    }

    /// How far the worker that is furthest off is off its fair load, as a part of it.
    pub(super) fn worst(&self) -> f64 {
        let fair = self.fair();
        let off = self.workers.iter().map(|(key, worker)| {
            let (fair, _) = fair[key];
            (self.load(worker) - fair).abs() / fair
        });
        off.fold(0.0, f64::max)
    }

    pub(super) fn counts(&self) -> Vec<usize> {
        self.workers
            .values()
            .map(|worker| worker.held.len())
            .collect()
    }
}

/// The same is done by both.
fn assert_same(one: &Plan, other: &Plan) {
    let takes = |plan: &Plan| -> Vec<_> {
        plan.take
            .iter()
            .map(|pick| pick.row.shard.clone())
            .collect()
    };
    assert_eq!(takes(one), takes(other));
    assert_eq!(one.give_up, other.give_up);
    assert_eq!(one.offers, other.offers);
    assert_eq!(one.wishes, [], "a wish");
    assert_eq!(one.counts.target, other.counts.target);
}
