//! RegisterStreamConsumer.

use serde::{Deserialize, Serialize};

use crate::Scope;
use crate::engine::consumer::{CREATING_MAX, Denied};
use crate::engine::stream::{Mode, Status, Stream};
use crate::engine::tags::Tags;
use crate::refusal::{Kind, Refusal};
use crate::wire::check::Checks;
use crate::wire::field::{Map, Text, text};
use crate::wire::shape::ConsumerShape;

use super::address::Address;
use super::{Call, Reply, tags};

/// Consumers of one stream.
const CONSUMERS_MAX: usize = 20;
/// The same of a stream on demand whose account has made the commitment.
const CONSUMERS_MAX_ADVANTAGE: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    consumer_name: Option<Text<'a>>,
    #[serde(borrow)]
    tags: Option<Map<'a>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Registered<'a> {
    consumer: ConsumerShape<'a>,
}

impl Request<'_> {
    fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::default();
        if let Some(arn) = checks.required(&"streamARN", text(&self.stream_arn)) {
            checks.stream_arn(&"streamARN", arn);
        }
        if let Some(name) = checks.required(&"consumerName", text(&self.consumer_name)) {
            checks.name(&"consumerName", name);
        }
        if let Some(tags) = &self.tags {
            checks.tags(&"tags", tags);
        }
        checks.stream_id(text(&self.stream_id));
        checks.finish()
    }
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    request.check()?;
    let stream = Address::new(&None, &request.stream_arn).stream(call)?;
    // The stream stays as it is until the consumer is in.
    let state = stream.state(call.now);
    match &state.status {
        Status::Active | Status::Updating { .. } => {}
        status @ (Status::Creating { .. } | Status::Deleting { .. }) => {
            return Err(stream.not_active(status));
        }
    }
    let name = text(&request.consumer_name).unwrap_or_default();
    let begin = (call.now, call.engine.delays.register);
    let mut tags = Tags::default();
    let subject = format_args!("consumer {name} under {}", stream.told());
    tags.add(tags::owned(&request.tags), &subject)?;
    let max = consumers_max(call, &stream, state.mode);
    let registered = stream.consumers.register(begin, name, tags, max);
    let consumer = registered.map_err(|denied| refusal(denied, name, &stream))?;
    Ok(call.reply(&Registered {
        consumer: ConsumerShape::registered(&consumer, &stream),
    }))
}

fn consumers_max(call: &Call<'_>, stream: &Stream, mode: Mode) -> usize {
    let Scope { account, region } = &stream.scope;
    let owner = call.engine.known_realm(account, region);
    let is_committed = owner.is_some_and(|owner| owner.commitment(call.now).is_on(call.now));
    match mode {
        Mode::OnDemand if is_committed => CONSUMERS_MAX_ADVANTAGE,
        Mode::OnDemand | Mode::Provisioned => CONSUMERS_MAX,
    }
}

fn refusal(denied: Denied, name: &str, stream: &Stream) -> Refusal {
    let (stream, account) = (&stream.name, &stream.scope.account);
    match denied {
        Denied::Exists => Refusal::new(
            Kind::ResourceInUse,
            format!("Consumer {name} under stream {stream} already exists for account {account}."),
        ),
        Denied::TooMany(max) => Refusal::new(
            Kind::LimitExceeded,
            format!(
                "Stream {stream} under account {account} has reached the limit of {max} registered \
                 consumers."
            ),
        ),
        Denied::TooManyCreating => Refusal::new(
            Kind::LimitExceeded,
            format!(
                "Stream {stream} under account {account} already has {CREATING_MAX} consumers in \
                 CREATING status."
            ),
        ),
    }
}
