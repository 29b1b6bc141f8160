//! What a request is about, read without its operation: for the limits and the faults, which look at
//! a call before its operation does. Only read while one of the two is on.

use std::sync::Arc;

use serde::Deserialize;

use crate::Scope;
use crate::engine::stream::Stream;
use crate::engine::{hash, shard};
use crate::wire::arn::Arn;
use crate::wire::field::{Text, text};

use super::{Call, Operation};

/// The members of all requests that name something.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Members<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow, rename = "ConsumerARN")]
    consumer_arn: Option<Text<'a>>,
    #[serde(borrow, rename = "ResourceARN")]
    resource_arn: Option<Text<'a>>,
    #[serde(borrow)]
    consumer_name: Option<Text<'a>>,
    #[serde(borrow)]
    shard_id: Option<Text<'a>>,
    #[serde(borrow)]
    shard_to_split: Option<Text<'a>>,
    #[serde(borrow)]
    shard_to_merge: Option<Text<'a>>,
    #[serde(borrow)]
    shard_iterator: Option<Text<'a>>,
    #[serde(borrow)]
    next_token: Option<Text<'a>>,
    #[serde(borrow)]
    partition_key: Option<Text<'a>>,
    #[serde(borrow)]
    explicit_hash_key: Option<Text<'a>>,
}

/// What a request is about, as far as it says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    pub(crate) stream_name: Option<String>,
    /// Empty if there is none of that name.
    pub(crate) stream: Option<Arc<Stream>>,
    pub(crate) shard: Option<u32>,
    pub(crate) consumer: Option<String>,
}

impl Target {
    /// Of a request that cannot be read nothing is known: its operation will say what is wrong.
    pub(crate) fn of(call: &Call<'_>) -> Self {
        let Ok(members) = call.wire.read::<Members<'_>>(&call.body) else {
            return Self::default();
        };
        let mint = &call.engine.mint;
        let cursor = text(&members.shard_iterator).and_then(|token| mint.open_iterator(token));
        let arns = [
            &members.stream_arn,
            &members.consumer_arn,
            &members.resource_arn,
        ];
        let owned = |account: &str, stream: &str| (account.to_owned(), stream.to_owned());
        let own = |stream: &str| owned(&call.realm.scope.account, stream);
        let arn = arns.into_iter().find_map(|arn| Arn::parse(text(arn)?));
        let named = arn
            .map(|arn| owned(arn.account, arn.stream))
            .or_else(|| text(&members.stream_name).map(own))
            .or_else(|| {
                cursor
                    .as_ref()
                    .map(|cursor| owned(&cursor.account, &cursor.stream))
            })
            .or_else(|| page(call, text(&members.next_token)?));
        let stream = named.as_ref().and_then(|(account, name)| {
            let region = &call.realm.scope.region;
            call.engine
                .known_realm(account, region)?
                .find(call.now, name)
        });
        let consumer = text(&members.consumer_arn).or(text(&members.consumer_name));
        let ids = [
            &members.shard_id,
            &members.shard_to_split,
            &members.shard_to_merge,
        ];
        let mut shard = cursor.map(|cursor| cursor.shard);
        for id in ids {
            shard = shard.or_else(|| shard::parse_id(text(id)?));
        }
        let shard = shard.or_else(|| routed(call, &members, stream.as_deref()?));
        Self {
            consumer: consumer.map(str::to_owned),
            stream_name: named.map(|(_, name)| name),
            stream,
            shard,
        }
    }
}

impl Target {
    /// In whose name the texts speak.
    pub(crate) fn scope<'a>(&'a self, call: &'a Call<'_>) -> &'a Scope {
        let own = &call.realm.scope;
        self.stream.as_ref().map_or(own, |stream| &stream.scope)
    }

    /// The consumer's name, also where the request has its ARN.
    pub(crate) fn consumer_name(&self) -> Option<&str> {
        let consumer = self.consumer.as_deref()?;
        let Some((_, name)) = consumer.rsplit_once("/consumer/") else {
            return Some(consumer);
        };
        name.split(':').next()
    }
}

/// The account and the stream of a paging token.
fn page(call: &Call<'_>, token: &str) -> Option<(String, String)> {
    let is_listing = call.operation == Operation::ListShards;
    let page = is_listing.then(|| call.engine.mint.open_shards_page(token))??;
    Some((page.account, page.stream))
}

/// The shard that a single record falls into.
fn routed(call: &Call<'_>, members: &Members<'_>, stream: &Stream) -> Option<u32> {
    if call.operation != Operation::PutRecord {
        return None;
    }
    let hash = match text(&members.explicit_hash_key) {
        Some(key) => key.parse().ok()?,
        None => hash::of_key(text(&members.partition_key)?),
    };
    let state = stream.state(call.now);
    Some(state.topology.route(hash)?.index)
}
