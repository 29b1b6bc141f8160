//! A seed becomes a plan: the fleet, the stream, the faults, and what happens when.
//!
//! Everything that is random about a run is drawn here or from a generator split off here, so that a
//! plan printed is a run explained. It performs nothing; [`World`](super::world::World) does.

mod circumstances;
mod draw;
mod handling;
mod heavy;

use std::time::Duration;

pub use self::handling::{Door, Handling, Policy};
pub use self::heavy::Heavy;
use super::clock::Rate;
use super::ledger::Start;
use super::moment::Moment;
use super::strike::Strike;

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
    /// How many reshards are over before the first worker starts.
    pub aged: u8,
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
    /// How long workers wait after an empty page.
    pub poll_idle: Duration,
    /// How each worker reads.
    pub retrieval: Vec<Retrieval>,
    /// How long the leases of each worker last.
    pub lease_times: Vec<Duration>,
    /// Whether all workers go by one name, as after a slip in a deployment.
    pub one_name: bool,
    /// By how much the wall clocks of the workers are off at first, in milliseconds.
    pub skew: Vec<i64>,
    /// How fast the clocks of the workers go.
    pub rates: Vec<Rate>,
    /// How often workers ask the stream for shards that nobody knows.
    pub sync_every: Duration,
    /// How long a call may take while a shard is given back, and then all of that.
    pub drain: (Duration, Duration),
    /// What happens to the fleet and the stream.
    pub incidents: Vec<Planned>,
    /// How many shards a second stream has at first, if every worker reads two.
    pub second: Option<u8>,
    /// What weighs how much, if keys and workers differ; else every record is small, and every worker like the others.
    pub heavy: Option<Heavy>,
    /// How records are handled, if they go to a handler; else to processors.
    pub handling: Option<Handling>,
    /// How the services break their word: never, unless a test of the rules wants it.
    pub sabotage: Option<Sabotage>,
}

/// How a worker reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retrieval {
    /// By polling.
    Polling,
    /// By fan-out, and by nothing else.
    FanOut,
    /// By fan-out; by polling where that fails.
    Either,
    /// By fan-out and by polling in turn, as somebody switches it.
    Switched,
}

/// A promise of the services that the library rests on, broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Reads of all rows leave one out.
    RowsHidden,
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
    /// Reads of all rows, where they need not be consistent, show an old table.
    pub stale_scans: u64,
    /// Lists of shards are old ones.
    pub stale_lists: u64,
    /// Iterators are told to have expired.
    pub expired_iterators: u64,
    /// Subscriptions meet a fault in their life.
    pub push_faults: u64,
}

impl Weather {
    /// Whether anything can happen to a request.
    #[must_use]
    pub const fn has_faults(&self) -> bool {
        let lost = self.reset_before + self.reset_after + self.lost_request + self.lost_reply;
        lost + self.throttled + self.failed + self.late + self.twice > 0
    }
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

/// An incident, and when it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Not before this.
    pub at: Duration,
    /// Not before a process is at this, which it then strikes; without it, at that time.
    pub when: Option<Moment>,
    /// What happens.
    pub incident: Incident,
}

/// Something that happens to the fleet, the network or the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incident {
    /// Something happens to one worker.
    Worker {
        /// Which, unless the incident lies in wait for one.
        worker: u8,
        /// What.
        blow: Blow,
    },
    /// The ways of all workers are disturbed.
    Outage {
        /// Which services: Kinesis, DynamoDB or both.
        side: Side,
        /// How.
        cut: Cut,
        /// For how long.
        length: Duration,
    },
    /// A rival takes so many leases that are held, whatever the protocol says.
    Theft {
        /// How many.
        leases: u8,
    },
    /// A rival declares the life of a worker over that lives.
    Burial {
        /// Whose, unless the incident lies in wait for one.
        worker: u8,
    },
    /// The open shard at this place (modulo) is split.
    Split(u8),
    /// The open shard at this place (modulo) is merged with its neighbour.
    Merge(u8),
    /// Splits and merges, each as soon as the one before is done.
    Storm {
        /// How many.
        reshards: u8,
    },
    /// An operator deletes the row of a shard that is not finished.
    RowDeleted,
    /// An operator deletes the lease table.
    TableDeleted,
    /// All sleep for a day and an hour: whatever is in the stream is no longer kept.
    Day,
}

/// What an operator does, or has to do, comes so long before everything is well again: the fleet has to notice it,
/// through whatever else disturbs it, and he has to act on what it tells.
const OPERATOR_NEEDS: Duration = Duration::from_secs(120);

impl Incident {
    /// How long before everything is well again this happens at the latest.
    #[must_use]
    pub const fn needs(&self) -> Duration {
        match self {
            Self::RowDeleted | Self::TableDeleted | Self::Day => OPERATOR_NEEDS,
            Self::Worker { .. }
            | Self::Outage { .. }
            | Self::Theft { .. }
            | Self::Burial { .. }
            | Self::Split(_)
            | Self::Merge(_)
            | Self::Storm { .. } => Duration::ZERO,
        }
    }
}

/// Something that happens to one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// It is dropped without warning, and started again after a while.
    Kill {
        /// When it comes back.
        back_after: Duration,
    },
    /// It is asked to stop, and started again some time after it has.
    Stop {
        /// When it comes back.
        back_after: Duration,
    },
    /// As `Stop`, one worker after the other.
    Deploy {
        /// When it comes back.
        back_after: Duration,
    },
    /// Nothing of it runs for so long.
    Freeze {
        /// For how long.
        length: Duration,
    },
    /// Its wall clock jumps.
    ClockJump {
        /// By so many milliseconds.
        by: i64,
    },
    /// The way between it and a service is disturbed.
    Cut {
        /// Which services: Kinesis, DynamoDB or both.
        side: Side,
        /// How.
        cut: Cut,
        /// For how long.
        length: Duration,
    },
}

impl Blow {
    /// Its name in counts.
    #[must_use]
    pub const fn strike(self) -> Strike {
        match self {
            Self::Kill { .. } => Strike::Kill,
            Self::Stop { .. } => Strike::Stop,
            Self::Deploy { .. } => Strike::Deploy,
            Self::Freeze { .. } => Strike::Freeze,
            Self::ClockJump { .. } => Strike::ClockJump,
            Self::Cut {
                side: Side::Kinesis,
                ..
            } => Strike::NoStream,
            Self::Cut { cut, .. } => match cut {
                Cut::Refused => Strike::Refused,
                Cut::Deaf => Strike::Deaf,
                Cut::Mute => Strike::Mute,
                Cut::Held => Strike::Held,
                Cut::Sluggish => Strike::Sluggish,
            },
        }
    }
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
