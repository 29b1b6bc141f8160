//! The reference's changing operations: streams, shards, records.

use md5::{Digest, Md5};
use serde_json::{Value, json};

use crate::belongings::{check_tags, with_tags};
use crate::numbers::Number;
use crate::reads::NumberText;
use crate::world::{
    Expected, Outcome, RETENTION, Record, Refused, Shard, Status, Stream, World, shard_id,
    shard_index,
};

const DAY: u64 = 24 * 3_600_000;
/// Changes of the number of shards in a day.
const RESIZES: usize = 10;

/// A record as it is asked to be put.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) key: String,
    pub(crate) data: Vec<u8>,
    /// The explicit hash key in decimal digits.
    pub(crate) hash: Option<String>,
}

impl Asked {
    /// Constraints of the members.
    fn check(&self) -> Result<(), Refused> {
        let is_key = (1..=256).contains(&self.key.chars().count());
        let is_hash = |hash: &String| {
            let is_plain = hash == "0" || !hash.starts_with('0');
            is_plain && hash.len() <= 39 && hash.chars().all(|char| char.is_ascii_digit())
        };
        if is_key && self.hash.as_ref().is_none_or(is_hash) {
            Ok(())
        } else {
            Err("Validation")
        }
    }

    fn place(&self) -> Result<u128, Refused> {
        match &self.hash {
            Some(hash) => hash.parse().map_err(|_| "InvalidArgument"),
            None => Ok(u128::from_be_bytes(Md5::digest(self.key.as_bytes()).into())),
        }
    }
}

impl World {
    pub(crate) fn create_stream(
        &mut self,
        name: &str,
        shards: Option<i64>,
        tags: &[(String, String)],
    ) -> Outcome {
        if shards.is_some_and(|shards| shards < 1) {
            return Err("Validation");
        }
        if !tags.is_empty() {
            check_tags(tags)?;
        }
        let tags = with_tags(&[], tags)?;
        if self.streams.contains_key(name) {
            return Err("ResourceInUse");
        }
        let count = u32::try_from(shards.unwrap_or(4)).unwrap();
        let in_use = self.shards_in_use() + usize::try_from(count).unwrap();
        if shards.is_some() && in_use > self.shard_limit {
            return Err("LimitExceeded");
        }
        self.births += 1;
        let stream = Stream {
            name: name.to_owned(),
            birth: self.births,
            created: self.now,
            is_on_demand: shards.is_none(),
            retention: RETENTION,
            trimmed_to: self.now,
            first_second: self
                .graves
                .get(name)
                .map_or(0, |last| last + 1)
                .max(self.now / 1000),
            resizes: Vec::new(),
            resized: None,
            status: Status::Creating {
                until: self.now + self.delays.create,
                shards: count,
            },
            shards: Vec::new(),
            consumers: Vec::new(),
            tags,
        };
        self.streams.insert(name.to_owned(), stream);
        self.settle();
        Ok(Expected::plain(Value::Null))
    }

    pub(crate) fn delete_stream(&mut self, name: &str, is_enforced: bool) -> Outcome {
        let stream = self.stream(name)?;
        let has_consumers = stream.consumers.iter().any(|known| known.gone_at.is_none());
        if has_consumers && !is_enforced {
            return Err("ResourceInUse");
        }
        let until = self.now + self.delays.delete;
        let stream = self.streams.get_mut(name).unwrap();
        if !matches!(stream.status, Status::Deleting { .. }) {
            stream.status = Status::Deleting { until };
            // Its consumers go with it.
            for consumer in &mut stream.consumers {
                consumer.gone_at.get_or_insert(until);
            }
        }
        self.settle();
        Ok(Expected::plain(Value::Null))
    }

    pub(crate) fn split_shard(&mut self, name: &str, shard: &str, key: u128) -> Outcome {
        let index = shard_index(shard).ok_or("ResourceNotFound")?;
        let stream = self.stream_to_reshard(name)?;
        let parent = open_shard(stream, index)?;
        if self.shards_in_use() + 1 > self.shard_limit {
            return Err("LimitExceeded");
        }
        // Strictly between the second key of the range and the last.
        if key <= parent.start.saturating_add(1) || key >= parent.end {
            return Err("InvalidArgument");
        }
        let until = self.now + self.delays.reshard;
        self.streams.get_mut(name).unwrap().status = Status::Splitting {
            until,
            shard: index,
            key,
        };
        self.settle();
        Ok(Expected::plain(Value::Null))
    }

    pub(crate) fn merge_shards(&mut self, name: &str, lower: &str, upper: &str) -> Outcome {
        let lower = shard_index(lower).ok_or("ResourceNotFound")?;
        let upper = shard_index(upper).ok_or("ResourceNotFound")?;
        let stream = self.stream_to_reshard(name)?;
        let (first, second) = (open_shard(stream, lower)?, open_shard(stream, upper)?);
        if first.end == u128::MAX || first.end + 1 != second.start {
            return Err("InvalidArgument");
        }
        let until = self.now + self.delays.reshard;
        self.streams.get_mut(name).unwrap().status = Status::Merging {
            until,
            lower,
            upper,
        };
        self.settle();
        Ok(Expected::plain(Value::Null))
    }

    /// Whether the service says how many shards there were is the caller's to know: it is told here.
    pub(crate) fn update_shard_count(&mut self, name: &str, target: i64) -> Outcome {
        if target < 1 {
            return Err("Validation");
        }
        let now = self.now;
        let until = now + self.delays.reshard;
        let stream = self.stream_to_reshard(name)?;
        let open = stream.open().count();
        let target = usize::try_from(target).unwrap();
        if target > open * 2 || target * 2 < open {
            return Err("LimitExceeded");
        }
        let reply = json!({
            "StreamName": name,
            "StreamARN": stream.arn(),
            "CurrentShardCount": open,
            "TargetShardCount": target,
        });
        if target != open {
            let of_today = stream.resizes.iter().filter(|at| *at + DAY > now);
            if of_today.count() >= RESIZES {
                return Err("LimitExceeded");
            }
            let stream = self.streams.get_mut(name).unwrap();
            stream.resizes.push(now);
            stream.status = Status::Resizing { until, target };
        }
        self.settle();
        Ok(Expected::plain(reply))
    }

    pub(crate) fn change_retention(
        &mut self,
        name: &str,
        hours: i64,
        is_increase: bool,
    ) -> Outcome {
        let until = self.now + self.delays.update;
        let stream = self.streams.get_mut(name).ok_or("ResourceNotFound")?;
        if stream.status != Status::Active {
            return Err("ResourceInUse");
        }
        if !(24..=8760).contains(&hours) {
            return Err("InvalidArgument");
        }
        let retention = u64::try_from(hours).unwrap() * 3_600_000;
        let is_right = match is_increase {
            true => retention >= stream.retention,
            false => retention <= stream.retention,
        };
        if !is_right {
            return Err("InvalidArgument");
        }
        if retention != stream.retention {
            stream.status = Status::Retaining { until, retention };
        }
        self.settle();
        Ok(Expected::plain(Value::Null))
    }

    fn stream_to_reshard(&self, name: &str) -> Result<&Stream, Refused> {
        let stream = self.stream(name)?;
        match stream.status {
            Status::Active if stream.is_on_demand => Err("Validation"),
            Status::Active => Ok(stream),
            _ => Err("ResourceInUse"),
        }
    }

    pub(crate) fn put_record(
        &mut self,
        name: &str,
        asked: &Asked,
        ordering: Option<&NumberText>,
    ) -> Outcome {
        asked.check()?;
        let stream = self.stream_to_write(name)?;
        let hash = asked.place()?;
        let above = match ordering {
            Some(text) => Some(check_ordering(stream, self.now, text)?),
            None => None,
        };
        let (shard, number) = self.append(name, asked, hash, above);
        let reply = json!({"ShardId": shard_id(shard), "SequenceNumber": number.text()});
        Ok(Expected::plain(reply))
    }

    pub(crate) fn put_records(&mut self, name: &str, asked: &[Asked]) -> Outcome {
        if !(1..=500).contains(&asked.len()) {
            return Err("Validation");
        }
        for record in asked {
            record.check()?;
        }
        self.stream_to_write(name)?;
        let hashes: Result<Vec<u128>, Refused> = asked.iter().map(Asked::place).collect();
        let mut records = Vec::new();
        for (record, hash) in asked.iter().zip(hashes?) {
            let (shard, number) = self.append(name, record, hash, None);
            records.push(json!({"ShardId": shard_id(shard), "SequenceNumber": number.text()}));
        }
        let reply = json!({"FailedRecordCount": 0, "Records": records});
        Ok(Expected::plain(reply))
    }

    fn stream_to_write(&self, name: &str) -> Result<&Stream, Refused> {
        let stream = self.stream(name)?;
        // One that was deleted before it had shards has none either.
        if stream.shards.is_empty() {
            return Err("ResourceNotFound");
        }
        Ok(stream)
    }

    fn append(
        &mut self,
        name: &str,
        asked: &Asked,
        hash: u128,
        above: Option<Number>,
    ) -> (u32, Number) {
        let now = self.now;
        let stream = self.streams.get_mut(name).unwrap();
        let covers = |shard: &&mut Shard| {
            shard.closed.is_none() && (shard.start..=shard.end).contains(&hash)
        };
        let shard = stream.shards.iter_mut().find(covers).unwrap();
        let last = shard.records.last().map_or(0, |record| record.index);
        let is_own =
            |number: &Number| (number.shard, number.created) == (shard.index, shard.created);
        let floor = above.filter(is_own).map_or(0, |number| number.index);
        shard.records.push(Record {
            index: last.max(floor) + 1,
            arrival: now,
            key: asked.key.clone(),
            data: asked.data.clone(),
        });
        let record = &shard.records[shard.records.len() - 1];
        (shard.index, shard.number(record))
    }
}

/// A number that the stream can have issued by now: none is from the future.
fn check_ordering(stream: &Stream, now: u64, text: &NumberText) -> Result<Number, Refused> {
    let NumberText::Sound(number) = text else {
        return Err("InvalidArgument");
    };
    let made = stream.listed().map(|shard| shard.created).max();
    let newest = made.unwrap_or(0).max(now / 1000);
    if number.second > newest || number.created > newest {
        return Err("InvalidArgument");
    }
    Ok(*number)
}

fn open_shard(stream: &Stream, index: u32) -> Result<&Shard, Refused> {
    let shard = stream.shard(index)?;
    match shard.closed {
        None => Ok(shard),
        Some(_) => Err("InvalidArgument"),
    }
}
