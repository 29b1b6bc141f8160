//! GetShardIterator. The position is resolved when the iterator is issued, see [`super::position`].

use serde::{Deserialize, Serialize};

use crate::engine::shard;
use crate::engine::token::Cursor;
use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Text, Time, text};

use super::address::Address;
use super::position::{Position, TYPES};
use super::{Call, Reply};

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
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
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
        checks.stream_id(text(&self.stream_id));
        checks.finish()
    }

    fn position(&self) -> Position<'_> {
        Position {
            operation: "GetShardIterator",
            kind: text(&self.shard_iterator_type).unwrap_or_default(),
            number: text(&self.starting_sequence_number),
            time: self.timestamp.map(|Time(time)| time),
        }
    }
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    request.check()?;
    let target = Address::new(&request.stream_name, &request.stream_arn).target(call)?;
    let (name, scope) = (target.name, target.scope(call));
    let id = text(&request.shard_id).unwrap_or_default();
    let index = shard::parse_id(id).ok_or_else(|| Refusal::shard_not_found(id, name, scope))?;
    let stream = target.stream.as_ref();
    let stream =
        stream.ok_or_else(|| Refusal::shard_does_not_exist(&shard::id(index), name, scope))?;
    let state = stream.state(call.now);
    let shard = stream.shard_to_read(&state, index)?;
    let from = request.position().resolve(call.now, stream, shard)?;
    let shard_iterator = call.engine.mint.iterator(&Cursor {
        issued: call.now,
        incarnation: stream.incarnation,
        account: stream.scope.account.to_string(),
        stream: stream.name.to_string(),
        shard: index,
        from,
    });
    Ok(call.reply(&Issued { shard_iterator }))
}
