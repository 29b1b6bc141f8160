//! From what a source brought to what the processor gets. Pure.
//!
//! ```text
//! feed ──▶ [ Decoder: aggregates taken apart ] ──▶ [ machine: gate ──▶ processor ]
//! ```
//!
//! The decoder works for `run::intake` behind the feed, so that polling, fan-out and any other source need not know of
//! it; the gate for `decide::shard`, which knows what is covered.

#[cfg(feature = "kpl")]
mod aggregates;
pub(crate) mod gate;

use crate::event::Malformed;
use crate::model::{Batch, HashKeyRange, SequenceNumber};
use crate::settings::DecodeSettings;

/// What was found on the way, for whoever watches.
#[cfg_attr(
    not(feature = "kpl"),
    expect(dead_code, reason = "found in aggregates alone")
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// So many records, from this one on, look like aggregates and are not.
    Malformed {
        first: SequenceNumber,
        why: Malformed,
        records: usize,
    },
    /// So many user records, from this aggregate on, belong to another shard, and were left out.
    Misrouted {
        first: SequenceNumber,
        records: usize,
    },
}

/// Decodes the batches of one shard, one after the other.
#[derive(Debug)]
pub(crate) struct Decoder(Way);

#[derive(Debug)]
enum Way {
    AsIs(Option<Batch>),
    #[cfg(feature = "kpl")]
    Apart(aggregates::Aggregates),
}

impl Decoder {
    /// For a shard that takes in these hash keys.
    #[cfg_attr(
        not(feature = "kpl"),
        expect(unused_variables, reason = "there is but one way")
    )]
    pub(crate) const fn new(settings: &DecodeSettings, range: HashKeyRange) -> Self {
        #[cfg(feature = "kpl")]
        if settings.deaggregate {
            return Self(Way::Apart(aggregates::Aggregates::new(range)));
        }
        Self(Way::AsIs(None))
    }

    /// Takes what the feed brought. Nothing of what came before may be left.
    pub(crate) fn push(&mut self, batch: Batch) {
        match &mut self.0 {
            Way::AsIs(waiting) => *waiting = Some(batch),
            #[cfg(feature = "kpl")]
            Way::Apart(aggregates) => aggregates.push(batch),
        }
    }

    /// What comes of it next. It may have no records left.
    pub(crate) fn next(&mut self) -> Option<(Batch, Vec<Found>)> {
        match &mut self.0 {
            Way::AsIs(waiting) => waiting.take().map(|batch| (batch, Vec::new())),
            #[cfg(feature = "kpl")]
            Way::Apart(aggregates) => aggregates.next(),
        }
    }
}

#[cfg(feature = "kpl")]
#[cfg(test)]
mod tests;
