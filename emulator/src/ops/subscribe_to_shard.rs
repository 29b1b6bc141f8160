//! SubscribeToShard: opens a subscription. What it tells is [`crate::engine::subscription`]'s, and
//! how it waits [`crate::fan_out`]'s.

use std::sync::Arc;

use serde::Deserialize;

use crate::engine::consumer::{Consumer, Status};
use crate::engine::shard;
use crate::engine::stream::Stream;
use crate::engine::subscription::{Subscription, Terms};
use crate::fan_out::EventBody;
use crate::refusal::{Kind, Refusal};
use crate::wire::check::Checks;
use crate::wire::field::{Shape, Text, Time, text};

use super::consumer_address::ConsumerAddress;
use super::position::{Position, TYPES};
use super::{Call, Reply};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow, rename = "ConsumerARN")]
    consumer_arn: Option<Text<'a>>,
    #[serde(borrow)]
    shard_id: Option<Text<'a>>,
    #[serde(borrow)]
    starting_position: Option<Shape<StartingPosition<'a>>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartingPosition<'a> {
    #[serde(borrow, rename = "Type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    sequence_number: Option<Text<'a>>,
    timestamp: Option<Time>,
}

impl Request<'_> {
    fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::default();
        checks.required(&"consumerARN", text(&self.consumer_arn));
        ConsumerAddress::of_arn(&self.consumer_arn).check(&mut checks);
        if let Some(id) = checks.required(&"shardId", text(&self.shard_id)) {
            checks.name(&"shardId", id);
        }
        let position = self.starting_position.as_ref();
        if let Some(Shape(position)) = checks.required(&"startingPosition", position) {
            let path = "startingPosition.type";
            if let Some(kind) = checks.required(&path, text(&position.kind)) {
                checks.one_of(&path, kind, &TYPES);
            }
            if let Some(number) = text(&position.sequence_number) {
                checks.sequence(&"startingPosition.sequenceNumber", number);
            }
        }
        checks.stream_id(text(&self.stream_id));
        checks.finish()
    }

    fn position(&self) -> Position<'_> {
        let position = self
            .starting_position
            .as_ref()
            .map(|Shape(position)| position);
        Position {
            operation: "SubscribeToShard",
            kind: position
                .and_then(|position| text(&position.kind))
                .unwrap_or_default(),
            number: position.and_then(|position| text(&position.sequence_number)),
            time: position
                .and_then(|position| position.timestamp)
                .map(|Time(time)| time),
        }
    }
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    request.check()?;
    let (stream, consumer) = ConsumerAddress::of_arn(&request.consumer_arn).find(call)?;
    let opened = open(call, &request, &stream, &consumer);
    let ledger = &stream.metrics.ledger;
    ledger.subscribe(call.now, &consumer.name, opened.is_ok());
    opened
}

/// Answers a call whose consumer is found.
fn open(
    call: &Call<'_>,
    request: &Request<'_>,
    stream: &Arc<Stream>,
    consumer: &Arc<Consumer>,
) -> Result<Reply, Refusal> {
    let id = text(&request.shard_id).unwrap_or_default();
    let (name, scope) = (&stream.name, &stream.scope);
    let index = shard::parse_id(id).ok_or_else(|| Refusal::shard_not_found(id, name, scope))?;
    let state = stream.state(call.now);
    let shard = stream.shard_to_read(&state, index)?;
    match consumer.status(call.now) {
        Status::Active => {}
        Status::Creating | Status::Deleting => return Err(not_active(stream, consumer)),
    }
    let from = request.position().resolve(call.now, stream, shard)?;
    let terms = Terms {
        hold: call.engine.subscription_hold,
        is_paced: call.engine.limits.is_enforced(),
    };
    let subscription = Subscription::open((call.now, terms), stream, consumer, (shard, from));
    let subscription = subscription.inspect_err(|_| {
        let ledger = &stream.metrics.ledger;
        ledger.subscribe_exceeded(call.now, &consumer.name);
    })?;
    consumer.metrics.subscribe_success.add(1);
    let events = EventBody::new(call.clock.clone(), call.wire, subscription);
    let events = events.with_faults(call.faults.clone());
    Ok(Reply::Events(events))
}

fn not_active(stream: &Stream, consumer: &Consumer) -> Refusal {
    let (created, account) = (consumer.created.seconds(), &stream.scope.account);
    Refusal::new(
        Kind::ResourceInUse,
        format!(
            "Consumer {} with creation timestamp {created} under stream: {} , account {account} is \
             not in ACTIVE status.",
            consumer.name, stream.name
        ),
    )
}
