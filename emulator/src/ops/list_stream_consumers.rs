//! ListStreamConsumers: by name, in pages.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::stream::Stream;
use crate::engine::token::{ConsumersToken, LIFE_MILLIS};
use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Int, Text, Time, text};
use crate::wire::shape::ConsumerShape;

use super::address::Address;
use super::list_shards::expired;
use super::{Call, Reply};

/// Consumers of one page, whatever the caller asks for.
const PAGE: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    next_token: Option<Text<'a>>,
    max_results: Option<Int>,
    stream_creation_timestamp: Option<Time>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listing<'a> {
    consumers: Vec<ConsumerShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl Request<'_> {
    fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::default();
        if let Some(arn) = checks.required(&"streamARN", text(&self.stream_arn)) {
            checks.stream_arn(&"streamARN", arn);
        }
        if let Some(token) = text(&self.next_token) {
            checks.length(&"nextToken", token, (1, 1_048_576));
        }
        if let Some(Int(max)) = self.max_results {
            checks.range(&"maxResults", max, (1, 10_000));
        }
        checks.stream_id(text(&self.stream_id));
        checks.finish()
    }

    /// The name after which the page starts.
    fn start(&self, call: &Call<'_>, stream: &Stream) -> Result<Option<String>, Refusal> {
        let Some(token) = text(&self.next_token) else {
            return match self.stream_creation_timestamp {
                Some(Time(created)) if created.seconds() != stream.created.seconds() => {
                    Err(Refusal::stream_not_found(&stream.name, &stream.scope))
                }
                Some(_) | None => Ok(None),
            };
        };
        if self.stream_creation_timestamp.is_some() {
            return Err(Refusal::invalid(
                "NextToken and StreamCreationTimestamp cannot be provided together.",
            ));
        }
        let page = call.engine.mint.open_consumers_page(token);
        let page = page.ok_or_else(|| Refusal::invalid("Invalid NextToken."))?;
        if call.now.millis_since(page.issued) > LIFE_MILLIS {
            return Err(expired(page.issued, call.now));
        }
        if *page.stream != *stream.name {
            return Err(Refusal::invalid(
                "StreamARN and NextToken do not name the same stream.",
            ));
        }
        if page.incarnation != stream.incarnation {
            return Err(Refusal::stream_not_found(&stream.name, &stream.scope));
        }
        Ok(Some(page.after))
    }
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    request.check()?;
    let stream: Arc<Stream> = Address::new(&None, &request.stream_arn).stream(call)?;
    let after = request.start(call, &stream)?;
    let limit = request
        .max_results
        .map_or(PAGE, |Int(max)| usize::try_from(max).unwrap_or(PAGE));
    let (page, has_more) = stream
        .consumers
        .list(call.now, after.as_deref(), limit.min(PAGE));
    let next_token = page.last().filter(|_| has_more).map(|last| {
        call.engine.mint.consumers_page(&ConsumersToken {
            issued: call.now,
            incarnation: stream.incarnation,
            stream: stream.name.to_string(),
            after: last.name.to_string(),
        })
    });
    let consumers = page
        .iter()
        .map(|consumer| ConsumerShape::new(consumer, &stream, call.now))
        .collect();
    Ok(call.reply(&Listing {
        consumers,
        next_token,
    }))
}
