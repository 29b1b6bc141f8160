//! ListShards: filters and paging. A token carries the stream, the filter with its instant, and the
//! place, as clients drop all of these on the second page.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::engine::listing::Filter;
use crate::engine::shard;
use crate::engine::stream::Stream;
use crate::engine::token::{LIFE_MILLIS, ListingToken};
use crate::refusal::{Kind, Refusal};
use crate::wire::check::Checks;
use crate::wire::field::{Int, Shape, Text, Time, text};
use crate::wire::shape::ShardShape;

use super::address::Address;
use super::{Call, Reply};

/// Shards of one page, if the caller does not ask for fewer.
const PAGE: usize = 1000;

const TYPES: [&str; 6] = [
    "AFTER_SHARD_ID",
    "AT_TRIM_HORIZON",
    "FROM_TRIM_HORIZON",
    "AT_LATEST",
    "AT_TIMESTAMP",
    "FROM_TIMESTAMP",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    next_token: Option<Text<'a>>,
    #[serde(borrow)]
    exclusive_start_shard_id: Option<Text<'a>>,
    max_results: Option<Int>,
    stream_creation_timestamp: Option<Time>,
    #[serde(borrow)]
    shard_filter: Option<Shape<ShardFilter<'a>>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShardFilter<'a> {
    #[serde(borrow, rename = "Type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    shard_id: Option<Text<'a>>,
    timestamp: Option<Time>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    shards: Vec<ShardShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl Request<'_> {
    fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::default();
        Address::new(&self.stream_name, &self.stream_arn).check(&mut checks);
        if let Some(token) = text(&self.next_token) {
            checks.length(&"nextToken", token, (1, 1_048_576));
        }
        if let Some(start) = text(&self.exclusive_start_shard_id) {
            checks.name(&"exclusiveStartShardId", start);
        }
        if let Some(Int(max)) = self.max_results {
            checks.range(&"maxResults", max, (1, 10_000));
        }
        if let Some(Shape(filter)) = &self.shard_filter {
            if let Some(kind) = checks.required(&"shardFilter.type", text(&filter.kind)) {
                checks.one_of(&"shardFilter.type", kind, &TYPES);
            }
            if let Some(id) = text(&filter.shard_id) {
                checks.name(&"shardFilter.shardId", id);
            }
        }
        checks.stream_id(text(&self.stream_id));
        checks.finish()
    }

    /// A token stands for everything but the size of the page.
    fn check_alone(&self) -> Result<(), Refusal> {
        let others = [
            ("StreamARN", self.stream_arn.is_some()),
            ("StreamName", self.stream_name.is_some()),
            (
                "ExclusiveStartShardId",
                self.exclusive_start_shard_id.is_some(),
            ),
            (
                "StreamCreationTimestamp",
                self.stream_creation_timestamp.is_some(),
            ),
            ("ShardFilter", self.shard_filter.is_some()),
        ];
        match others.into_iter().find(|(_, is_given)| *is_given) {
            Some((name, _)) => Err(Refusal::invalid(format!(
                "NextToken and {name} cannot be provided together."
            ))),
            None => Ok(()),
        }
    }
}

impl ShardFilter<'_> {
    /// The filter and the shard it starts after, with instants before the horizon raised to it.
    fn resolve(&self, stream: &Stream, horizon: Moment) -> Result<(Filter, Option<u32>), Refusal> {
        let kind = text(&self.kind).unwrap_or_default();
        let takes_time = matches!(kind, "AT_TIMESTAMP" | "FROM_TIMESTAMP");
        let takes_shard = kind == "AFTER_SHARD_ID";
        for (name, is_given, is_taken) in [
            ("Timestamp", self.timestamp.is_some(), takes_time),
            ("ShardId", self.shard_id.is_some(), takes_shard),
        ] {
            if is_taken && !is_given {
                return Err(Refusal::invalid(format!(
                    "{name} must be provided for ShardFilter type {kind}."
                )));
            }
            if is_given && !is_taken {
                return Err(Refusal::invalid(format!(
                    "{name} cannot be provided for ShardFilter type {kind}."
                )));
            }
        }
        let time = self
            .timestamp
            .map_or(horizon, |Time(time)| time.max(horizon));
        Ok(match kind {
            "AT_LATEST" => (Filter::Latest, None),
            "AT_TRIM_HORIZON" => (Filter::At(horizon), None),
            "AT_TIMESTAMP" => (Filter::At(time), None),
            "FROM_TIMESTAMP" => (Filter::From(time), None),
            "AFTER_SHARD_ID" => (Filter::All, Some(parse_id(text(&self.shard_id), stream)?)),
            _ => (Filter::All, None),
        })
    }
}

fn parse_id(id: Option<&str>, stream: &Stream) -> Result<u32, Refusal> {
    let id = id.unwrap_or_default();
    shard::parse_id(id).ok_or_else(|| Refusal::shard_not_found(id, &stream.name, &stream.scope))
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    request.check()?;
    let (stream, filter, after) = match text(&request.next_token) {
        Some(token) => {
            request.check_alone()?;
            resume(call, token)?
        }
        None => start(call, &request)?,
    };
    let limit = request
        .max_results
        .map_or(PAGE, |Int(max)| usize::try_from(max).unwrap_or(PAGE));
    let state = stream.state(call.now);
    let view = call.view(&state);
    let mut shown = state
        .topology
        .listed(after)
        .filter(|shard| view.has(shard) && filter.shows(shard, view));
    let page: Vec<_> = shown.by_ref().take(limit.min(PAGE)).collect();
    let has_more = shown.next().is_some();
    let next_token = page.last().filter(|_| has_more).map(|last| {
        call.engine.mint.shards_page(&ListingToken {
            issued: call.now,
            incarnation: stream.incarnation,
            account: stream.scope.account.to_string(),
            stream: stream.name.to_string(),
            filter: filter.to_parts(),
            after: Some(last.index),
        })
    });
    let shards = page
        .into_iter()
        .map(|shard| ShardShape::new(shard, view))
        .collect();
    Ok(call.reply(&Listing { shards, next_token }))
}

type Start = (Arc<Stream>, Filter, Option<u32>);

fn start(call: &Call<'_>, request: &Request<'_>) -> Result<Start, Refusal> {
    let address = Address::new(&request.stream_name, &request.stream_arn);
    if address.is_empty() {
        return Err(Refusal::invalid(
            "Either NextToken or StreamName should be provided.",
        ));
    }
    let stream = address.stream(call)?;
    if let Some(Time(created)) = request.stream_creation_timestamp
        && created.seconds() != stream.created.seconds()
    {
        return Err(Refusal::stream_not_found(&stream.name, &stream.scope));
    }
    let horizon = stream.horizon(&stream.state(call.now), call.now);
    let (filter, mut after) = match &request.shard_filter {
        Some(Shape(filter)) => filter.resolve(&stream, horizon)?,
        None => (Filter::All, None),
    };
    if let Some(start) = text(&request.exclusive_start_shard_id) {
        after = after.max(Some(parse_id(Some(start), &stream)?));
    }
    Ok((stream, filter, after))
}

fn resume(call: &Call<'_>, token: &str) -> Result<Start, Refusal> {
    let invalid = || Refusal::invalid("Invalid NextToken.");
    let page = call
        .engine
        .mint
        .open_shards_page(token)
        .ok_or_else(invalid)?;
    if call.now.millis_since(page.issued) > LIFE_MILLIS {
        return Err(expired(page.issued, call.now));
    }
    let filter = Filter::from_parts(page.filter).ok_or_else(invalid)?;
    let stream = call.stream_of(&page.account, &page.stream)?;
    let stream = stream.filter(|stream| stream.incarnation == page.incarnation);
    let gone = || Refusal::stream_not_found(&page.stream, &call.realm.scope);
    Ok((stream.ok_or_else(gone)?, filter, page.after))
}

/// A paging token past its life.
pub(super) fn expired(issued: Moment, now: Moment) -> Refusal {
    let text = format!(
        "NextToken expired. The NextToken was created at time {issued} while right now it is {now} \
         which is further in the future than the tolerated delay of {LIFE_MILLIS} milliseconds."
    );
    Refusal::new(Kind::ExpiredNextToken, text)
}
