//! GetShardIterator. Every position becomes a counter when the iterator is issued, so that it never
//! shifts: LATEST means the tip of now, a time the first record at or after it.

use serde::{Deserialize, Serialize};

use crate::engine::sequence::Sequence;
use crate::engine::shard::{self, Shard};
use crate::engine::stream::Stream;
use crate::engine::token::Cursor;
use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Text, Time, text};

use super::address::Address;
use super::{Call, Reply};

const TYPES: [&str; 5] = [
    "AT_SEQUENCE_NUMBER",
    "AFTER_SEQUENCE_NUMBER",
    "TRIM_HORIZON",
    "LATEST",
    "AT_TIMESTAMP",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    shard_id: Option<Text<'a>>,
    #[serde(borrow)]
    shard_iterator_type: Option<Text<'a>>,
    #[serde(borrow)]
    starting_sequence_number: Option<Text<'a>>,
    timestamp: Option<Time>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Issued {
    shard_iterator: String,
}

impl Request<'_> {
    fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::default();
        if let Some(id) = checks.required(&"shardId", text(&self.shard_id)) {
            checks.name(&"shardId", id);
        }
        let kind = text(&self.shard_iterator_type);
        if let Some(kind) = checks.required(&"shardIteratorType", kind) {
            checks.one_of(&"shardIteratorType", kind, &TYPES);
        }
        if let Some(number) = text(&self.starting_sequence_number) {
            checks.sequence(&"startingSequenceNumber", number);
        }
        Address::new(&self.stream_name, &self.stream_arn).check(&mut checks);
        checks.finish()
    }

    /// The counter at which reading starts.
    fn start(&self, call: &Call<'_>, stream: &Stream, shard: &Shard) -> Result<u64, Refusal> {
        let kind = text(&self.shard_iterator_type).unwrap_or_default();
        let takes_number = matches!(kind, "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER");
        match (text(&self.starting_sequence_number), takes_number) {
            (Some(number), true) => {
                let number = check_number(number, stream, shard)?;
                return Ok(shard.seek(number, kind == "AFTER_SEQUENCE_NUMBER"));
            }
            (None, true) => return Err(number_mismatch(kind, "no StartingSequenceNumber")),
            (Some(_), false) if kind != "AT_TIMESTAMP" => {
                return Err(number_mismatch(kind, "also a StartingSequenceNumber"));
            }
            (Some(_) | None, false) => {}
        }
        match (kind, self.timestamp) {
            ("TRIM_HORIZON", _) => Ok(0),
            ("AT_TIMESTAMP", Some(Time(time))) if time > call.now => {
                Err(Refusal::invalid(format!(
                    "The timestampInMillis parameter cannot be greater than the \
                 currentTimestampInMillis. timestampInMillis: {}, currentTimestampInMillis: {}",
                    time.millis(),
                    call.now.millis()
                )))
            }
            ("AT_TIMESTAMP", Some(Time(time))) => Ok(shard.log.lock().seek_time(time)),
            ("AT_TIMESTAMP", None) => Err(Refusal::invalid(
                "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. \
                 Current request has no timestamp parameter.",
            )),
            _ => Ok(shard.log.lock().next()),
        }
    }
}

fn number_mismatch(kind: &str, what: &str) -> Refusal {
    let and = if what.starts_with("also") {
        "and also a"
    } else {
        "and no"
    };
    Refusal::invalid(format!(
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and \
         StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. \
         Request specified {kind} {and} StartingSequenceNumber."
    ))
}

/// The number, if it is one of this shard.
fn check_number(number: &str, stream: &Stream, shard: &Shard) -> Result<Sequence, Refusal> {
    let used = |why: &str| {
        let (id, name, account) = (shard.id(), &stream.name, &stream.scope.account);
        Refusal::invalid(format!(
            "StartingSequenceNumber {number} used in GetShardIterator on shard {id} in stream \
             {name} under account {account} is invalid{why}."
        ))
    };
    let sequence = Sequence::parse(number).ok_or_else(|| used(""))?;
    if sequence.shard != shard.index {
        let (other, id) = (shard::id(sequence.shard), shard.id());
        return Err(Refusal::invalid(format!(
            "Invalid StartingSequenceNumber. It encodes {other}, while it was used in a call to a \
             shard with {id}"
        )));
    }
    if sequence.created != shard.created {
        return Err(used(" because it did not come from this stream"));
    }
    Ok(sequence)
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    request.check()?;
    let name = Address::new(&request.stream_name, &request.stream_arn).name()?;
    let id = text(&request.shard_id).unwrap_or_default();
    let scope = &call.realm.scope;
    let index = shard::parse_id(id).ok_or_else(|| Refusal::shard_not_found(id, name, scope))?;
    let stream = call
        .realm
        .find(call.now, name)
        .ok_or_else(|| Refusal::shard_does_not_exist(&shard::id(index), name, scope))?;
    let state = stream.state(call.now);
    let shard = stream.shard_to_read(&state, index)?;
    let from = request.start(call, &stream, shard)?;
    let shard_iterator = call.engine.mint.iterator(&Cursor {
        issued: call.now,
        incarnation: stream.incarnation,
        stream: stream.name.to_string(),
        shard: index,
        from,
    });
    Ok(call.reply(&Issued { shard_iterator }))
}
