//! Runs in which records go to a handler: by which door, how it fails, and what follows on that.

use std::time::Duration;

use fastrand::Rng;
use kcl_core::{LaneChoice, LaneCommit};

use super::{Kind, Plan};
use crate::sim::history::{Mood, RecordId};
use crate::sim::ledger::Start;

/// By which door records go to a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// A function of single records.
    Record,
    /// A handler of batches that fail as a whole.
    Batch,
    /// A handler of batches that names the records that failed.
    Places,
    /// A stream of batches.
    Stream,
    /// A function written for Lambda.
    Function,
    /// The same with `ReportBatchItemFailures`.
    Reports,
    /// The same with tumbling windows.
    Windows,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Record,
        Self::Batch,
        Self::Places,
        Self::Stream,
        Self::Function,
        Self::Reports,
        Self::Windows,
    ];

    /// Those that read any number of streams: all but functions written for Lambda.
    const OF_STREAMS: [Self; 4] = [Self::Record, Self::Batch, Self::Places, Self::Stream];

    /// Its name in counts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Record => "record handler",
            Self::Batch => "batch handler",
            Self::Places => "batch handler that names places",
            Self::Stream => "stream",
            Self::Function => "function",
            Self::Reports => "function that reports",
            Self::Windows => "function with windows",
        }
    }

    /// Whether it leads to a function written for Lambda.
    #[must_use]
    pub const fn is_lambda(self) -> bool {
        matches!(self, Self::Function | Self::Reports | Self::Windows)
    }

    /// Whether a handler behind it can say which records failed.
    #[must_use]
    pub const fn names_records(self) -> bool {
        matches!(self, Self::Places | Self::Reports)
    }
}

/// What follows when a record has failed often enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It is tried as often as it takes.
    Again,
    /// It goes to the failure destination.
    GiveUp {
        /// After so many attempts.
        attempts: u32,
    },
    /// The worker stops.
    Halt {
        /// After so many attempts; nothing: at the first failure.
        attempts: Option<u32>,
    },
}

impl Policy {
    /// How often a record is tried, if not as often as it takes.
    #[must_use]
    pub const fn attempts(self) -> Option<u32> {
        match self {
            Self::Again => None,
            Self::GiveUp { attempts } => Some(attempts),
            Self::Halt {
                attempts: Some(attempts),
            } => Some(attempts),
            Self::Halt { attempts: None } => Some(1),
        }
    }
}

/// How records are handled in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handling {
    /// By which door they go.
    pub door: Door,
    /// How many calls a shard has at once.
    pub lanes: usize,
    /// Which of them a key goes to.
    pub lane_choice: LaneChoice,
    /// Up to where a shard is committed meanwhile.
    pub lane_commit: LaneCommit,
    /// How many records a call has at most.
    pub batch: usize,
    /// How long a batch waits for more.
    pub wait: Duration,
    /// How far records may settle ahead of the oldest that has not.
    pub span: usize,
    /// What follows on failures.
    pub policy: Policy,
    /// Whether batches are cut in halves first.
    pub bisect: bool,
    /// How long a call may take.
    pub call_max: Option<Duration>,
    /// How long the windows are.
    pub window: Option<Duration>,
    /// How long a call takes at most, if it goes well.
    pub pace: Duration,
    /// One of so many records can never be processed: or, where nothing is given up, not before all is healed.
    pub poison_every: Option<u32>,
    /// One of so many records fails once, and its call with it, until all is healed.
    pub trouble_every: Option<u32>,
    /// How many of a thousand calls of the failure destination fail until then.
    pub refuses: u32,
    /// From which the trouble of each record is drawn.
    pub salt: u64,
}

/// How long a call may take, where that is limited. More than a slow one takes.
const CALL_MAX: Duration = Duration::from_secs(2);

/// Of streams of their own, so that what else is drawn does not change with them.
const LANE_CHOICE: u64 = 0x6c61_6e65;
const LANE_COMMIT: u64 = 0x7061_6765;

/// Batches of more records are not let hang again and again until the one stands alone that hangs.
const HANGING_BATCH_MAX: usize = 10;

impl Handling {
    /// The shortest and longest call that is slow.
    pub const SLOW: (Duration, Duration) =
        (Duration::from_millis(200), Duration::from_millis(1_500));

    /// The pauses between attempts: short, so that a run has many of them.
    pub const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

    /// A quarter of the runs have one, but for those in which loads are compared.
    pub(super) fn draw(plan: &Plan, rng: &mut Rng) -> Option<Self> {
        if rng.u8(..4) > 0 || plan.heavy.is_some() {
            return None;
        }
        let mut handling = Self::draw_well(plan, rng);
        if plan.kind == Kind::Chaos {
            handling.draw_failures(plan, rng);
        }
        Some(handling)
    }

    /// One in which nothing fails.
    fn draw_well(plan: &Plan, rng: &mut Rng) -> Self {
        // A mapping names one stream, and cannot start at a time that a worker's clock says is yet to come.
        let doors: &[Door] = match (plan.second, plan.start) {
            (None, Start::TrimHorizon | Start::Latest) => &Door::ALL,
            (Some(_), _) | (_, Start::At(_)) => &Door::OF_STREAMS,
        };
        let door = *rng.choice(doors).expect("several");
        let lanes = *rng.choice(&[1, 1, 2, 4, 8]).expect("five");
        let seconds = *rng.choice(&[3, 10, 25]).expect("three");
        // A call of one record has to be short, for there are many of them.
        let pace = match door {
            Door::Record => *rng.choice(&[1, 4]).expect("two"),
            Door::Batch
            | Door::Places
            | Door::Stream
            | Door::Function
            | Door::Reports
            | Door::Windows => *rng.choice(&[2, 20, 50]).expect("three"),
        };
        let mut handling = Self {
            door,
            lanes: if door == Door::Windows { 1 } else { lanes },
            lane_choice: LaneChoice::Free,
            lane_commit: LaneCommit::Record,
            batch: *rng.choice(&[5, 10, 10, 50]).expect("four"),
            wait: Duration::from_millis(*rng.choice(&[0, 0, 300, 2_000]).expect("four")),
            span: *rng.choice(&[40, 500, 20_000]).expect("three"),
            policy: Policy::GiveUp { attempts: 3 },
            bisect: rng.bool(),
            call_max: (door.is_lambda() || rng.u8(..4) > 0).then_some(CALL_MAX),
            window: (door == Door::Windows).then(|| Duration::from_secs(seconds)),
            pace: Duration::from_millis(pace),
            poison_every: None,
            trouble_every: None,
            refuses: 0,
            salt: rng.u64(..),
        };
        if handling.lanes > 1 && Rng::with_seed(handling.salt ^ LANE_CHOICE).u8(..3) == 0 {
            handling.lane_choice = LaneChoice::ByKey;
        }
        if handling.lanes > 1 && Rng::with_seed(handling.salt ^ LANE_COMMIT).u8(..3) == 0 {
            handling.lane_commit = LaneCommit::Page;
        }
        handling
    }

    fn draw_failures(&mut self, plan: &Plan, rng: &mut Rng) {
        // So often that there is much of it in a run, and not so often that nothing else gets on: in time, and so in
        // records of a producer that puts five at a time on average.
        let mut one_in = |from: u64, to: u64| {
            let every = rng.u64(from..to) * 5_000 / millis(plan.produce_every).max(1);
            u32::try_from(every).unwrap_or(u32::MAX).max(20)
        };
        let (poison, trouble) = (one_in(8, 20), one_in(1, 6));
        self.trouble_every = (rng.u8(..5) > 0).then_some(trouble);
        self.poison_every = (rng.u8(..6) > 0).then_some(poison);
        self.refuses = *rng.choice(&[0, 300, 700]).expect("three");
        self.policy = self.draw_policy(rng);
    }

    fn draw_policy(&self, rng: &mut Rng) -> Policy {
        // An innocent record fails once. A stream's reader that is held up may be taken for late besides.
        let least = match (self.trouble_every, self.door) {
            (_, Door::Stream) => 3,
            (Some(_), _) => 2,
            (None, _) => 1,
        };
        let attempts = rng.u32(least..5);
        match rng.u8(..10) {
            0 => Policy::Again,
            // A mapping stops for nothing.
            1 | 2 if !self.door.is_lambda() => Policy::Halt {
                attempts: rng.bool().then_some(attempts),
            },
            _ => Policy::GiveUp { attempts },
        }
    }

    /// Whether this record can never be processed; where nothing is given up, not before all is healed.
    #[must_use]
    pub const fn is_poison(&self, record: RecordId) -> bool {
        match self.poison_every {
            Some(every) => record % every == every - 1,
            None => false,
        }
    }

    /// Whether poison is mended when all is healed, because nothing would get on otherwise.
    #[must_use]
    pub const fn is_mended(&self) -> bool {
        !matches!(self.policy, Policy::GiveUp { .. })
    }

    /// How the handler fails at a record that is poison.
    #[must_use]
    pub fn poison(&self, record: RecordId) -> Mood {
        let turn = self.poison_every.map_or(0, |every| record / every);
        match turn % 4 {
            2 => Mood::Panics,
            3 if self.call_max.is_some() && self.batch <= HANGING_BATCH_MAX => Mood::Hangs,
            _ => Mood::Fails,
        }
    }

    /// How a record that is not poison is handled the first time.
    #[must_use]
    pub fn trouble(&self, record: RecordId) -> Mood {
        let Some(every) = self.trouble_every else {
            return Mood::Well;
        };
        let mut rng = Rng::with_seed(self.salt ^ u64::from(record));
        match (rng.u32(..every), rng.u8(..4)) {
            (0, 0) => Mood::Fails,
            (0, 1) => Mood::Panics,
            (0, 2) => Mood::Slow,
            (0, _) if self.call_max.is_some() => Mood::Hangs,
            (0, _) => Mood::Fails,
            _ => Mood::Well,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
