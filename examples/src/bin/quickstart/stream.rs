//! The stream of the demo: made, split and merged, each time until it is active again.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{Shard, StreamStatus};
use kcl_core::model::ShardId;
use tokio::time::{Instant, sleep};

use crate::input::Error;

pub(crate) const STREAM: &str = "quickstart";

/// How long a change of the stream may take.
const CHANGE_MAX: Duration = Duration::from_secs(20);

pub(crate) async fn create(client: &Client, shards: i32) -> Result<(), Error> {
    client
        .create_stream()
        .stream_name(STREAM)
        .shard_count(shards)
        .send()
        .await?;
    active(client).await
}

/// Splits a shard in the middle. Answers its children.
pub(crate) async fn split(client: &Client, shard: &ShardId) -> Result<Vec<ShardId>, Error> {
    let parent = open_shards(client)
        .await?
        .into_iter()
        .find(|open| open.shard_id == shard.name())
        .ok_or_else(|| format!("{shard} is not open"))?;
    let (start, end) = range(&parent)?;
    client
        .split_shard()
        .stream_name(STREAM)
        .shard_to_split(&parent.shard_id)
        .new_starting_hash_key((start + (end - start) / 2 + 1).to_string())
        .send()
        .await?;
    active(client).await?;
    children(client, &[shard]).await
}

/// Merges two neighbours. Answers their child.
pub(crate) async fn merge(
    client: &Client,
    lower: &ShardId,
    upper: &ShardId,
) -> Result<Vec<ShardId>, Error> {
    client
        .merge_shards()
        .stream_name(STREAM)
        .shard_to_merge(lower.name())
        .adjacent_shard_to_merge(upper.name())
        .send()
        .await?;
    active(client).await?;
    children(client, &[lower, upper]).await
}

/// The open shards in the order of their hash keys.
pub(crate) async fn open_in_order(client: &Client) -> Result<Vec<ShardId>, Error> {
    let mut shards = Vec::new();
    for shard in open_shards(client).await? {
        shards.push((range(&shard)?.0, ShardId::new(&shard.shard_id)));
    }
    shards.sort();
    Ok(shards.into_iter().map(|(_, shard)| shard).collect())
}

async fn active(client: &Client) -> Result<(), Error> {
    let deadline = Instant::now() + CHANGE_MAX;
    while Instant::now() < deadline {
        let answer = client
            .describe_stream_summary()
            .stream_name(STREAM)
            .send()
            .await?;
        let summary = answer
            .stream_description_summary
            .ok_or("the stream has no description")?;
        if summary.stream_status == StreamStatus::Active {
            return Ok(());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Err(format!("the stream is not active after {CHANGE_MAX:?}").into())
}

async fn shards(client: &Client) -> Result<Vec<Shard>, Error> {
    let answer = client.list_shards().stream_name(STREAM).send().await?;
    Ok(answer.shards.unwrap_or_default())
}

async fn open_shards(client: &Client) -> Result<Vec<Shard>, Error> {
    let is_open = |shard: &Shard| {
        let range = shard.sequence_number_range.as_ref();
        range.is_none_or(|range| range.ending_sequence_number.is_none())
    };
    Ok(shards(client).await?.into_iter().filter(is_open).collect())
}

async fn children(client: &Client, parents: &[&ShardId]) -> Result<Vec<ShardId>, Error> {
    let is_parent = |id: &Option<String>| {
        id.as_deref()
            .is_some_and(|id| parents.iter().any(|parent| parent.name() == id))
    };
    let found = shards(client).await?.into_iter();
    Ok(found
        .filter(|shard| is_parent(&shard.parent_shard_id))
        .map(|shard| ShardId::new(shard.shard_id))
        .collect())
}

fn range(shard: &Shard) -> Result<(u128, u128), Error> {
    let range = shard
        .hash_key_range
        .as_ref()
        .ok_or("a shard without hash keys")?;
    Ok((
        range.starting_hash_key.parse()?,
        range.ending_hash_key.parse()?,
    ))
}
