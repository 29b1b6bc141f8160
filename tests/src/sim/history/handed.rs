//! Calls of handlers, as the history has them.

use kcl_core::model::ShardId;

use super::{Process, RecordId};

/// The number of a call of a handler, over the whole run.
pub type CallNumber = u32;

/// What a call of a handler is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// To process records.
    Handle,
    /// To close a window: the last call of a function in it, without records.
    Close,
    /// To give records up to the failure destination.
    GiveUp,
}

/// How a call of a handler goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mood {
    /// Well, in its usual time.
    Well,
    /// Well, and it takes long.
    Slow,
    /// It returns an error, or names records that failed.
    Fails,
    /// It panics.
    Panics,
    /// It does not come back.
    Hangs,
}

impl Mood {
    /// Those that are not the usual.
    pub const TROUBLE: [Self; 4] = [Self::Slow, Self::Fails, Self::Panics, Self::Hangs];

    /// Its name in counts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Well => "goes well",
            Self::Slow => "is slow",
            Self::Fails => "fails",
            Self::Panics => "panics",
            Self::Hangs => "hangs",
        }
    }
}

/// A call of a handler, or of the failure destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerCall {
    /// In which process.
    pub process: Process,
    /// Which.
    pub number: CallNumber,
    /// Of which shard.
    pub shard: ShardId,
    /// By which grant.
    pub epoch: u64,
    /// In which lane of the shard, if the handler is told.
    pub lane: Option<usize>,
    /// What for.
    pub errand: Errand,
    /// With which records, in order.
    pub ids: Vec<RecordId>,
    /// How many records the state of the window counts that the function is handed.
    pub state: Option<u64>,
    /// How it goes.
    pub mood: Mood,
}
