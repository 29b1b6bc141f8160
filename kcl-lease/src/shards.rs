//! Which shards the stream has, as the service lists them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::primitives::{DateTime, DateTimeFormat};
use aws_sdk_kinesis::types::{ShardFilter, ShardFilterType, ShardIteratorType};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use kcl_core::aws::{Call, classify};
use kcl_core::error::{Error, ErrorKind};
use kcl_core::model::{HashKeyRange, Shard, ShardId, StreamName};

/// The shards of a stream.
#[async_trait]
pub trait ShardList: Send + Sync + std::fmt::Debug + 'static {
    /// All shards that still exist, open and closed; with a time, only those that were open at that
    /// time or later. All or an error: a list of which a page failed says nothing about what is
    /// not in it.
    async fn list(
        &self,
        stream: &StreamName,
        open_since: Option<SystemTime>,
    ) -> Result<Vec<Shard>, Error>;

    /// The time, or if the clock of the service has not reached it, what that clock shows, or less. A start at `LATEST`
    /// is fixed to it: a worker's clock that is ahead would skip what is written before the service's gets there.
    /// Asked about a shard of the stream.
    ///
    /// Without an implementation it is the time as given, right where the clocks are the same.
    async fn reached(
        &self,
        _stream: &StreamName,
        _shard: &ShardId,
        time: SystemTime,
    ) -> Result<SystemTime, Error> {
        Ok(time)
    }
}

/// `ListShards` of Kinesis.
#[derive(Clone, Debug)]
pub struct KinesisShards {
    client: Client,
}

/// How often a list is begun anew because its page token expired.
const RESTARTS_MAX: u32 = 3;
/// A stream has at most some ten thousand shards; a list that does not end is not a list.
const PAGES_MAX: u32 = 10_000;

/// How one attempt at a list ended.
enum Listing {
    Complete(Vec<Shard>),
    TokenExpired,
}

impl KinesisShards {
    /// Lists with this client.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    async fn pages(
        &self,
        stream: &StreamName,
        open_since: Option<SystemTime>,
    ) -> Result<Listing, Error> {
        let filter = match open_since {
            None => None,
            Some(time) => Some(since_filter(time)?),
        };
        let resource = format!("stream {stream}");
        let mut shards = BTreeMap::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let request = match token.take() {
                // A token already says which stream and which filter.
                Some(token) => self.client.list_shards().next_token(token),
                None => self
                    .client
                    .list_shards()
                    .stream_name(stream.as_str())
                    .set_shard_filter(filter.clone()),
            };
            let page = match request.send().await {
                Ok(page) => page,
                Err(failure) if failure.code() == Some("ExpiredNextTokenException") => {
                    return Ok(Listing::TokenExpired);
                }
                Err(failure) => {
                    let call = Call {
                        service: "kinesis",
                        operation: "ListShards",
                        resource: &resource,
                    };
                    return Err(classify(call, failure));
                }
            };
            for shard in page.shards() {
                let shard = read(stream, shard)?;
                shards.insert(shard.id.clone(), shard);
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(Listing::Complete(shards.into_values().collect()));
            }
        }
        Err(Error::new(
            ErrorKind::Data,
            format!("the list of shards of {resource} does not end"),
        ))
    }
}

#[async_trait]
impl ShardList for KinesisShards {
    async fn list(
        &self,
        stream: &StreamName,
        open_since: Option<SystemTime>,
    ) -> Result<Vec<Shard>, Error> {
        for _ in 0..=RESTARTS_MAX {
            if let Listing::Complete(shards) = self.pages(stream, open_since).await? {
                return Ok(shards);
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "the list of shards of the stream {:?} takes too long",
                stream.as_str()
            ),
        ))
    }

    /// By `GetShardIterator`, which refuses a time that is yet to come; the refusal says what time it is there.
    async fn reached(
        &self,
        stream: &StreamName,
        shard: &ShardId,
        time: SystemTime,
    ) -> Result<SystemTime, Error> {
        let request = self.client.get_shard_iterator();
        let request = request
            .stream_name(stream.as_str())
            .shard_id(shard.name())
            .shard_iterator_type(ShardIteratorType::AtTimestamp)
            .timestamp(DateTime::from(time));
        let Err(failure) = request.send().await else {
            return Ok(time);
        };
        let now = failure.raw_response().and_then(date);
        let resource = format!("stream {stream} (shard {})", shard.name());
        let call = Call {
            service: "kinesis",
            operation: "GetShardIterator",
            resource: &resource,
        };
        let error = classify(call, failure);
        match (error.kind(), now) {
            (ErrorKind::Invalid, Some(now)) if now < time => {
                tracing::warn!(
                    ahead = ?time.duration_since(now).unwrap_or_default(),
                    "the clock of this machine is ahead of the service's; LATEST is by the service's"
                );
                Ok(now)
            }
            // Who reads by fan-out alone may lack the permission.
            (ErrorKind::Denied, _) => {
                tracing::warn!(error = %error.chain(), "LATEST is by the clock of this machine");
                Ok(time)
            }
            // An old list had the shard; the next one is newer.
            (ErrorKind::NotFound, _) => Err(Error::new(
                ErrorKind::Unavailable,
                format!("the time to start at cannot be compared with the clock of {resource}"),
            )
            .with_source(error)),
            (ErrorKind::Invalid, _) => Err(Error::new(
                ErrorKind::Invalid,
                format!("the clock of {resource} has not reached the time of this machine, and does not say what it shows"),
            )
            .with_hint("set the clock of this machine, or start at a time of your choice instead of LATEST")
            .with_source(error)),
            (_, _) => Err(error),
        }
    }
}

/// When an answer was sent, in whole seconds.
fn date(response: &HttpResponse) -> Option<SystemTime> {
    let date = DateTime::from_str(response.headers().get("date")?, DateTimeFormat::HttpDate);
    SystemTime::try_from(date.ok()?).ok()
}

fn since_filter(time: SystemTime) -> Result<ShardFilter, Error> {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    ShardFilter::builder()
        .r#type(ShardFilterType::FromTimestamp)
        .timestamp(DateTime::from_millis(millis))
        .build()
        .map_err(|cause| {
            Error::new(ErrorKind::Internal, "a request lacks a part").with_source(cause)
        })
}

fn read(stream: &StreamName, shard: &aws_sdk_kinesis::types::Shard) -> Result<Shard, Error> {
    let bad = |what: &str| {
        let id = shard.shard_id();
        Error::new(
            ErrorKind::Data,
            format!("shard {id:?} of stream {stream} has no valid {what}"),
        )
    };
    let id = shard.shard_id();
    if id.is_empty() || id.contains('/') {
        return Err(bad("name"));
    }
    let range = shard
        .hash_key_range()
        .ok_or_else(|| bad("hash key range"))?;
    let range = HashKeyRange::parse(range.starting_hash_key(), range.ending_hash_key())
        .map_err(|cause| bad("hash key range").with_source(cause))?;
    let numbers = shard
        .sequence_number_range()
        .ok_or_else(|| bad("sequence number range"))?;
    let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
    Ok(Shard {
        id: ShardId::new(id),
        parents: parents.into_iter().flatten().map(ShardId::new).collect(),
        range,
        open: numbers.ending_sequence_number().is_none(),
    })
}
