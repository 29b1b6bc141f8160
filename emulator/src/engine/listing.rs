//! Which shards a listing shows. Pure.

use crate::clock::Moment;

use super::shard::Shard;

/// A filter with its instant resolved, so that all pages of a listing mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Every shard that is listed at all.
    All,
    /// Open now.
    Latest,
    /// Open at that instant: with both generations where it falls on a reshard, never with a gap.
    At(Moment),
    /// Open, or closed at that instant or later.
    From(Moment),
}

impl Filter {
    pub(crate) fn shows(self, shard: &Shard) -> bool {
        let ended = shard.closed.get().map(|closed| closed.at);
        match self {
            Self::All => true,
            Self::Latest => ended.is_none(),
            Self::At(time) => shard.opened <= time && ended.is_none_or(|ended| ended >= time),
            Self::From(time) => ended.is_none_or(|ended| ended >= time),
        }
    }

    /// As a paging token carries it.
    pub(crate) fn to_parts(self) -> (u8, u64) {
        match self {
            Self::All => (0, 0),
            Self::Latest => (1, 0),
            Self::At(time) => (2, time.millis()),
            Self::From(time) => (3, time.millis()),
        }
    }

    pub(crate) fn from_parts((kind, time): (u8, u64)) -> Option<Self> {
        match kind {
            0 => Some(Self::All),
            1 => Some(Self::Latest),
            2 => Some(Self::At(Moment(time))),
            3 => Some(Self::From(Moment(time))),
            _ => None,
        }
    }
}
