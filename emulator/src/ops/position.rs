//! Where reading starts, as GetShardIterator and SubscribeToShard are told. Every position becomes a
//! counter at once, so that it never shifts: LATEST means the tip of now, a time the first record at
//! or after it.

use crate::clock::Moment;
use crate::engine::sequence::Sequence;
use crate::engine::shard::{self, Shard};
use crate::engine::stream::Stream;
use crate::refusal::Refusal;

/// The types of positions.
pub(super) const TYPES: [&str; 5] = [
    "AT_SEQUENCE_NUMBER",
    "AFTER_SEQUENCE_NUMBER",
    "TRIM_HORIZON",
    "LATEST",
    "AT_TIMESTAMP",
];

/// A position as it was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position<'a> {
    /// Which operation asks, for its messages.
    pub(super) operation: &'static str,
    /// One of [`TYPES`].
    pub(super) kind: &'a str,
    pub(super) number: Option<&'a str>,
    pub(super) time: Option<Moment>,
}

impl Position<'_> {
    /// The counter at which reading starts.
    pub(super) fn resolve(
        &self,
        now: Moment,
        stream: &Stream,
        shard: &Shard,
    ) -> Result<u64, Refusal> {
        let kind = self.kind;
        let takes_number = matches!(kind, "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER");
        match (self.number, takes_number) {
            (Some(number), true) => {
                let number = self.check_number(number, stream, shard)?;
                return Ok(shard.seek(number, kind == "AFTER_SEQUENCE_NUMBER"));
            }
            (None, true) => return Err(number_mismatch(kind, "no")),
            (Some(_), false) if kind != "AT_TIMESTAMP" => {
                return Err(number_mismatch(kind, "also a"));
            }
            (Some(_) | None, false) => {}
        }
        match (kind, self.time) {
            ("TRIM_HORIZON", _) => Ok(0),
            ("AT_TIMESTAMP", Some(time)) if time > now => Err(Refusal::invalid(format!(
                "The timestampInMillis parameter cannot be greater than the \
                 currentTimestampInMillis. timestampInMillis: {}, currentTimestampInMillis: {}",
                time.millis(),
                now.millis()
            ))),
            ("AT_TIMESTAMP", Some(time)) => Ok(shard.log.lock().seek_time(time)),
            ("AT_TIMESTAMP", None) => Err(Refusal::invalid(
                "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. \
                 Current request has no timestamp parameter.",
            )),
            _ => Ok(shard.log.lock().next()),
        }
    }

    /// The number, if it is one of this shard.
    fn check_number(
        &self,
        number: &str,
        stream: &Stream,
        shard: &Shard,
    ) -> Result<Sequence, Refusal> {
        let used = |why: &str| {
            let (id, name, account) = (shard.id(), &stream.name, &stream.scope.account);
            let operation = self.operation;
            Refusal::invalid(format!(
                "StartingSequenceNumber {number} used in {operation} on shard {id} in stream {name} \
                 under account {account} is invalid{why}."
            ))
        };
        let sequence = Sequence::parse(number).ok_or_else(|| used(""))?;
        if sequence.shard != shard.index {
            let (other, id) = (shard::id(sequence.shard), shard.id());
            return Err(Refusal::invalid(format!(
                "Invalid StartingSequenceNumber. It encodes {other}, while it was used in a call to \
                 a shard with {id}"
            )));
        }
        if sequence.created != shard.created {
            return Err(used(" because it did not come from this stream"));
        }
        Ok(sequence)
    }
}

fn number_mismatch(kind: &str, what: &str) -> Refusal {
    Refusal::invalid(format!(
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and \
         StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. \
         Request specified {kind} and {what} StartingSequenceNumber."
    ))
}
