//! The drawing of plans: what is random about a run, by its seed.

use std::time::Duration;

use fastrand::Rng;

use super::{
    Blow, Cut, Handling, Heavy, Incident, Kind, Plan, Planned, Retrieval, Side, Temper, Weather,
};
use crate::sim::clock::Rate;
use crate::sim::ledger::Start;
use crate::sim::moment::Moment;

/// Sets the generator of handlers apart from all others.
const HANDLING: u64 = 0x4a4d_0078;

impl Plan {
    /// The plan of a seed. Long runs have everything; short ones less of it.
    #[must_use]
    pub fn new(seed: u64, length: Duration) -> Self {
        let mut rng = Rng::with_seed(seed);
        let kind = match rng.u8(..10) {
            0 => Kind::Still,
            1 | 2 => Kind::Clean,
            _ => Kind::Chaos,
        };
        // Long enough for a lease, a takeover, a slow processor and a backlog to pass.
        let heal = length
            .mul_f64(0.7)
            .min(length.saturating_sub(Duration::from_secs(150)));
        let workers = 1 + rng.usize(..4);
        let mut plan = Self {
            seed,
            kind,
            length,
            heal,
            quiet: length.saturating_sub(Duration::from_secs(75)),
            starts: (0..workers).map(|_| ms(&mut rng, 0, 20_000)).collect(),
            shards: rng.u8(1..5),
            aged: 0,
            start: start(&mut rng),
            produce_every: Duration::from_millis(rng.u64(80..800)),
            keys: rng.u32(1..60),
            weather: weather(&mut rng, kind),
            temper: temper(&mut rng, kind),
            commit_every: Duration::from_secs(*rng.choice(&[0, 1, 5, 5, 20]).expect("five")),
            read_timeout: rng.bool().then(|| ms(&mut rng, 1_000, 8_000)),
            // Reads are most of what a run costs, and no faster polling makes leases more interesting.
            poll_idle: Duration::from_millis(*rng.choice(&[500, 2_000, 5_000]).expect("three")),
            retrieval: vec![Retrieval::Polling; workers],
            lease_times: lease_times(&mut rng, kind, workers),
            one_name: rng.u8(..10) == 0,
            skew: (0..workers).map(|_| rng.i64(-600_000..600_000)).collect(),
            rates: vec![Rate(0); workers],
            sync_every: Duration::from_secs(60),
            drain: (Duration::from_secs(20), Duration::from_secs(30)),
            incidents: Vec::new(),
            heavy: heavy(seed, length, workers),
            second: None,
            handling: None,
            sabotage: None,
        };
        if let Start::At(at) = plan.start {
            // A time to come is the service's to refuse.
            let first = plan.starts.iter().min().copied().unwrap_or_default();
            plan.start = Start::At(at.min(u64::try_from(first.as_millis()).unwrap_or(0)));
        }
        if plan.start == Start::Latest {
            // LATEST is fixed by the worker's wall clock, unless that is ahead: one that is behind starts behind.
            plan.skew.iter_mut().for_each(|skew| *skew = (*skew).max(0));
        }
        if plan.heavy.is_some() {
            plan.heal = Heavy::heal(length);
            plan.keys = Heavy::KEYS;
            plan.produce_every = Heavy::EVERY;
            plan.shards += 2;
        }
        plan.incidents = incidents(&mut rng, &plan);
        // ORDER: from generators of their own, so that what is added here changes nothing above.
        plan.draw_circumstances(&mut Rng::with_seed(seed ^ 0xc10c_c10c));
        plan.draw_operator(&mut Rng::with_seed(seed ^ 0x0b5e_55ed));
        plan.second = second(&plan);
        plan.draw_retrieval(&mut Rng::with_seed(seed ^ 0x0fa7_0007));
        // The number leaves the seeds alone that are noted in `bin/bugs/found.rs`.
        plan.handling = Handling::draw(&plan, &mut Rng::with_seed(seed ^ HANDLING));
        plan
    }
}

/// In some runs loads differ. Drawn apart from everything else, so that the other plans stay as they are.
/// They take three times as long as others, for what they carry, and one worker alone has nobody to give anything.
fn heavy(seed: u64, length: Duration, workers: usize) -> Option<Heavy> {
    let mut rng = Rng::with_seed(seed ^ 0x4ea7_10ad);
    let is_drawn = rng.u8(..8) == 0 && length >= Duration::from_secs(600) && workers > 1;
    is_drawn.then(|| Heavy::draw(&mut rng))
}

/// Some fleets read two streams. Drawn apart from everything else, so that the other plans stay as they are, with
/// a number that leaves the seeds alone that are noted in `bin/bugs/found.rs`; and only where nothing has to be
/// known of when each stream starts.
fn second(plan: &Plan) -> Option<u8> {
    let mut rng = Rng::with_seed(plan.seed ^ 0x0002_57e4_0a5e);
    let is_drawn = rng.u8(..4) == 0 && plan.start == Start::TrimHorizon && plan.heavy.is_none();
    is_drawn.then(|| rng.u8(1..5))
}

pub(super) fn ms(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(rng.u64(from..to))
}

/// Ten seconds as it defaults; in some fleets the workers differ, as while a setting is rolled out.
fn lease_times(rng: &mut Rng, kind: Kind, workers: usize) -> Vec<Duration> {
    let differ = kind == Kind::Chaos && rng.u8(..5) == 0;
    let time = |rng: &mut Rng| {
        if differ {
            Duration::from_secs(*rng.choice(&[6, 10, 15]).expect("three"))
        } else {
            Duration::from_secs(10)
        }
    };
    (0..workers).map(|_| time(rng)).collect()
}

fn start(rng: &mut Rng) -> Start {
    match rng.u8(..4) {
        0 => Start::Latest,
        1 => Start::At(rng.u64(..40_000)),
        _ => Start::TrimHorizon,
    }
}

fn weather(rng: &mut Rng, kind: Kind) -> Weather {
    let latency = if rng.bool() { 10 } else { 80 };
    if kind != Kind::Chaos {
        return Weather {
            latency,
            ..Weather::default()
        };
    }
    let late_max = if rng.bool() { 3_000 } else { 40_000 };
    // Each run has its own climate: some faults often, others never.
    let mut rate = |most: u64| if rng.bool() { 0 } else { rng.u64(..=most) };
    Weather {
        latency,
        slow: rate(80),
        reset_before: rate(40),
        reset_after: rate(40),
        lost_request: rate(20),
        lost_reply: rate(20),
        throttled: rate(60),
        failed: rate(30),
        late: rate(20),
        twice: rate(40),
        late_max,
        stale_scans: rate(200),
        stale_lists: rate(200),
        expired_iterators: rate(20),
        push_faults: 0,
    }
}

fn temper(rng: &mut Rng, kind: Kind) -> Temper {
    let pace = *rng.choice(&[2, 50, 400]).expect("not empty");
    if kind != Kind::Chaos {
        return Temper {
            pace,
            ..Temper::default()
        };
    }
    let mut rate = |most: u64| if rng.u8(..3) > 0 { 0 } else { rng.u64(..=most) };
    Temper {
        pace,
        slow: rate(20),
        slow_max: 30_000,
        errors: rate(30),
        panics: rate(20),
        manual: rate(200),
    }
}

fn incidents(rng: &mut Rng, plan: &Plan) -> Vec<Planned> {
    let mut incidents = Vec::new();
    let mut at = ms(rng, 15_000, 60_000);
    while plan.kind != Kind::Still && at < plan.heal {
        let mut draw = Draw { rng, plan, at };
        incidents.extend(match plan.kind {
            Kind::Still | Kind::Clean => draw.quiet(),
            Kind::Chaos => draw.loud(),
        });
        // Sometimes one on top of the other, sometimes time to recover.
        at += if rng.u8(..4) == 0 {
            ms(rng, 10, 3_000)
        } else {
            ms(rng, 3_000, 40_000)
        };
    }
    incidents.sort_by_key(|planned| planned.at);
    incidents
}

/// One incident being drawn.
struct Draw<'a> {
    rng: &'a mut Rng,
    plan: &'a Plan,
    at: Duration,
}

impl Draw<'_> {
    /// What harms nothing if it is done well.
    fn quiet(&mut self) -> Vec<Planned> {
        match self.rng.u8(..12) {
            0..=2 => self.reshard(),
            3 => {
                let reshards = self.rng.u8(4..12);
                self.planned(Incident::Storm { reshards })
            }
            4 => self.deploy(),
            _ => {
                let back_after = self.ms(100, 40_000);
                self.blow(Blow::Stop { back_after })
            }
        }
    }

    fn loud(&mut self) -> Vec<Planned> {
        match self.rng.u8(..27) {
            0..=2 => {
                let back_after = self.ms(10, 40_000);
                self.blow(Blow::Kill { back_after })
            }
            3..=8 => self.quiet(),
            9..=11 => {
                // Around the lease time, and in the middle of all others.
                let length = self.ms(500, 30_000).min(self.plan.heal - self.at);
                self.blow(Blow::Freeze { length })
            }
            12 if self.plan.start != Start::Latest => {
                let by = self.rng.i64(-3_600_000..3_600_000);
                self.blow(Blow::ClockJump { by })
            }
            12 | 13 if self.rng.bool() => {
                let worker = self.worker();
                self.planned(Incident::Burial { worker })
            }
            12 | 13 => {
                let leases = self.rng.u8(1..4);
                self.planned(Incident::Theft { leases })
            }
            14 => {
                let (side, cut) = (self.side(), self.cut());
                let length = self.ms(500, 20_000);
                self.planned(Incident::Outage { side, cut, length })
            }
            15..=17 => self.fading(),
            _ => {
                let (side, cut) = (self.side(), self.cut());
                let length = self.ms(500, 45_000);
                self.blow(Blow::Cut { side, cut, length })
            }
        }
    }

    fn ms(&mut self, from: u64, to: u64) -> Duration {
        ms(self.rng, from, to)
    }

    fn worker(&mut self) -> u8 {
        u8::try_from(self.rng.usize(..self.plan.starts.len())).expect("a few workers")
    }

    fn side(&mut self) -> Side {
        let sides = [Side::Kinesis, Side::Dynamo, Side::Dynamo, Side::Both];
        *self.rng.choice(&sides).expect("four")
    }

    fn cut(&mut self) -> Cut {
        let cuts = [Cut::Refused, Cut::Deaf, Cut::Mute, Cut::Held, Cut::Sluggish];
        *self.rng.choice(&cuts).expect("five")
    }

    /// Half of all incidents lie in wait for a critical moment, which they would hardly meet by chance.
    fn moment(&mut self) -> Option<Moment> {
        let lies_in_wait = self.rng.bool();
        lies_in_wait.then(|| *self.rng.choice(&Moment::ALL).expect("many"))
    }

    fn planned(&mut self, incident: Incident) -> Vec<Planned> {
        let when = self.moment();
        let at = self.at;
        vec![Planned { at, when, incident }]
    }

    fn blow(&mut self, blow: Blow) -> Vec<Planned> {
        let worker = self.worker();
        self.planned(Incident::Worker { worker, blow })
    }

    fn reshard(&mut self) -> Vec<Planned> {
        let place = self.rng.u8(..);
        let incident = match self.rng.bool() {
            true => Incident::Merge(place),
            false => Incident::Split(place),
        };
        self.planned(incident)
    }

    /// Every worker is stopped and comes back at once, one after the other.
    fn deploy(&mut self) -> Vec<Planned> {
        let mut at = self.at;
        let mut all = Vec::new();
        for worker in (0..).take(self.plan.starts.len()) {
            let back_after = self.ms(50, 1_500);
            let blow = Blow::Deploy { back_after };
            let incident = Incident::Worker { worker, blow };
            let when = self.moment();
            all.push(Planned { at, when, incident });
            at += self.ms(1_000, 8_000);
        }
        all.retain(|planned| planned.at < self.plan.heal);
        all
    }

    /// A worker's table becomes slow to answer, then does not answer at all: its last proof of life is
    /// older than it may think.
    fn fading(&mut self) -> Vec<Planned> {
        let (worker, side) = (self.worker(), Side::Dynamo);
        let slow = Duration::from_secs(4);
        let deaf = self.ms(12_000, 30_000);
        let cut = |at, cut, length| Planned {
            at,
            when: None,
            incident: Incident::Worker {
                worker,
                blow: Blow::Cut { side, cut, length },
            },
        };
        vec![
            cut(self.at, Cut::Sluggish, slow),
            cut(self.at + slow, Cut::Deaf, deaf),
        ]
    }
}
