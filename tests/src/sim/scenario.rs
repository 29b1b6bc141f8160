//! A seed becomes a plan: the fleet, the stream, the faults, and what happens when.
//!
//! Everything that is random about a run is drawn here or from a generator split off here, so that a
//! plan printed is a run explained. It performs nothing; [`World`](super::world::World) does.

use std::time::Duration;

use fastrand::Rng;

use super::ledger::Start;

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing happens at all: no duplicates, no lease moves.
    Still,
    /// No faults, but reshards, graceful stops and restarts: no duplicates.
    Clean,
    /// Everything.
    Chaos,
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it comes from.
    pub seed: u64,
    /// What it is for.
    pub kind: Kind,
    /// How long it takes, in virtual time.
    pub length: Duration,
    /// When faults and incidents stop.
    pub heal: Duration,
    /// When production stops.
    pub quiet: Duration,
    /// How many workers there are, and when each first starts.
    pub starts: Vec<Duration>,
    /// How many shards the stream has at first.
    pub shards: u8,
    /// Where the application starts.
    pub start: Start,
    /// How long the producer waits between two calls.
    pub produce_every: Duration,
    /// How many partition keys there are.
    pub keys: u32,
    /// How the network treats requests until it is healed.
    pub weather: Weather,
    /// How processors behave until then.
    pub temper: Temper,
    /// How long workers wait between two checkpoints of a shard.
    pub commit_every: Duration,
    /// How long the SDK waits for the first byte of a reply, if the user has set it.
    pub read_timeout: Option<Duration>,
    /// By how much the wall clocks of the workers are off, in milliseconds.
    pub skew: Vec<i64>,
    /// What happens to the fleet and the stream.
    pub incidents: Vec<(Duration, Incident)>,
    /// How the services break their word: never, unless a test of the rules wants it.
    pub sabotage: Option<Sabotage>,
}

/// A promise of the services that the library rests on, broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Conditional writes are carried out whatever their condition says.
    ConditionsIgnored,
    /// Proofs of life are answered and not carried out.
    RenewalsForged,
    /// Reads leave out a record.
    RecordsSkipped,
}

/// How often, per thousand requests, the network does what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// The longest way there or back, in milliseconds.
    pub latency: u64,
    /// A way takes up to a second and a half.
    pub slow: u64,
    /// The connection breaks before the request arrives.
    pub reset_before: u64,
    /// The connection breaks after the request was carried out.
    pub reset_after: u64,
    /// The request vanishes.
    pub lost_request: u64,
    /// The request is carried out and its answer vanishes.
    pub lost_reply: u64,
    /// The service asks to slow down.
    pub throttled: u64,
    /// The service answers with an internal error, the request is not carried out.
    pub failed: u64,
    /// The request vanishes and arrives much later.
    pub late: u64,
    /// The request arrives, and once more much later.
    pub twice: u64,
    /// How late, in milliseconds, at most.
    pub late_max: u64,
}

/// How processors behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Temper {
    /// The usual longest call, in milliseconds.
    pub pace: u64,
    /// How many calls in a thousand take up to `slow_max`.
    pub slow: u64,
    /// How long those take at most, in milliseconds.
    pub slow_max: u64,
    /// How many calls in a thousand return an error.
    pub errors: u64,
    /// How many calls in a thousand panic.
    pub panics: u64,
    /// How many calls in a thousand make a checkpoint by hand.
    pub manual: u64,
}

/// Something that happens to the fleet, the network or the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incident {
    /// A worker is dropped without warning, and started again after a while.
    Kill {
        /// Which.
        worker: u8,
        /// When it comes back.
        back_after: Duration,
    },
    /// A worker is asked to stop, and started again some time after it has.
    Stop {
        /// Which.
        worker: u8,
        /// When it comes back.
        back_after: Duration,
    },
    /// The way between a worker and a service is disturbed.
    Cut {
        /// Which worker.
        worker: u8,
        /// Which services: Kinesis, DynamoDB or both.
        side: Side,
        /// How.
        cut: Cut,
        /// For how long.
        length: Duration,
    },
    /// The open shard at this place (modulo) is split.
    Split(u8),
    /// The open shard at this place (modulo) is merged with its neighbour.
    Merge(u8),
}

/// Which services a cut is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The stream.
    Kinesis,
    /// The lease table.
    Dynamo,
    /// Both.
    Both,
}

/// How a way is disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Connections are refused at once.
    Refused,
    /// Requests vanish.
    Deaf,
    /// Requests arrive, answers vanish.
    Mute,
    /// Everything is held up, and arrives when the cut is over.
    Held,
    /// Answers take more than a second.
    Sluggish,
}

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
            start: start(&mut rng),
            produce_every: Duration::from_millis(rng.u64(40..400)),
            keys: rng.u32(1..60),
            weather: weather(&mut rng, kind),
            temper: temper(&mut rng, kind),
            commit_every: Duration::from_secs(*rng.choice(&[0, 1, 5, 5, 20]).expect("five")),
            read_timeout: rng.bool().then(|| ms(&mut rng, 1_000, 8_000)),
            skew: (0..workers).map(|_| rng.i64(-600_000..600_000)).collect(),
            incidents: Vec::new(),
            sabotage: None,
        };
        if let Start::At(at) = plan.start {
            // A time to come is the service's to refuse.
            let first = plan.starts.iter().min().copied().unwrap_or_default();
            plan.start = Start::At(at.min(u64::try_from(first.as_millis()).unwrap_or(0)));
        }
        if plan.start == Start::Latest {
            // LATEST is fixed by the worker's wall clock: a clock that is ahead starts ahead.
            plan.skew.iter_mut().for_each(|skew| *skew = 0);
        }
        plan.incidents = incidents(&mut rng, &plan);
        plan
    }
}

fn ms(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(rng.u64(from..to))
}

fn start(rng: &mut Rng) -> Start {
    match rng.u8(..6) {
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
        late_max: if rng.bool() { 3_000 } else { 40_000 },
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

fn incidents(rng: &mut Rng, plan: &Plan) -> Vec<(Duration, Incident)> {
    let mut incidents = Vec::new();
    let mut at = ms(rng, 15_000, 60_000);
    while plan.kind != Kind::Still && at < plan.heal {
        let incident = match plan.kind {
            Kind::Still | Kind::Clean => quiet_incident(rng, plan.starts.len()),
            Kind::Chaos => loud_incident(rng, plan.starts.len()),
        };
        if plan.kind == Kind::Chaos && rng.u8(..5) == 0 {
            incidents.extend(fading(rng, plan.starts.len(), at));
        }
        incidents.push((at, incident));
        // Sometimes one on top of the other, sometimes time to recover.
        at += if rng.u8(..4) == 0 {
            ms(rng, 10, 3_000)
        } else {
            ms(rng, 5_000, 70_000)
        };
    }
    incidents.sort_by_key(|(at, _)| *at);
    incidents
}

/// A worker's table becomes slow to answer, then does not answer at all: its last proof of life is
/// older than it may think.
fn fading(rng: &mut Rng, workers: usize, at: Duration) -> [(Duration, Incident); 2] {
    let (worker, side) = (worker(rng, workers), Side::Dynamo);
    let slow = Duration::from_secs(4);
    let cut = |cut, length| Incident::Cut {
        worker,
        side,
        cut,
        length,
    };
    [
        (at, cut(Cut::Sluggish, slow)),
        (at + slow, cut(Cut::Deaf, ms(rng, 12_000, 30_000))),
    ]
}

fn worker(rng: &mut Rng, workers: usize) -> u8 {
    u8::try_from(rng.usize(..workers)).expect("a few workers")
}

fn quiet_incident(rng: &mut Rng, workers: usize) -> Incident {
    match rng.u8(..5) {
        0 | 1 => Incident::Split(rng.u8(..)),
        2 => Incident::Merge(rng.u8(..)),
        _ => Incident::Stop {
            worker: worker(rng, workers),
            back_after: ms(rng, 100, 40_000),
        },
    }
}

fn loud_incident(rng: &mut Rng, workers: usize) -> Incident {
    match rng.u8(..10) {
        0 | 1 => Incident::Kill {
            worker: worker(rng, workers),
            back_after: ms(rng, 10, 40_000),
        },
        2..=5 => quiet_incident(rng, workers),
        _ => Incident::Cut {
            worker: worker(rng, workers),
            side: *rng
                .choice(&[Side::Kinesis, Side::Dynamo, Side::Dynamo, Side::Both])
                .expect("four"),
            cut: *rng
                .choice(&[Cut::Refused, Cut::Deaf, Cut::Mute, Cut::Held])
                .expect("four"),
            length: ms(rng, 500, 45_000),
        },
    }
}
