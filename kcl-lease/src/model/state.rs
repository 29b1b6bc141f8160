//! What a state of the small world is.

use std::rc::Rc;

/// Shards by their place; workers likewise.
pub(super) const SHARDS: usize = 3;
pub(super) const WORKERS: usize = 2;
/// Lives that one worker can have.
pub(super) const LIVES: usize = 2;
/// Records that one shard can have.
pub(super) const RECORDS: usize = 2;
/// The lease time, in ticks.
pub(super) const LEASE: u8 = 2;

/// How three shards hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lineage {
    /// 0 is split into 1 and 2.
    Split,
    /// 0 and 1 are merged into 2.
    Merge,
}

impl Lineage {
    pub(super) fn parents(self, shard: usize) -> &'static [usize] {
        match (self, shard) {
            (Self::Split, 1 | 2) => &[0],
            (Self::Merge, 2) => &[0, 1],
            _ => &[],
        }
    }

    pub(super) fn children(self, shard: usize) -> &'static [usize] {
        match (self, shard) {
            (Self::Split, 0) => &[1, 2],
            (Self::Merge, 0 | 1) => &[2],
            _ => &[],
        }
    }
}

/// How often what would count up for ever may happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Writes with another fate than to be applied and answered.
    pub(super) faults: u8,
    /// Workers that die and come back with nothing.
    pub(super) crashes: u8,
    /// Renewals of one life.
    pub(super) renewals: u8,
    /// How often one lease changes hands.
    pub(super) epochs: u8,
    /// Lives of each worker.
    pub(super) lives: [u8; WORKERS],
    /// Records of the first shard. The others have one.
    pub(super) records: u8,
    /// States after which it is given up.
    pub(super) states: usize,
}

impl Bounds {
    /// Nothing goes wrong but that workers stop for any time. A debug build goes through it in seconds.
    pub(super) const STALLS: Self = Self {
        faults: 0,
        crashes: 0,
        renewals: 0,
        epochs: 2,
        lives: [1, 1],
        records: 1,
        states: 30_000_000,
    };
    /// Besides, any one write has any fate.
    pub(super) const FAULT: Self = Self {
        faults: 1,
        ..Self::STALLS
    };
    /// The same with a renewal, and one hand of each lease.
    pub(super) const FAULT_AND_RENEWAL: Self = Self {
        renewals: 1,
        epochs: 1,
        ..Self::FAULT
    };
    /// The same with a second record, so that a checkpoint can go back.
    pub(super) const FAULT_AND_RECORDS: Self = Self {
        records: 2,
        epochs: 1,
        ..Self::FAULT
    };
    /// A lease that was handed over is taken again.
    pub(super) const HAND_OVERS: Self = Self {
        epochs: 3,
        ..Self::STALLS
    };
    /// A worker dies.
    pub(super) const CRASH: Self = Self {
        crashes: 1,
        ..Self::STALLS
    };
    /// A worker that ended, or died, begins again under another name.
    pub(super) const LIVES: Self = Self {
        crashes: 1,
        lives: [2, 1],
        ..Self::STALLS
    };
}

/// One life of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Life {
    pub(super) worker: u8,
    pub(super) number: u8,
}

/// What is durable of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Done {
    Nothing,
    One,
    Two,
    End,
}

impl Done {
    /// With so many records behind it.
    pub(super) fn after(records: u8) -> Self {
        [Self::Nothing, Self::One, Self::Two][usize::from(records)]
    }

    /// How many records are behind it, of so many.
    pub(super) fn records(self, all: u8) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::One => 1,
            Self::Two => 2,
            Self::End => all,
        }
    }
}

/// The row of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LeaseRow {
    pub(super) owner: Option<Life>,
    pub(super) counter: u8,
    pub(super) done: Done,
}

/// The counters of the worker rows there are.
pub(super) type LifeRows = [[Option<u8>; LIVES]; WORKERS];

/// The table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Table {
    pub(super) leases: [Option<LeaseRow>; SHARDS],
    pub(super) lives: LifeRows,
}

/// The proof of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fence {
    pub(super) shard: u8,
    pub(super) holder: Life,
    pub(super) epoch: u8,
}

/// A write to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Write {
    Create {
        shard: u8,
    },
    Join {
        life: Life,
    },
    Renew {
        life: Life,
        counter: u8,
    },
    Leave {
        life: Life,
    },
    Evict {
        life: Life,
        counter: Option<u8>,
    },
    Take {
        shard: u8,
        counter: u8,
        owner: Option<Life>,
        to: Life,
    },
    Commit {
        fence: Fence,
        from: Done,
        to: Done,
    },
    Finish {
        fence: Fence,
        from: Done,
    },
    Release {
        fence: Fence,
    },
}

/// How a grant stands with its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Standing {
    Held,
    HandOver,
}

/// A shard that a worker reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Grant {
    pub(super) fence: Fence,
    /// What is known to be durable.
    pub(super) known: Done,
    /// How many records this grant has processed, or its predecessors' checkpoint covers.
    pub(super) processed: u8,
    pub(super) standing: Standing,
}

/// A life as its worker knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pulse {
    pub(super) life: Life,
    pub(super) counter: u8,
    /// For how many ticks deliveries may still start.
    pub(super) rest: u8,
    /// How many of them there would be left, counted from the first copy of an unanswered renewal.
    pub(super) unanswered: Option<u8>,
}

/// A row of a worker as another watches it: its counter, and for how many ticks it has stood still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Watched {
    pub(super) counter: u8,
    pub(super) age: u8,
}

/// A lease to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pick {
    pub(super) shard: u8,
    pub(super) counter: u8,
    pub(super) owner: Option<Life>,
    pub(super) after: Option<Life>,
    /// Parents without a row, as bits.
    pub(super) unseen: u8,
}

/// A pass of the planner: what is still to be done of its plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pass {
    /// In whose name.
    pub(super) life: Life,
    pub(super) evict: Vec<(Life, Option<u8>)>,
    pub(super) take: Vec<Pick>,
    pub(super) give_up: Vec<u8>,
    /// Who was proven dead in it.
    pub(super) dead: Vec<Life>,
}

/// One worker's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Local {
    pub(super) pulse: Option<Pulse>,
    /// A life whose row is being made, and what is left of its time.
    pub(super) joining: Option<(Life, u8)>,
    /// How many lives it has begun.
    pub(super) lives: u8,
    pub(super) grants: [Option<Grant>; SHARDS],
    pub(super) watched: [[Option<Watched>; LIVES]; WORKERS],
    pub(super) pass: Option<Rc<Pass>>,
}

/// All there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) table: Table,
    pub(super) workers: [Local; WORKERS],
    /// Whether the shards have been split or merged.
    pub(super) is_resharded: bool,
    /// How often each record of each shard was processed, up to two; to one where more is no fault.
    pub(super) processed: [[u8; RECORDS]; SHARDS],
    /// A write that is on its way for any time.
    pub(super) late: Option<Write>,
    pub(super) faults: u8,
    pub(super) crashes: u8,
    /// Whether anything has gone wrong, so that records may come twice.
    pub(super) is_disturbed: bool,
}

macro_rules! all {
    ($(#[$about:meta])* $name:ident { $($member:ident),* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $name { $($member),* }

        impl $name {
            pub(super) const ALL: [Self; [$(stringify!($member)),*].len()] = [$(Self::$member),*];
        }
    };
}

all! {
    /// Situations that the exploration must have seen.
    Met {
        DeadEvicted,
        EvictionRefused,
        TakenFromTheDead,
        StrayTakenAgain,
        RenewalProvenByItsRow,
        LifeEndedAfterStall,
        TakenForNobody,
        CommitReadBack,
        CommitFenced,
        CommitAppliedThenLost,
        FinishReadBack,
        FinishFenced,
        ReleaseReadBack,
        LateWriteApplied,
        LateWriteRefused,
        ChildWaitsForParent,
        MergeWaitsForOneParent,
        ChildStarted,
        HandedOver,
        ProcessedAgain,
        AllDone,
    }
}

all! {
    /// What the rules are tried with.
    Bug {
        TakesWhateverTheOwner,
        RenewalCountsFromTheReply,
        GoesOnAfterItsTime,
        KeepsGrantsInTheNextLife,
        CommitsWithoutFence,
        CommitsFromAnywhere,
        FinishesWithoutFence,
        FinishesBeforeProcessing,
        FinishesAnOpenShard,
        ReleasesWithoutFence,
        ReleasesWithoutCommit,
        ChildrenDoNotWait,
        FinishesWithoutChildren,
        BelievesWhatWasRefused,
    }
}

impl Met {
    /// What comes up only if a write is lost, or its answer, or it is late.
    pub(super) const BY_FAULTS: &'static [Self] = &[
        Self::EvictionRefused,
        Self::StrayTakenAgain,
        Self::CommitReadBack,
        Self::FinishReadBack,
        Self::ReleaseReadBack,
        Self::LateWriteApplied,
        Self::LateWriteRefused,
    ];
    /// What comes up only if leases are taken from one worker by the other.
    pub(super) const BY_SECOND_HANDS: &'static [Self] = &[
        Self::TakenFromTheDead,
        Self::StrayTakenAgain,
        Self::ProcessedAgain,
    ];
    /// What comes up only if, besides, workers renew.
    pub(super) const BY_RENEWALS: &'static [Self] = &[Self::RenewalProvenByItsRow];
}

impl Bug {
    /// Where it breaks a rule.
    pub(super) fn shown_within(self) -> Bounds {
        match self {
            Self::RenewalCountsFromTheReply => Bounds::FAULT_AND_RENEWAL,
            Self::KeepsGrantsInTheNextLife => Bounds::LIVES,
            Self::CommitsFromAnywhere | Self::BelievesWhatWasRefused => Bounds::FAULT_AND_RECORDS,
            Self::ReleasesWithoutCommit => Bounds::HAND_OVERS,
            Self::TakesWhateverTheOwner
            | Self::GoesOnAfterItsTime
            | Self::CommitsWithoutFence
            | Self::FinishesWithoutFence
            | Self::FinishesBeforeProcessing
            | Self::FinishesAnOpenShard
            | Self::ReleasesWithoutFence
            | Self::ChildrenDoNotWait
            | Self::FinishesWithoutChildren => Bounds::STALLS,
        }
    }
}
