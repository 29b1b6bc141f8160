//! What can happen next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use foldhash::fast::FixedState;
use kcl_core::model::{Checkpoint, HashKeyRange, SequenceNumber, Shard, ShardId, WorkerId};
use tokio::time::Instant;

use super::state::{
    Bounds, Bug, Done, Fence, Grant, LEASE, LIVES, LeaseRow, Life, Lineage, Local, Met, Pass, Pick,
    Pulse, RECORDS, SHARDS, Standing, WORKERS, Watched, World, Write,
};
use super::table::Outcome;
use crate::plan::classes::Reads;
use crate::plan::lineage::{self, Known, Start};
use crate::plan::view::{Seen, View};
use crate::plan::{self, Me};
use crate::row::{Capacity, Incarnation, LeaseRow as Row, WorkerKey, WorkerRow};

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    Lost,
    AppliedUnanswered,
    Late,
}

const FATES: [Fate; 4] = [
    Fate::Answered,
    Fate::Lost,
    Fate::AppliedUnanswered,
    Fate::Late,
];

/// What happens. With whom, and what becomes of its write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) worker: usize,
    pub(super) act: Act,
    pub(super) fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Tick,
    Reshard,
    Sync,
    LateArrives,
    Join,
    Renew,
    End,
    Crash,
    Look,
    GoOn,
    Process(usize),
    Commit(usize),
    Finish(usize),
    Release(usize),
}

/// A state that follows, the situations met on the way, and the rule that is broken.
pub(super) struct Next {
    pub(super) step: Step,
    pub(super) world: World,
    pub(super) met: Vec<Met>,
    pub(super) broken: Option<String>,
}

/// What a plan depends on.
type Question = (usize, World);

/// The rules of the small world.
pub(super) struct Game {
    lineage: Lineage,
    bounds: Bounds,
    bug: Option<Bug>,
    epoch: Instant,
    plans: HashMap<Question, Rc<Pass>, FixedState>,
}

const TICK: Duration = Duration::from_secs(5);

impl Game {
    pub(super) fn new(lineage: Lineage, bounds: Bounds, bug: Option<Bug>) -> Self {
        Self {
            lineage,
            bounds,
            bug,
            epoch: Instant::now(),
            plans: HashMap::default(),
        }
    }

    pub(super) fn start(&self) -> World {
        World {
            faults: self.bounds.faults,
            crashes: self.bounds.crashes,
            ..World::default()
        }
    }

    /// All that can happen next.
    pub(super) fn successors(&mut self, world: &World, out: &mut Vec<Next>) {
        for act in [Act::Tick, Act::Reshard, Act::Sync, Act::LateArrives] {
            self.attempt(world, 0, act, Fate::Answered, out);
        }
        for worker in 0..WORKERS {
            for act in [Act::End, Act::Crash, Act::Look] {
                // The row of a life that is over is deleted, or is not.
                self.attempt(world, worker, act, Fate::Answered, out);
                if act == Act::End {
                    self.attempt(world, worker, act, Fate::Lost, out);
                }
            }
            for shard in 0..SHARDS {
                self.attempt(world, worker, Act::Process(shard), Fate::Answered, out);
            }
            for fate in FATES {
                let is_one_too_many = fate == Fate::Late && world.late.is_some();
                if fate != Fate::Answered && world.faults == 0 || is_one_too_many {
                    continue;
                }
                for act in [Act::Join, Act::Renew, Act::GoOn] {
                    self.attempt(world, worker, act, fate, out);
                }
                for shard in 0..SHARDS {
                    for act in [Act::Commit(shard), Act::Finish(shard), Act::Release(shard)] {
                        self.attempt(world, worker, act, fate, out);
                    }
                }
            }
        }
    }

    fn attempt(&mut self, world: &World, worker: usize, act: Act, fate: Fate, out: &mut Vec<Next>) {
        let mut turn = Turn {
            game: self,
            world: world.clone(),
            met: Vec::new(),
            broken: None,
        };
        if turn.take(worker, act, fate) {
            turn.check();
            turn.forget();
            let Turn {
                world, met, broken, ..
            } = turn;
            out.push(Next {
                step: Step { worker, act, fate },
                world,
                met,
                broken,
            });
        }
    }

    fn plan(&mut self, world: &World, worker: usize) -> Option<Rc<Pass>> {
        let me = world.workers[worker].pulse?.life;
        let question = (worker, relevant(world, worker));
        if let Some(known) = self.plans.get(&question) {
            return Some(Rc::clone(known));
        }
        let pass = Rc::new(self.plan_anew(world, worker, me));
        self.plans.insert(question, Rc::clone(&pass));
        Some(pass)
    }

    /// What the code of the framework makes of what a worker sees.
    fn plan_anew(&self, world: &World, worker: usize, me: Life) -> Pass {
        let now = self.epoch + TICK * 100;
        let local = &world.workers[worker];
        let mut view = View::default();
        for (shard, row) in world.table.leases.iter().enumerate() {
            let Some(row) = row else { continue };
            let row = self.row(shard, *row);
            view.leases.insert(id(shard), Seen { row, since: now });
        }
        for (life, watched) in watched(local) {
            let row = WorkerRow {
                key: key(life),
                counter: u64::from(watched.counter),
                leaving: false,
                lease_time: TICK * u32::from(LEASE),
                leases_max: None,
                capacity: Some(Capacity::ONE),
                load: None,
                serves: None,
            };
            let since = now - TICK * u32::from(watched.age);
            view.workers.insert(key(life), Seen { row, since });
        }
        let held = local.grants.iter().enumerate();
        let held = held.filter_map(|(shard, grant)| {
            let grant = (*grant)?;
            Some((id(shard), grant.standing == Standing::HandOver))
        });
        let me_planning = Me {
            key: key(me),
            held: held.collect(),
            taking: true,
            leases_max: None,
            capacity: Capacity::ONE,
            own: None,
            silent: BTreeSet::new(),
            reads: Reads::Single,
            watch: None,
            foreign_patience: TICK * 100,
        };
        let plan = plan::plan(&view, &me_planning, now);
        let small = |key: &WorkerKey| life_of(key);
        Pass {
            life: me,
            evict: plan
                .evict
                .iter()
                .map(|(key, counter)| (small(key), counter.map(narrow)))
                .collect(),
            take: plan
                .take
                .iter()
                .map(|pick| Pick {
                    shard: shard_of(&pick.row.shard),
                    counter: narrow(pick.row.counter),
                    owner: pick
                        .row
                        .owner
                        .as_ref()
                        .and_then(|owner| owner.key())
                        .map(|key| small(&key)),
                    after: pick.after.as_ref().map(small),
                    unseen: pick
                        .unseen_parents
                        .iter()
                        .fold(0, |bits, parent| bits | 1 << shard_of(parent)),
                })
                .collect(),
            give_up: plan.give_up.iter().map(shard_of).collect(),
            dead: Vec::new(),
        }
    }

    /// How many records a shard has.
    fn records(&self, shard: usize) -> u8 {
        if shard == 0 { self.bounds.records } else { 1 }
    }

    fn row(&self, shard: usize, row: LeaseRow) -> Row {
        let parents: &[usize] = if self.bug == Some(Bug::ChildrenDoNotWait) {
            &[]
        } else {
            self.lineage.parents(shard)
        };
        let listed = Shard {
            parents: parents.iter().copied().map(id).collect(),
            ..self.shard(shard)
        };
        let checkpoint = match row.done {
            Done::Nothing => Checkpoint::TrimHorizon,
            Done::One => SequenceNumber::new("1").map_or(Checkpoint::TrimHorizon, Checkpoint::at),
            Done::Two => SequenceNumber::new("2").map_or(Checkpoint::TrimHorizon, Checkpoint::at),
            Done::End => Checkpoint::ShardEnd,
        };
        Row {
            owner: row.owner.map(|life| key(life).into()),
            counter: u64::from(row.counter),
            ..Row::fresh(&listed, checkpoint)
        }
    }

    fn shard(&self, shard: usize) -> Shard {
        Shard {
            id: id(shard),
            parents: self
                .lineage
                .parents(shard)
                .iter()
                .copied()
                .map(id)
                .collect(),
            range: HashKeyRange { start: 0, end: 1 },
            open: true,
        }
    }
}

impl Pass {
    /// It without what can lead to nothing any more; nothing if that is all of it.
    fn left(mut self: Rc<Self>) -> Option<Rc<Self>> {
        if self.evict.is_empty() {
            let leads_on =
                |pick: &Pick, dead: &[Life]| pick.after.is_none_or(|life| dead.contains(&life));
            if !self.take.iter().all(|pick| leads_on(pick, &self.dead)) {
                let Self { take, dead, .. } = Rc::make_mut(&mut self);
                take.retain(|pick| leads_on(pick, dead));
            }
            if self.take.is_empty() && !self.dead.is_empty() {
                Rc::make_mut(&mut self).dead = Vec::new();
            }
        }
        let is_over = self.evict.is_empty() && self.take.is_empty() && self.give_up.is_empty();
        (!is_over).then_some(self)
    }
}

/// What a plan depends on, and nothing else.
fn relevant(world: &World, worker: usize) -> World {
    let local = &world.workers[worker];
    let grants = local.grants.map(|grant| {
        let grant = grant?;
        Some(Grant {
            known: Done::Nothing,
            processed: 0,
            fence: Fence {
                shard: 0,
                holder: Life {
                    worker: 0,
                    number: 0,
                },
                epoch: 0,
            },
            standing: grant.standing,
        })
    });
    let mut relevant = World {
        table: super::state::Table {
            leases: world.table.leases,
            ..Default::default()
        },
        ..World::default()
    };
    relevant.workers[worker] = Local {
        pulse: local.pulse.map(|pulse| Pulse {
            counter: 0,
            rest: 0,
            unanswered: None,
            ..pulse
        }),
        grants,
        watched: local.watched,
        ..Local::default()
    };
    relevant
}

fn watched(local: &Local) -> impl Iterator<Item = (Life, Watched)> + '_ {
    let all = (0..WORKERS).flat_map(|worker| (0..LIVES).map(move |number| (worker, number)));
    all.filter_map(|(worker, number)| {
        let watched = local.watched[worker][number]?;
        let (worker, number) = (narrow(worker as u64), narrow(number as u64));
        Some((Life { worker, number }, watched))
    })
}

fn id(shard: usize) -> ShardId {
    ShardId::new(["0", "1", "2"][shard])
}

fn shard_of(id: &ShardId) -> u8 {
    id.name().bytes().next().map_or(0, |digit| digit - b'0')
}

fn key(life: Life) -> WorkerKey {
    let name = ["w0", "w1"][usize::from(life.worker)];
    let number = ["0", "1", "2"][usize::from(life.number)];
    WorkerKey {
        worker: WorkerId::new(name).expect("a name"),
        incarnation: Incarnation::parse(number).expect("a name"),
    }
}

fn life_of(key: &WorkerKey) -> Life {
    let digit = |text: &str| text.bytes().last().map_or(0, |digit| digit - b'0');
    Life {
        worker: digit(key.worker.as_str()),
        number: digit(key.incarnation.as_str()),
    }
}

fn narrow(number: u64) -> u8 {
    u8::try_from(number).expect("the small world counts no further")
}

/// One step being taken.
struct Turn<'g> {
    game: &'g mut Game,
    world: World,
    met: Vec<Met>,
    broken: Option<String>,
}

impl Turn<'_> {
    fn has(&self, bug: Bug) -> bool {
        self.game.bug == Some(bug)
    }

    fn breaks(&mut self, rule: impl Into<String>) {
        self.broken.get_or_insert(rule.into());
    }

    fn me(&mut self, worker: usize) -> &mut Local {
        &mut self.world.workers[worker]
    }

    /// Takes it; false if it cannot be taken.
    fn take(&mut self, worker: usize, act: Act, fate: Fate) -> bool {
        match act {
            Act::Tick => self.tick(),
            Act::Reshard => !std::mem::replace(&mut self.world.is_resharded, true),
            Act::Sync => self.sync(),
            Act::LateArrives => self.late_arrives(),
            Act::Join => self.join(worker, fate),
            Act::Renew => self.renew(worker, fate),
            Act::End => self.end_in_time(worker, fate),
            Act::Crash => self.crash(worker),
            Act::Look => self.look(worker),
            Act::GoOn => self.go_on(worker, fate),
            Act::Process(shard) => self.process(worker, shard),
            Act::Commit(shard) => self.commit(worker, shard, fate),
            Act::Finish(shard) => self.finish(worker, shard, fate),
            Act::Release(shard) => self.release(worker, shard, fate),
        }
    }

    // --- what nobody does ---

    fn tick(&mut self) -> bool {
        let before = self.world.clone();
        for local in &mut self.world.workers {
            if let Some(pulse) = &mut local.pulse {
                pulse.rest = pulse.rest.saturating_sub(1);
                // It has not renewed in time: a stall.
                self.world.is_disturbed |= pulse.rest == 0;
                pulse.unanswered = pulse.unanswered.map(|rest| rest.saturating_sub(1));
            }
            if let Some((_, rest)) = &mut local.joining {
                *rest = rest.saturating_sub(1);
            }
            for watched in local.watched.iter_mut().flatten().flatten() {
                watched.age = (watched.age + 1).min(LEASE);
            }
        }
        self.world != before
    }

    /// Makes the first row that is missing.
    fn sync(&mut self) -> bool {
        let roots = (0..SHARDS).filter(|shard| self.game.lineage.parents(*shard).is_empty());
        let listed: Vec<usize> = if self.world.is_resharded {
            (0..SHARDS).collect()
        } else {
            roots.collect()
        };
        if listed
            .iter()
            .all(|shard| self.world.table.leases[*shard].is_some())
        {
            return false;
        }
        let rows: BTreeMap<ShardId, Row> = (0..SHARDS)
            .filter_map(|shard| {
                Some((
                    id(shard),
                    self.game.row(shard, self.world.table.leases[shard]?),
                ))
            })
            .collect();
        let listed = listed
            .into_iter()
            .map(|shard| (id(shard), self.game.shard(shard)))
            .collect();
        let known = Known {
            rows: &rows,
            listed: &listed,
        };
        let waves = lineage::missing(known, &Start::TrimHorizon);
        let Some(first) = waves.first().and_then(|wave| wave.first()) else {
            return false;
        };
        let shard = shard_of(&first.shard);
        self.applied(Write::Create { shard });
        true
    }

    fn late_arrives(&mut self) -> bool {
        let Some(write) = self.world.late.take() else {
            return false;
        };
        let outcome = self.applied(write);
        self.met.push(if outcome == Outcome::Applied {
            Met::LateWriteApplied
        } else {
            Met::LateWriteRefused
        });
        true
    }

    // --- writes ---

    /// Sends a write; nothing if no answer comes.
    fn send(&mut self, write: Write, fate: Fate) -> Option<Outcome> {
        match fate {
            Fate::Answered => return Some(self.applied(write)),
            Fate::Lost => {}
            Fate::AppliedUnanswered => {
                self.applied(write);
            }
            Fate::Late => self.world.late = Some(write),
        }
        self.world.faults -= 1;
        self.world.is_disturbed = true;
        None
    }

    /// The table carries a write out, or does not; either must be right.
    fn applied(&mut self, write: Write) -> Outcome {
        let before = self.world.table;
        let outcome = self.world.table.apply(write, self.game.bug);
        if outcome != Outcome::Applied {
            return outcome;
        }
        let (fence, is_end) = match write {
            Write::Commit { fence, .. } | Write::Release { fence } => (fence, false),
            Write::Finish { fence, .. } => (fence, true),
            Write::Create { .. }
            | Write::Join { .. }
            | Write::Renew { .. }
            | Write::Leave { .. }
            | Write::Evict { .. }
            | Write::Take { .. } => return outcome,
        };
        let shard = usize::from(fence.shard);
        let (Some(was), Some(is)) = (before.leases[shard], self.world.table.leases[shard]) else {
            return outcome;
        };
        if !was.is_fenced_by(fence) {
            self.breaks("S3: a write of a grant that is over was applied");
        }
        if is.done < was.done {
            self.breaks("S2: a checkpoint went back");
        }
        let covered = usize::from(is.done.records(self.game.records(shard)));
        if self.world.processed[shard][..covered].contains(&0) {
            self.breaks("S1: a checkpoint covers what nobody processed");
        }
        let children = self.game.lineage.children(shard);
        if is_end && (children.is_empty() || !self.world.is_resharded) {
            self.breaks("S7: an open shard is marked as finished");
        }
        // What has another parent may wait for the sync: it may come to be due in between.
        let lacks_row = |child: &&usize| {
            self.game.lineage.parents(**child).len() == 1
                && self.world.table.leases[**child].is_none()
        };
        if is_end && children.iter().any(|child| lacks_row(&child)) {
            self.breaks("S8: a shard is finished before its children have rows");
        }
        outcome
    }

    // --- the keeper ---

    fn join(&mut self, worker: usize, fate: Fate) -> bool {
        let lives = self.game.bounds.lives[worker];
        let local = self.me(worker);
        if local.pulse.is_some() {
            return false;
        }
        if local.joining.is_none() {
            if local.lives >= lives {
                return false;
            }
            let life = Life {
                worker: narrow(worker as u64),
                number: local.lives,
            };
            local.lives += 1;
            local.joining = Some((life, LEASE));
        }
        let Some((life, rest)) = local.joining else {
            return false;
        };
        match self.send(Write::Join { life }, fate) {
            Some(Outcome::Applied | Outcome::Refused(_, Some(_))) => {
                let local = self.me(worker);
                local.joining = None;
                local.pulse = Some(Pulse {
                    life,
                    counter: 0,
                    rest,
                    unanswered: None,
                });
            }
            Some(Outcome::Refused(..)) | None => {}
        }
        true
    }

    fn renew(&mut self, worker: usize, fate: Fate) -> bool {
        let bounds = self.game.bounds;
        let Some(pulse) = self.world.workers[worker].pulse else {
            return false;
        };
        if pulse.rest == 0 || pulse.counter >= bounds.renewals {
            return false;
        }
        let first = pulse.unanswered.unwrap_or(LEASE);
        let write = Write::Renew {
            life: pulse.life,
            counter: pulse.counter,
        };
        let proven = |rest| Pulse {
            counter: pulse.counter + 1,
            rest,
            unanswered: None,
            ..pulse
        };
        match self.send(write, fate) {
            None => {
                self.me(worker).pulse = Some(Pulse {
                    unanswered: Some(first),
                    ..pulse
                });
            }
            Some(Outcome::Applied) => self.me(worker).pulse = Some(proven(LEASE)),
            Some(Outcome::Refused(_, Some(counter))) if counter == pulse.counter + 1 => {
                self.met.push(Met::RenewalProvenByItsRow);
                let rest = if self.has(Bug::RenewalCountsFromTheReply) {
                    LEASE
                } else {
                    first
                };
                self.me(worker).pulse = Some(proven(rest));
            }
            Some(Outcome::Refused(..)) => {
                self.end(worker);
            }
        }
        true
    }

    /// The keeper finds that the time is over, some time after it is.
    fn end_in_time(&mut self, worker: usize, fate: Fate) -> bool {
        let Some(Pulse { life, rest: 0, .. }) = self.world.workers[worker].pulse else {
            return false;
        };
        self.met.push(Met::LifeEndedAfterStall);
        self.end(worker);
        if fate == Fate::Answered {
            self.applied(Write::Leave { life });
        }
        true
    }

    fn end(&mut self, worker: usize) {
        self.world.is_disturbed = true;
        let keeps = self.has(Bug::KeepsGrantsInTheNextLife);
        let local = self.me(worker);
        local.pulse = None;
        if !keeps {
            local.grants = [None; SHARDS];
        }
    }

    fn crash(&mut self, worker: usize) -> bool {
        if self.world.crashes == 0 || self.world.workers[worker].lives == 0 {
            return false;
        }
        self.world.crashes -= 1;
        self.world.is_disturbed = true;
        let lives = self.world.workers[worker].lives;
        *self.me(worker) = Local {
            lives,
            ..Local::default()
        };
        true
    }

    // --- the planner ---

    fn look(&mut self, worker: usize) -> bool {
        let local = &self.world.workers[worker];
        if local.pulse.is_none() || local.pass.is_some() {
            return false;
        }
        let table = self.world.table;
        let local = self.me(worker);
        for (watched, rows) in local.watched.iter_mut().zip(table.lives) {
            for (watched, row) in watched.iter_mut().zip(rows) {
                *watched = match (*watched, row) {
                    (_, None) => None,
                    (Some(known), Some(counter)) if known.counter == counter => Some(known),
                    (_, Some(counter)) => Some(Watched { counter, age: 0 }),
                };
            }
        }
        for (grant, row) in local.grants.iter_mut().zip(table.leases) {
            let is_over = |grant: &Grant| {
                row.is_some_and(|row| {
                    let epoch = grant.fence.epoch;
                    epoch < row.counter || epoch == row.counter && !row.is_fenced_by(grant.fence)
                })
            };
            if grant.as_ref().is_some_and(is_over) {
                *grant = None;
            }
        }
        let world = self.world.clone();
        let Some(pass) = self.game.plan(&world, worker) else {
            return false;
        };
        self.note_waiting(&world);
        if pass.evict.is_empty() && pass.take.is_empty() && pass.give_up.is_empty() {
            return true;
        }
        self.me(worker).pass = Some(pass);
        true
    }

    fn note_waiting(&mut self, world: &World) {
        for (shard, row) in world.table.leases.iter().enumerate() {
            let parents = self.game.lineage.parents(shard);
            if row.is_none_or(|row| row.done != Done::Nothing) || parents.is_empty() {
                continue;
            }
            let is_done = |parent: &&usize| {
                world.table.leases[**parent].is_some_and(|row| row.done == Done::End)
            };
            let done = parents.iter().filter(is_done).count();
            if done < parents.len() {
                self.met.push(if done > 0 {
                    Met::MergeWaitsForOneParent
                } else {
                    Met::ChildWaitsForParent
                });
            }
        }
    }

    /// The next write of a pass, or its end.
    fn go_on(&mut self, worker: usize, fate: Fate) -> bool {
        let Some(pass) = self.me(worker).pass.take() else {
            return false;
        };
        let mut pass = Rc::unwrap_or_clone(pass);
        if let Some((life, counter)) = pass.evict.pop() {
            match self.send(Write::Evict { life, counter }, fate) {
                Some(Outcome::Applied) => {
                    self.met.push(Met::DeadEvicted);
                    pass.dead.push(life);
                }
                Some(Outcome::Refused(_, Some(counter))) => {
                    self.met.push(Met::EvictionRefused);
                    let place = (usize::from(life.worker), usize::from(life.number));
                    self.me(worker).watched[place.0][place.1] = Some(Watched { counter, age: 0 });
                }
                Some(Outcome::Refused(_, None)) | None => {}
            }
            self.me(worker).pass = Some(Rc::new(pass));
            return true;
        }
        while let Some(pick) = pass.take.pop() {
            let is_proven = pick.after.is_none_or(|life| pass.dead.contains(&life));
            let waits = (0..SHARDS).any(|parent| {
                pick.unseen & 1 << parent != 0
                    && self.world.table.leases[parent].is_some_and(|row| row.done != Done::End)
            });
            if !is_proven || waits {
                continue;
            }
            if pick.counter >= self.game.bounds.epochs {
                return false;
            }
            self.take_lease(worker, &pass, pick, fate);
            self.me(worker).pass = Some(Rc::new(pass));
            return true;
        }
        // The end of it, which is no write.
        if fate != Fate::Answered {
            return false;
        }
        for shard in &pass.give_up {
            if let Some(grant) = &mut self.me(worker).grants[usize::from(*shard)] {
                grant.standing = Standing::HandOver;
            }
        }
        true
    }

    fn take_lease(&mut self, worker: usize, pass: &Pass, pick: Pick, fate: Fate) {
        let Pick {
            shard,
            counter,
            owner,
            after,
            ..
        } = pick;
        let write = Write::Take {
            shard,
            counter,
            owner,
            to: pass.life,
        };
        let outcome = self.send(write, fate);
        let Some(row) = self.world.table.lease(shard) else {
            return;
        };
        let is_ours = match outcome {
            Some(Outcome::Applied) => true,
            Some(Outcome::Refused(Some(row), _)) => {
                row.counter == counter + 1 && row.owner == Some(pass.life)
            }
            Some(Outcome::Refused(None, _)) | None => false,
        };
        if !is_ours {
            return;
        }
        if after.is_some() {
            self.met.push(Met::TakenFromTheDead);
        }
        if owner == Some(pass.life) {
            self.met.push(Met::StrayTakenAgain);
        }
        let fence = Fence {
            shard,
            holder: pass.life,
            epoch: row.counter,
        };
        let lives_on = self.world.workers[worker]
            .pulse
            .is_some_and(|pulse| pulse.life == pass.life);
        if !lives_on {
            self.met.push(Met::TakenForNobody);
            self.applied(Write::Release { fence });
            return;
        }
        self.me(worker).grants[usize::from(shard)] = Some(Grant {
            fence,
            known: row.done,
            processed: row.done.records(self.game.records(usize::from(shard))),
            standing: Standing::Held,
        });
    }

    // --- the shards ---

    fn grant(&self, worker: usize, shard: usize) -> Option<Grant> {
        self.world.workers[worker].grants[shard]
    }

    fn process(&mut self, worker: usize, shard: usize) -> bool {
        let Some(grant) = self.grant(worker, shard) else {
            return false;
        };
        if grant.processed >= self.game.records(shard)
            || grant.standing != Standing::Held
            || !self.may_start(worker)
        {
            return false;
        }
        if !self
            .world
            .table
            .parents_are_done(self.game.lineage, grant.fence.shard)
        {
            self.breaks("S6: a child is read before its parents are finished");
        }
        if !self.game.lineage.parents(shard).is_empty() {
            self.met.push(Met::ChildStarted);
        }
        let times = &mut self.world.processed[shard][usize::from(grant.processed)];
        let is_again = *times > 0;
        *times = (*times + 1).min(2);
        if is_again {
            self.met.push(Met::ProcessedAgain);
        }
        self.me(worker).grants[shard] = Some(Grant {
            processed: grant.processed + 1,
            ..grant
        });
        true
    }

    /// Whether a call of user code may start.
    fn may_start(&self, worker: usize) -> bool {
        let pulse = self.world.workers[worker].pulse;
        pulse.is_some_and(|pulse| pulse.rest > 0 || self.has(Bug::GoesOnAfterItsTime))
    }

    fn commit(&mut self, worker: usize, shard: usize, fate: Fate) -> bool {
        let Some(grant) = self.grant(worker, shard) else {
            return false;
        };
        if grant.processed <= grant.known.records(self.game.records(shard)) {
            return false;
        }
        let to = Done::after(grant.processed);
        let write = Write::Commit {
            fence: grant.fence,
            from: grant.known,
            to,
        };
        let believes = self.has(Bug::BelievesWhatWasRefused);
        let next = match self.send(write, fate) {
            None => Some(grant),
            Some(Outcome::Applied) => Some(Grant { known: to, ..grant }),
            Some(Outcome::Refused(..)) if believes => Some(Grant { known: to, ..grant }),
            Some(Outcome::Refused(row, _)) => {
                self.judged(grant, row, Met::CommitReadBack, Met::CommitFenced)
            }
        };
        self.me(worker).grants[shard] = next;
        true
    }

    /// What a grant is after the row refused its write.
    fn judged(
        &mut self,
        grant: Grant,
        row: Option<LeaseRow>,
        read_back: Met,
        fenced: Met,
    ) -> Option<Grant> {
        let row_done = row.map_or(Done::Nothing, |row| row.done);
        let Some(row) = row.filter(|row| row.is_fenced_by(grant.fence)) else {
            self.met.push(fenced);
            if row_done > grant.known {
                self.met.push(Met::CommitAppliedThenLost);
            }
            return None;
        };
        self.met.push(read_back);
        Some(Grant {
            known: row.done,
            ..grant
        })
    }

    fn finish(&mut self, worker: usize, shard: usize, fate: Fate) -> bool {
        let Some(grant) = self.grant(worker, shard) else {
            return false;
        };
        let children = self.game.lineage.children(shard);
        let is_closed = self.world.is_resharded && !children.is_empty();
        let is_processed = grant.processed >= self.game.records(shard);
        if !is_processed && !self.has(Bug::FinishesBeforeProcessing)
            || !is_closed && !self.has(Bug::FinishesAnOpenShard)
        {
            return false;
        }
        let lacks_row = |child: &usize| {
            let parents = self.game.lineage.parents(*child);
            let is_due = parents
                .iter()
                .all(|parent| self.world.table.leases[*parent].is_some());
            is_due && self.world.table.leases[*child].is_none()
        };
        let missing = children.iter().copied().find(lacks_row);
        if let Some(child) = missing
            && !self.has(Bug::FinishesWithoutChildren)
        {
            let shard = narrow(child as u64);
            self.send(Write::Create { shard }, fate);
            return true;
        }
        let write = Write::Finish {
            fence: grant.fence,
            from: grant.known,
        };
        let next = match self.send(write, fate) {
            None => Some(grant),
            Some(Outcome::Applied) => None,
            Some(Outcome::Refused(Some(row), _))
                if row.done == Done::End && row.counter == grant.fence.epoch + 1 =>
            {
                self.met.push(Met::FinishReadBack);
                None
            }
            Some(Outcome::Refused(row, _)) => {
                self.judged(grant, row, Met::CommitReadBack, Met::FinishFenced)
            }
        };
        self.me(worker).grants[shard] = next;
        true
    }

    fn release(&mut self, worker: usize, shard: usize, fate: Fate) -> bool {
        let Some(grant) = self.grant(worker, shard) else {
            return false;
        };
        let is_durable = grant.processed <= grant.known.records(self.game.records(shard));
        if grant.standing != Standing::HandOver
            || !is_durable && !self.has(Bug::ReleasesWithoutCommit)
        {
            return false;
        }
        let next = match self.send(Write::Release { fence: grant.fence }, fate) {
            None => Some(grant),
            Some(Outcome::Applied) => {
                self.met.push(Met::HandedOver);
                None
            }
            Some(Outcome::Refused(row, _)) => {
                if row
                    .is_some_and(|row| row.owner.is_none() && row.counter == grant.fence.epoch + 1)
                {
                    self.met.push(Met::ReleaseReadBack);
                }
                None
            }
        };
        self.me(worker).grants[shard] = next;
        true
    }

    // --- what a state is ---

    /// Drops what nothing depends on any more, so that states that differ in it alone are one.
    fn forget(&mut self) {
        let lives = self.game.bounds.lives;
        for (worker, local) in self.world.workers.iter_mut().enumerate() {
            let lives = lives[worker];
            // Nobody judges himself.
            local.watched[worker] = [None; LIVES];
            local.pass = local.pass.take().and_then(|pass| pass.left());
            let is_over = local.lives >= lives && local.pulse.is_none() && local.joining.is_none();
            if is_over && local.pass.is_none() {
                *local = Local {
                    lives,
                    ..Local::default()
                };
            }
        }
        if self.world.is_disturbed {
            let once = |times: [u8; RECORDS]| times.map(|count| count.min(1));
            self.world.processed = self.world.processed.map(once);
        }
    }

    fn check(&mut self) {
        let world = &self.world;
        for shard in 0..SHARDS {
            let reads = |worker: &usize| {
                world.workers[*worker].grants[shard]
                    .is_some_and(|grant| grant.standing == Standing::Held)
                    && self.may_start(*worker)
            };
            if (0..WORKERS).filter(reads).count() > 1 {
                return self.breaks("S4: two workers may read one shard");
            }
        }
        for local in &world.workers {
            for grant in local.grants.iter().flatten() {
                let row = world.table.lease(grant.fence.shard);
                if row.is_some_and(|row| row.is_fenced_by(grant.fence) && grant.known > row.done) {
                    return self.breaks("S11: a worker takes for durable what is not");
                }
            }
            if let Some(pulse) = local.pulse
                && pulse.rest > 0
                && world.table.life(pulse.life).is_none()
            {
                return self.breaks("S4: a worker was evicted in its time");
            }
        }
        if !world.is_disturbed && world.processed.iter().flatten().any(|count| *count > 1) {
            return self.breaks("S10: a record came twice though nothing went wrong");
        }
        let is_done = |shard: usize| {
            world.table.leases[shard].is_some_and(|row| {
                let is_parent = !self.game.lineage.children(shard).is_empty();
                row.done == if is_parent { Done::End } else { Done::One }
            })
        };
        if (0..SHARDS).all(is_done) {
            self.met.push(Met::AllDone);
        }
    }
}
