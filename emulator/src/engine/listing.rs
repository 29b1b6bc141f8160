//! Which shards a listing shows. Pure.

use crate::clock::Moment;

use super::shard::{Closed, Shard};

/// As of when shards are looked at: now, or before an instant. Reshards since then are not seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View(Option<Moment>);

impl View {
    pub(crate) fn before(instant: Moment) -> Self {
        Self(Some(instant))
    }

    /// Whether the shard is there.
    pub(crate) fn has(self, shard: &Shard) -> bool {
        let is_child = shard.parent.is_some();
        self.0
            .is_none_or(|instant| !is_child || shard.opened < instant)
    }

    /// How the shard has ended, if it has.
    pub(crate) fn ended(self, shard: &Shard) -> Option<&Closed> {
        let ended = shard.closed.get();
        ended.filter(|ended| self.0.is_none_or(|instant| ended.at < instant))
    }
}

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
    pub(crate) fn shows(self, shard: &Shard, view: View) -> bool {
        let ended = view.ended(shard).map(|closed| closed.at);
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
