//! The faults that strike a process or the whole world at a moment, by their names in counts.

use std::fmt;

/// A fault, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strike {
    /// The process is dropped without warning.
    Kill,
    /// The process is asked to stop.
    Stop,
    /// The process is asked to stop and started again at once, as all others after it.
    Deploy,
    /// The process is held up for longer than its leases last, or not quite.
    Freeze,
    /// The wall clock of the process jumps.
    ClockJump,
    /// Its connections to the table are refused.
    Refused,
    /// Its requests to the table vanish.
    Deaf,
    /// The answers of the table vanish.
    Mute,
    /// Everything between it and the table is held up, and arrives later.
    Held,
    /// The table answers late.
    Sluggish,
    /// It has no way to the stream.
    NoStream,
    /// Nobody has a way to a service.
    Outage,
    /// A rival takes its leases, and does not read them.
    Theft,
    /// A rival deletes its row.
    Burial,
    /// A shard is split or two are merged.
    Reshard,
    /// Many reshards, one after the other.
    Storm,
    /// A read of all rows is an old one.
    StaleScan,
    /// A list of the shards is an old one.
    StaleList,
    /// An iterator has expired.
    ExpiredIterator,
    /// An operator deletes the row of a shard.
    RowDeleted,
    /// An operator deletes the table.
    TableDeleted,
    /// A day passes.
    Day,
}

impl Strike {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::Kill,
        Self::Stop,
        Self::Deploy,
        Self::Freeze,
        Self::ClockJump,
        Self::Refused,
        Self::Deaf,
        Self::Mute,
        Self::Held,
        Self::Sluggish,
        Self::NoStream,
        Self::Outage,
        Self::Theft,
        Self::Burial,
        Self::Reshard,
        Self::Storm,
        Self::StaleScan,
        Self::StaleList,
        Self::ExpiredIterator,
        Self::RowDeleted,
        Self::TableDeleted,
        Self::Day,
    ];

    /// Whether it changes so much that only few runs have it.
    #[must_use]
    pub const fn is_rare(self) -> bool {
        matches!(self, Self::RowDeleted | Self::TableDeleted | Self::Day)
    }

    /// Its name in histories and counts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Deploy => "deploy",
            Self::Freeze => "freeze",
            Self::ClockJump => "clock jump",
            Self::Refused => "table refuses",
            Self::Deaf => "table is deaf",
            Self::Mute => "table is mute",
            Self::Held => "table is held up",
            Self::Sluggish => "table is sluggish",
            Self::NoStream => "no stream",
            Self::Outage => "outage",
            Self::Theft => "theft",
            Self::Burial => "burial",
            Self::Reshard => "reshard",
            Self::Storm => "reshard storm",
            Self::StaleScan => "stale scan",
            Self::StaleList => "stale list",
            Self::ExpiredIterator => "expired iterator",
            Self::RowDeleted => "row deleted",
            Self::TableDeleted => "table deleted",
            Self::Day => "day",
        }
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
