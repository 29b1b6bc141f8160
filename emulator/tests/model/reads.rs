//! The reference's reading operations: iterators, records, listings.

use base64_simd::STANDARD;
use serde_json::{Map, Value, json};

use crate::numbers::Number;
use crate::world::{
    Cursor, Expected, Filter, Outcome, Place, Record, Refused, Shard, ShardsPage, Status, Stream,
    TOKEN_LIFE, Token, World, seconds, shard_id, shard_index,
};

const PAGE_BYTES: usize = 10 << 20;

/// A position as GetShardIterator is asked for it.
#[derive(Clone, Debug)]
pub(crate) enum Position {
    TrimHorizon,
    Latest,
    Timestamp(u64),
    Number {
        text: NumberText,
        above: bool,
    },
    /// A kind with a member missing or one too many.
    Contradiction,
}

/// A number in a request, as far as the service can make sense of it.
#[derive(Clone, Debug)]
pub(crate) enum NumberText {
    Sound(Number),
    Garbage,
}

impl World {
    pub(crate) fn get_shard_iterator(
        &self,
        stream: &str,
        shard: &str,
        position: &Position,
    ) -> Outcome {
        let index = shard_index(shard).ok_or("ResourceNotFound")?;
        let stream = self.stream(stream)?;
        let shard = stream.shard(index)?;
        let place = match position {
            Position::TrimHorizon => Place::Nth(0),
            Position::Latest => Place::Nth(shard.records.len()),
            Position::Timestamp(time) if *time > self.now => return Err("InvalidArgument"),
            Position::Timestamp(time) => {
                let found = shard
                    .records
                    .iter()
                    .position(|record| record.arrival >= *time);
                Place::Nth(found.unwrap_or(shard.records.len()))
            }
            Position::Number { text, above } => match text {
                NumberText::Sound(number)
                    if (number.shard, number.created) == (shard.index, shard.created) =>
                {
                    let last = shard.records.last().map_or(0, |record| record.index);
                    // Nobody was ever given such a number, so its counter alone counts.
                    let second = match number.index > last {
                        true if *above => u64::MAX,
                        true => 0,
                        false => number.second,
                    };
                    Place::Number {
                        number: Number { second, ..*number },
                        above: *above,
                    }
                }
                NumberText::Sound(_) | NumberText::Garbage => return Err("InvalidArgument"),
            },
            Position::Contradiction => return Err("InvalidArgument"),
        };
        let cursor = Cursor {
            issued: self.now,
            stream: stream.name.clone(),
            birth: stream.birth,
            shard: index,
            place,
        };
        Ok(Expected {
            reply: json!({}),
            token: Some(("ShardIterator", Token::Iterator(cursor))),
        })
    }

    /// `named` is the stream of the ARN beside the iterator.
    pub(crate) fn get_records(
        &self,
        token: Option<&Token>,
        limit: Option<i64>,
        named: Option<&str>,
    ) -> Outcome {
        if limit.is_some_and(|limit| !(1..=10_000).contains(&limit)) {
            return Err("Validation");
        }
        let Some(Token::Iterator(cursor)) = token else {
            return Err("InvalidArgument");
        };
        if self.now - cursor.issued > TOKEN_LIFE {
            return Err("ExpiredIterator");
        }
        if named.is_some_and(|named| named != cursor.stream) {
            return Err("InvalidArgument");
        }
        let stream = self.stream(&cursor.stream)?;
        if stream.birth != cursor.birth {
            return Err("ResourceNotFound");
        }
        let shard = stream.shard(cursor.shard)?;
        Ok(self.page(stream, shard, cursor, limit))
    }

    fn page(
        &self,
        stream: &Stream,
        shard: &Shard,
        cursor: &Cursor,
        limit: Option<i64>,
    ) -> Expected {
        let limit = usize::try_from(limit.unwrap_or(10_000)).unwrap();
        let is_wanted = |record: &Record| match cursor.place {
            Place::Nth(_) => true,
            Place::Number { number, above } => {
                let (own, asked) = (shard.number(record).order(), number.order());
                own > asked || own == asked && !above
            }
        };
        let start = match cursor.place {
            Place::Nth(start) => start.max(shard.trimmed),
            Place::Number { .. } => shard.trimmed,
        };
        let (mut taken, mut bytes, mut next) = (Vec::new(), 0, cursor.place.clone());
        let mut behind = 0;
        for (nth, record) in shard.records.iter().enumerate().skip(start) {
            if !is_wanted(record) {
                continue;
            }
            let size = record.data.len() + record.key.len();
            if !taken.is_empty() && (taken.len() == limit || bytes + size > PAGE_BYTES) {
                let last: &Record = taken[taken.len() - 1];
                behind = self.now - last.arrival;
                break;
            }
            bytes += size;
            taken.push(record);
            next = Place::Nth(nth + 1);
        }
        let mut reply = json!({
            "Records": taken.iter().map(|record| shown(shard, record)).collect::<Vec<_>>(),
            "MillisBehindLatest": behind,
        });
        if let Some(closed) = shard.closed.as_ref().filter(|_| taken.is_empty()) {
            let child = |index: &u32| {
                let child = &stream.shards[usize::try_from(*index).unwrap()];
                json!({
                    "ShardId": shard_id(child.index),
                    "ParentShards": child.parents.iter().copied().map(shard_id).collect::<Vec<_>>(),
                    "HashKeyRange": child.hash_range(),
                })
            };
            reply["ChildShards"] = closed.children.iter().map(child).collect();
            return Expected::plain(reply);
        }
        let next = Cursor {
            issued: self.now,
            place: next,
            ..cursor.clone()
        };
        Expected {
            reply,
            token: Some(("NextShardIterator", Token::Iterator(next))),
        }
    }

    /// ListShards by name. `filter` is a kind with its instant or id.
    pub(crate) fn list_shards(
        &self,
        stream: &str,
        filter: Option<&AskedFilter>,
        start: Option<&str>,
        max: Option<i64>,
    ) -> Outcome {
        check_max(max)?;
        let stream = self.stream(stream)?;
        let horizon = stream.horizon(self.now);
        let mut after = None;
        let filter = match filter {
            None | Some(AskedFilter::FromTrimHorizon) => Filter::All,
            Some(AskedFilter::AtTrimHorizon) => Filter::At(horizon),
            Some(AskedFilter::AtLatest) => Filter::Open,
            Some(AskedFilter::AtTimestamp(time)) => Filter::At(horizon.max(*time)),
            Some(AskedFilter::FromTimestamp(time)) => Filter::From(horizon.max(*time)),
            Some(AskedFilter::AfterShard(id)) => {
                after = Some(shard_index(id).ok_or("ResourceNotFound")?);
                Filter::All
            }
            Some(AskedFilter::Contradiction) => return Err("InvalidArgument"),
        };
        if let Some(id) = start {
            after = after.max(Some(shard_index(id).ok_or("ResourceNotFound")?));
        }
        Ok(self.shards_page(stream, filter, after, max))
    }

    /// ListShards by token.
    pub(crate) fn list_more_shards(&self, token: Option<&Token>, max: Option<i64>) -> Outcome {
        check_max(max)?;
        let Some(Token::Shards(page)) = token else {
            return Err("InvalidArgument");
        };
        if self.now - page.issued > TOKEN_LIFE {
            return Err("ExpiredNextToken");
        }
        let stream = self.stream(&page.stream)?;
        if stream.birth != page.birth {
            return Err("ResourceNotFound");
        }
        Ok(self.shards_page(stream, page.filter, page.after, max))
    }

    fn shards_page(
        &self,
        stream: &Stream,
        filter: Filter,
        after: Option<u32>,
        max: Option<i64>,
    ) -> Expected {
        let is_shown = |shard: &&Shard| {
            let end = shard.closed.as_ref().map(|closed| closed.at);
            match filter {
                Filter::All => true,
                Filter::Open => end.is_none(),
                Filter::At(time) => shard.opened <= time && end.is_none_or(|end| end >= time),
                Filter::From(time) => end.is_none_or(|end| end >= time),
            }
        };
        let is_after = |shard: &&Shard| after.is_none_or(|after| shard.index > after);
        let all: Vec<&Shard> = stream.listed().filter(is_after).filter(is_shown).collect();
        let max = usize::try_from(max.unwrap_or(1000)).unwrap().min(1000);
        let page = &all[..all.len().min(max)];
        let next = page.last().filter(|_| all.len() > max).map(|last| {
            let next = ShardsPage {
                issued: self.now,
                stream: stream.name.clone(),
                birth: stream.birth,
                filter,
                after: Some(last.index),
            };
            ("NextToken", Token::Shards(next))
        });
        let shards: Vec<Value> = page.iter().map(|shard| listed(shard)).collect();
        Expected {
            reply: json!({"Shards": shards}),
            token: next,
        }
    }

    pub(crate) fn describe_stream(
        &self,
        stream: &str,
        start: Option<&str>,
        limit: Option<i64>,
    ) -> Outcome {
        check_max(limit)?;
        let stream = self.stream(stream)?;
        let after = match start {
            Some(id) => Some(shard_index(id).ok_or("ResourceNotFound")?),
            None => None,
        };
        let limit = usize::try_from(limit.unwrap_or(100)).unwrap().min(100);
        let is_after = |shard: &&Shard| after.is_none_or(|after| shard.index > after);
        let all: Vec<&Shard> = stream.listed().filter(is_after).collect();
        let mut description = described(stream);
        let page = all.iter().take(limit).map(|shard| listed(shard));
        description["Shards"] = page.collect();
        description["HasMoreShards"] = json!(all.len() > limit);
        Ok(Expected::plain(json!({"StreamDescription": description})))
    }

    pub(crate) fn describe_stream_summary(&self, stream: &str) -> Outcome {
        let stream = self.stream(stream)?;
        let mut summary = described(stream);
        summary["OpenShardCount"] = json!(stream.open().count());
        summary["ConsumerCount"] = json!(stream.consumers.len());
        let reply = json!({"StreamDescriptionSummary": summary});
        Ok(Expected::plain(reply))
    }

    pub(crate) fn list_streams(&self, after: Option<&str>, limit: Option<i64>) -> Outcome {
        check_max(limit)?;
        let limit = usize::try_from(limit.unwrap_or(100)).unwrap().min(100);
        let is_after = |name: &&String| after.is_none_or(|after| name.as_str() > after);
        let names: Vec<&String> = self.streams.keys().filter(is_after).collect();
        let page = &names[..names.len().min(limit)];
        let token = page.last().filter(|_| names.len() > limit).map(|last| {
            let after = (*last).clone();
            let issued = self.now;
            ("NextToken", Token::Streams { issued, after })
        });
        let reply = json!({"StreamNames": page, "HasMoreStreams": names.len() > limit});
        Ok(Expected { reply, token })
    }

    pub(crate) fn list_more_streams(&self, token: Option<&Token>, limit: Option<i64>) -> Outcome {
        check_max(limit)?;
        let Some(Token::Streams { issued, after }) = token else {
            return Err("InvalidArgument");
        };
        if self.now - issued > TOKEN_LIFE {
            return Err("ExpiredNextToken");
        }
        self.list_streams(Some(after), limit)
    }
}

/// A filter of ListShards as it is asked for.
#[derive(Clone, Debug)]
pub(crate) enum AskedFilter {
    FromTrimHorizon,
    AtTrimHorizon,
    AtLatest,
    AtTimestamp(u64),
    FromTimestamp(u64),
    AfterShard(String),
    /// A kind with a member missing or one too many.
    Contradiction,
}

fn check_max(max: Option<i64>) -> Result<(), Refused> {
    match max {
        Some(max) if !(1..=10_000).contains(&max) => Err("Validation"),
        Some(_) | None => Ok(()),
    }
}

fn shown(shard: &Shard, record: &Record) -> Value {
    json!({
        "SequenceNumber": shard.number(record).text(),
        "ApproximateArrivalTimestamp": seconds(record.arrival),
        "Data": STANDARD.encode_to_string(&record.data),
        "PartitionKey": record.key,
    })
}

pub(crate) fn listed(shard: &Shard) -> Value {
    let mut numbers = Map::new();
    numbers.insert(
        "StartingSequenceNumber".to_owned(),
        shard.starting().text().into(),
    );
    if let Some(end) = shard.ending() {
        numbers.insert("EndingSequenceNumber".to_owned(), end.text().into());
    }
    let mut shape = json!({
        "ShardId": shard_id(shard.index),
        "HashKeyRange": shard.hash_range(),
        "SequenceNumberRange": numbers,
    });
    for (member, parent) in ["ParentShardId", "AdjacentParentShardId"]
        .into_iter()
        .zip(&shard.parents)
    {
        shape[member] = shard_id(*parent).into();
    }
    shape
}

fn described(stream: &Stream) -> Value {
    let status = match stream.status {
        Status::Creating { .. } => "CREATING",
        Status::Active => "ACTIVE",
        Status::Splitting { .. }
        | Status::Merging { .. }
        | Status::Resizing { .. }
        | Status::Retaining { .. } => "UPDATING",
        Status::Deleting { .. } => "DELETING",
    };
    let mode = if stream.is_on_demand {
        "ON_DEMAND"
    } else {
        "PROVISIONED"
    };
    json!({
        "StreamName": stream.name,
        "StreamARN": stream.arn(),
        "StreamStatus": status,
        "StreamModeDetails": {"StreamMode": mode},
        "RetentionPeriodHours": stream.retention / 3_600_000,
        "StreamCreationTimestamp": seconds(stream.created / 1000 * 1000),
    })
}
