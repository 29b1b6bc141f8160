//! ListStreams.

use serde::{Deserialize, Serialize};

use crate::engine::token::LIFE_MILLIS;
use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Int, Text, text};
use crate::wire::shape::{StreamModeDetails, Timestamp};

use super::{Call, Reply, list_shards};

/// Streams of one page, if the caller does not ask for fewer.
const PAGE: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    limit: Option<Int>,
    #[serde(borrow)]
    exclusive_start_stream_name: Option<Text<'a>>,
    #[serde(borrow)]
    next_token: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listing<'a> {
    stream_names: Vec<&'a str>,
    stream_summaries: Vec<Summary<'a>>,
    has_more_streams: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary<'a> {
    stream_name: &'a str,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: StreamModeDetails,
    stream_creation_timestamp: Timestamp,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let mut checks = Checks::default();
    if let Some(Int(limit)) = request.limit {
        checks.range(&"limit", limit, (1, 10_000));
    }
    if let Some(start) = text(&request.exclusive_start_stream_name) {
        checks.name(&"exclusiveStartStreamName", start);
    }
    if let Some(token) = text(&request.next_token) {
        checks.length(&"nextToken", token, (1, 1_048_576));
    }
    checks.finish()?;
    let after = after(call, &request)?;
    let limit = request
        .limit
        .map_or(PAGE, |Int(limit)| usize::try_from(limit).unwrap_or(PAGE));
    let (streams, has_more) = call.realm.list(call.now, after.as_deref(), limit.min(PAGE));
    let last = streams.last().filter(|_| has_more);
    Ok(call.reply(&Listing {
        stream_names: streams.iter().map(|stream| stream.name.as_ref()).collect(),
        stream_summaries: streams
            .iter()
            .map(|stream| {
                let state = stream.state(call.now);
                Summary {
                    stream_name: &stream.name,
                    stream_arn: stream.arn(),
                    stream_status: state.status.name(),
                    stream_mode_details: state.mode.into(),
                    stream_creation_timestamp: Timestamp::whole_seconds(stream.created),
                }
            })
            .collect(),
        has_more_streams: has_more,
        next_token: last.map(|stream| call.engine.mint.streams_page(call.now, &stream.name)),
    }))
}

/// The name after which the page starts.
fn after(call: &Call<'_>, request: &Request<'_>) -> Result<Option<String>, Refusal> {
    let Some(token) = text(&request.next_token) else {
        return Ok(text(&request.exclusive_start_stream_name).map(str::to_owned));
    };
    let Some((issued, after)) = call.engine.mint.open_streams_page(token) else {
        return Err(Refusal::invalid("Invalid NextToken."));
    };
    if call.now.millis_since(issued) > LIFE_MILLIS {
        return Err(list_shards::expired(issued, call.now));
    }
    Ok(Some(after))
}
