//! The two calls of polling, and what their answers mean. Nothing here waits or retries.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::get_records::{GetRecordsError, GetRecordsOutput};
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::ShardIteratorType;

use crate::aws::{Call, child, classify, code, is_throttling, record};
use crate::error::{Error, ErrorKind};
use crate::model::{Batch, Position, Record, SequenceNumber, ShardId, StreamName};

/// A page, and the iterator of the next one; none where the shard ends.
pub(super) struct Page {
    pub(super) batch: Batch,
    pub(super) next: Option<String>,
}

/// Why there is no page or no iterator.
#[derive(Debug)]
pub(super) enum Refused {
    /// The iterator is of no use any more; a new one is needed.
    Iterator(Error),
    /// Too fast. The iterator stays good.
    Throttled(Error),
    /// It may work later.
    Later(Error),
    /// It never will.
    Never(Error),
}

/// What is read.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) stream: StreamName,
    pub(super) shard: ShardId,
    resource: String,
}

impl Target {
    pub(super) fn new(stream: StreamName, shard: ShardId) -> Self {
        let resource = format!("stream {stream} (shard {})", shard.name());
        Self {
            stream,
            shard,
            resource,
        }
    }

    fn call<'a>(&'a self, operation: &'a str) -> Call<'a> {
        Call {
            service: "kinesis",
            operation,
            resource: &self.resource,
        }
    }

    fn malformed(&self, what: &str) -> Refused {
        let message = format!(
            "the answer to {} makes no sense: {what}",
            self.call("GetRecords")
        );
        Refused::Iterator(Error::new(ErrorKind::Data, message))
    }
}

/// Asks for an iterator.
pub(super) async fn iterator(
    client: &Client,
    target: &Target,
    position: &Position,
) -> Result<String, Refused> {
    let request = client
        .get_shard_iterator()
        .stream_name(target.stream.as_str())
        .shard_id(target.shard.name());
    let request = match position {
        Position::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
        Position::Latest => request.shard_iterator_type(ShardIteratorType::Latest),
        Position::AtTimestamp(time) => request
            .shard_iterator_type(ShardIteratorType::AtTimestamp)
            .timestamp(DateTime::from(*time)),
        Position::AtSequence(number) => request
            .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
            .starting_sequence_number(number.as_str()),
        Position::AfterSequence(number) => request
            .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
            .starting_sequence_number(number.as_str()),
    };
    match request.send().await {
        Ok(answer) => answer
            .shard_iterator
            .ok_or_else(|| target.malformed("it has no iterator")),
        Err(error) => Err(refused(target.call("GetShardIterator"), error)),
    }
}

/// Asks for a page.
pub(super) async fn page(
    client: &Client,
    target: &Target,
    iterator: &str,
    limit: i32,
    after: Option<&SequenceNumber>,
) -> Result<Page, Refused> {
    match client
        .get_records()
        .shard_iterator(iterator)
        .limit(limit)
        .send()
        .await
    {
        Ok(answer) => read(answer, after).map_err(|what| target.malformed(&what)),
        Err(error) if is_about_the_iterator(&error) => Err(Refused::Iterator(classify(
            target.call("GetRecords"),
            error,
        ))),
        Err(error) => Err(refused(target.call("GetRecords"), error)),
    }
}

/// What is there at a place or behind it.
pub(super) enum First {
    Record(Record),
    /// Nothing, to the end of the shard.
    End,
    /// The service does not say: it may answer with empty pages, however much lies behind them.
    Unsaid,
}

/// The first record that is there at this place or behind it.
pub(super) async fn first_at(
    client: &Client,
    target: &Target,
    number: &SequenceNumber,
) -> Result<First, Refused> {
    let position = Position::AtSequence(number.clone());
    let iterator = iterator(client, target, &position).await?;
    let Batch {
        records, children, ..
    } = page(client, target, &iterator, 1, None).await?.batch;
    Ok(match (records.into_iter().next(), children) {
        (Some(record), _) => First::Record(record),
        (None, Some(_)) => First::End,
        (None, None) => First::Unsaid,
    })
}

/// An iterator that expired, or that the service does not know: it may have been made by a part of
/// the service that has been replaced since. Where the reading stands is known without it.
fn is_about_the_iterator(error: &SdkError<GetRecordsError>) -> bool {
    matches!(
        code(error),
        Some("ExpiredIteratorException" | "InvalidArgumentException")
    )
}

fn refused<E>(call: Call<'_>, error: SdkError<E>) -> Refused
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let throttled = is_throttling(&error);
    let error = classify(call, error);
    match error.kind() {
        _ if throttled => Refused::Throttled(error),
        ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Invalid => Refused::Never(error),
        ErrorKind::Unavailable
        | ErrorKind::Data
        | ErrorKind::Fenced
        | ErrorKind::Processor
        | ErrorKind::Internal => Refused::Later(error),
    }
}

/// Checks an answer and moves it into our types without copying a payload.
///
/// INVARIANT: a page is only taken whole, its records grow, and the shard ends exactly where there
/// is no next iterator and children are named, each with its parents.
fn read(answer: GetRecordsOutput, after: Option<&SequenceNumber>) -> Result<Page, String> {
    let children = answer.child_shards.unwrap_or_default();
    let children = match (&answer.next_shard_iterator, children.is_empty()) {
        (Some(_), true) => None,
        (None, false) => Some(children.into_iter().map(child).collect::<Result<_, _>>()?),
        (None, true) => return Err("no next iterator, but no child shards either".to_owned()),
        (Some(_), false) => return Err("child shards, but a next iterator as well".to_owned()),
    };
    let records: Vec<Record> = answer
        .records
        .into_iter()
        .map(record)
        .collect::<Result<_, _>>()?;
    let numbers = after
        .into_iter()
        .chain(records.iter().map(|record| &record.sequence_number));
    if !numbers.is_sorted_by(|one, next| one < next) {
        return Err("its records are not in order, or were read before".to_owned());
    }
    let lag = answer
        .millis_behind_latest
        .and_then(|millis| u64::try_from(millis).ok());
    let batch = Batch {
        records,
        lag: lag.map(Duration::from_millis),
        children,
    };
    Ok(Page {
        batch,
        next: answer.next_shard_iterator,
    })
}
