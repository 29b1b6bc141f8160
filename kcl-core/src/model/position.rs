//! Where a read starts, and what is durable.

use std::cmp::Ordering;
use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;

use super::SequenceNumber;

/// Where an application starts on a shard that nobody of it has ever read.
///
/// It applies to the shards that are there when the application first starts. Shards that come
/// from a split or merge later are always read from their first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum InitialPosition {
    /// The oldest record that the stream still holds.
    #[default]
    TrimHorizon,
    /// Now. It is fixed to a point in time when the lease is created, so that a worker that dies
    /// before its first checkpoint loses nothing: by the worker's clock, or by that of the service, which
    /// tells it in whole seconds, if the worker's is ahead of it.
    Latest,
    /// The first record that arrived at this time or later.
    AtTimestamp(SystemTime),
}

/// Where a read starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// The oldest record that the shard still holds.
    TrimHorizon,
    /// After the newest record.
    Latest,
    /// The first record that arrived at this time or later.
    AtTimestamp(SystemTime),
    /// The record with this sequence number, or the first one after it.
    AtSequence(SequenceNumber),
    /// The first record after this sequence number.
    AfterSequence(SequenceNumber),
}

/// What is durable: everything up to and including it has been processed.
///
/// Checkpoints of one shard only ever grow: a starting point, then sequence numbers, then the end
/// of the shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// Nothing is processed yet; start at the oldest record.
    TrimHorizon,
    /// Nothing is processed yet; start after the newest record. Written by other libraries only:
    /// this one fixes it to a time.
    Latest,
    /// Nothing is processed yet; start at this time.
    AtTimestamp(SystemTime),
    /// Everything up to this record is processed.
    Sequence {
        /// The record.
        sequence: SequenceNumber,
        /// The user record inside an aggregated record, 0 where there is none.
        subsequence: u64,
    },
    /// The shard was closed and everything in it is processed. Final.
    ShardEnd,
}

impl Checkpoint {
    /// The checkpoint at a whole record.
    #[must_use]
    pub const fn at(sequence: SequenceNumber) -> Self {
        Self::Sequence {
            sequence,
            subsequence: 0,
        }
    }

    /// Whether the shard is finished.
    #[must_use]
    pub fn is_end(&self) -> bool {
        *self == Self::ShardEnd
    }

    /// Where reading goes on, or nothing if the shard is finished.
    ///
    /// A sequence number is read again rather than skipped: it may be an aggregated record of
    /// which only a part is processed. The gate behind the feed drops what is covered.
    #[must_use]
    pub fn resume(&self) -> Option<Position> {
        match self {
            Self::TrimHorizon => Some(Position::TrimHorizon),
            Self::Latest => Some(Position::Latest),
            Self::AtTimestamp(time) => Some(Position::AtTimestamp(*time)),
            Self::Sequence { sequence, .. } => Some(Position::AtSequence(sequence.clone())),
            Self::ShardEnd => None,
        }
    }

    /// Whether a record at this place is already processed.
    #[must_use]
    pub fn covers(&self, sequence: &SequenceNumber, subsequence: u64) -> bool {
        match self {
            Self::TrimHorizon | Self::Latest | Self::AtTimestamp(_) => false,
            Self::Sequence {
                sequence: done,
                subsequence: sub,
            } => (sequence, subsequence) <= (done, *sub),
            Self::ShardEnd => true,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::TrimHorizon | Self::Latest | Self::AtTimestamp(_) => 0,
            Self::Sequence { .. } => 1,
            Self::ShardEnd => 2,
        }
    }
}

/// Starting points are equal in progress (none), then come sequence numbers, then the end.
impl PartialOrd for Checkpoint {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (
                Self::Sequence {
                    sequence: a,
                    subsequence: x,
                },
                Self::Sequence {
                    sequence: b,
                    subsequence: y,
                },
            ) => Some((a, x).cmp(&(b, y))),
            _ if self == other => Some(Ordering::Equal),
            _ => match self.rank().cmp(&other.rank()) {
                Ordering::Equal => None,
                unequal @ (Ordering::Less | Ordering::Greater) => Some(unequal),
            },
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrimHorizon => f.write_str("TRIM_HORIZON"),
            Self::Latest => f.write_str("LATEST"),
            Self::AtTimestamp(_) => f.write_str("AT_TIMESTAMP"),
            Self::Sequence {
                sequence,
                subsequence: 0,
            } => sequence.fmt(f),
            Self::Sequence {
                sequence,
                subsequence,
            } => write!(f, "{sequence}/{subsequence}"),
            Self::ShardEnd => f.write_str("SHARD_END"),
        }
    }
}

/// A checkpoint that is announced and not made yet: the first of the two phases of a checkpoint.
///
/// It is stored beside the checkpoint, which stays where it is, and is gone when it or a later one
/// is made. Whoever reads the shard next is handed it, and can find out whether what it stands for
/// was done.
#[derive(Clone, PartialEq, Eq)]
pub struct PendingCheckpoint {
    /// What would be durable.
    pub checkpoint: Checkpoint,
    /// What the processor wants its successor to know, in its own format.
    pub state: Option<Bytes>,
}

impl PendingCheckpoint {
    /// The largest state, in bytes: 64 KiB. Every look at the lease table reads it.
    pub const STATE_BYTES_MAX: usize = 64 * 1024;
}

/// The state is left out: it may be anything, and does not belong in logs.
impl fmt::Debug for PendingCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingCheckpoint")
            .field("checkpoint", &self.checkpoint)
            .field("state_bytes", &self.state.as_ref().map(Bytes::len))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64, subsequence: u64) -> Checkpoint {
        Checkpoint::Sequence {
            sequence: SequenceNumber::new(number.to_string()).unwrap(),
            subsequence,
        }
    }

    #[test]
    fn checkpoints_grow_from_start_over_numbers_to_the_end() {
        let ladder = [
            Checkpoint::TrimHorizon,
            at(9, 0),
            at(9, 1),
            at(10, 0),
            Checkpoint::ShardEnd,
        ];
        for pair in ladder.windows(2) {
            assert!(pair[0] < pair[1], "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn two_starting_points_are_not_ordered() {
        assert_eq!(
            Checkpoint::TrimHorizon.partial_cmp(&Checkpoint::Latest),
            None
        );
    }

    #[test]
    fn a_checkpoint_covers_itself_and_what_is_before() {
        let number = |n: u64| SequenceNumber::new(n.to_string()).unwrap();
        let checkpoint = at(10, 2);
        assert!(checkpoint.covers(&number(9), 7));
        assert!(checkpoint.covers(&number(10), 2));
        assert!(!checkpoint.covers(&number(10), 3));
        assert!(!checkpoint.covers(&number(11), 0));
        assert!(!Checkpoint::TrimHorizon.covers(&number(0), 0));
        assert!(Checkpoint::ShardEnd.covers(&number(99), 0));
    }
}
