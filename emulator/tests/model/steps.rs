//! What one step does: a number decides everything about it, given what is there. So a run is a list
//! of numbers, and leaving some out is a run again.

use std::collections::VecDeque;

use base64_simd::STANDARD;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::belongings::ConsumerAddress;
use crate::changes::Asked;
use crate::driver::{Divergence, Driver, Held};
use crate::numbers::Number;
use crate::reads::{AskedFilter, NumberText, Position};
use crate::world::{Shard, Status, TOKEN_LIFE, shard_id};

const NAMES: [&str; 4] = ["a", "b-2", "c.c", "d_d"];
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

type Step = Result<(), Divergence>;

impl Driver {
    /// Carries out the step of a seed.
    pub(crate) async fn step(&mut self, seed: u64) -> Step {
        self.step += 1;
        let rng = &mut Rng::with_seed(seed);
        self.speaks_cbor = rng.u32(0..3) == 0;
        self.act(rng).await?;
        self.adopt().await
    }

    async fn act(&mut self, rng: &mut Rng) -> Step {
        match rng.u32(0..1000) {
            0..140 => self.put_record(rng).await,
            140..160 => self.change_consumers(rng).await,
            160..175 => self.look_at_consumers(rng).await,
            175..200 => self.tag(rng).await,
            200..250 => self.put_records(rng).await,
            250..400 => self.get_shard_iterator(rng).await,
            400..680 => self.get_records(rng).await,
            680..750 => self.list_shards(rng).await,
            750..780 => self.list_more_shards(rng).await,
            780..810 => self.describe(rng).await,
            810..830 => self.list_streams(rng).await,
            830..835 => self.update_shard_count(rng).await,
            835..842 => self.change_retention(rng).await,
            842..850 => self.create_stream(rng).await,
            850..855 => self.delete_stream(rng).await,
            855..890 => self.split_shard(rng).await,
            890..925 => self.merge_shards(rng).await,
            _ => {
                let by = self.some_time(rng);
                self.advance(by).await
            }
        }
    }

    async fn create_stream(&mut self, rng: &mut Rng) -> Step {
        let name = *rng.choice(&NAMES).unwrap();
        let shards = match rng.u32(0..12) {
            0 => Some(0),
            1 => Some(i64::try_from(self.world.shard_limit).unwrap() - 1),
            2 => None,
            _ => Some(rng.i64(1..6)),
        };
        let mut body = json!({"StreamName": name});
        if let Some(shards) = shards {
            body["ShardCount"] = shards.into();
        }
        let tags = match rng.u32(0..4) {
            0 => some_tags(rng),
            _ => Vec::new(),
        };
        if !tags.is_empty() {
            body["Tags"] = tag_map(&tags);
        }
        let expected = self.world.create_stream(name, shards, &tags);
        self.compare("CreateStream", &body, expected).await
    }

    async fn delete_stream(&mut self, rng: &mut Rng) -> Step {
        let (name, mut body) = address(rng);
        let is_enforced = rng.bool();
        if is_enforced || rng.bool() {
            body["EnforceConsumerDeletion"] = is_enforced.into();
        }
        let expected = self.world.delete_stream(name, is_enforced);
        self.compare("DeleteStream", &body, expected).await
    }

    async fn put_record(&mut self, rng: &mut Rng) -> Step {
        let (name, mut body) = address(rng);
        let asked = self.some_record(rng);
        write_record(&mut body, &asked);
        let ordering = (rng.u32(0..4) == 0).then(|| self.some_number(rng, name));
        if let Some((number, _)) = &ordering {
            body["SequenceNumberForOrdering"] = number.as_str().into();
        }
        let ordering = ordering.as_ref().map(|(_, number)| number);
        let expected = self.world.put_record(name, &asked, ordering);
        self.compare("PutRecord", &body, expected).await
    }

    async fn put_records(&mut self, rng: &mut Rng) -> Step {
        let (name, mut body) = address(rng);
        let count = if rng.u32(0..40) == 0 {
            0
        } else {
            rng.usize(1..9)
        };
        let asked: Vec<Asked> = (0..count).map(|_| self.some_record(rng)).collect();
        let records = asked.iter().map(|asked| {
            let mut record = json!({});
            write_record(&mut record, asked);
            record
        });
        body["Records"] = records.collect();
        let expected = self.world.put_records(name, &asked);
        self.compare("PutRecords", &body, expected).await
    }

    async fn get_shard_iterator(&mut self, rng: &mut Rng) -> Step {
        let (name, mut body) = address(rng);
        let shard = self.some_shard(rng, name);
        body["ShardId"] = shard.as_str().into();
        let mut set = |kind: &str| body["ShardIteratorType"] = kind.into();
        let position = match rng.u32(0..20) {
            0..5 => {
                set("TRIM_HORIZON");
                Position::TrimHorizon
            }
            5..9 => {
                set("LATEST");
                Position::Latest
            }
            9..13 => {
                set("AT_TIMESTAMP");
                let time = self.some_instant(rng, name);
                body["Timestamp"] = json!(time as f64 / 1000.0);
                Position::Timestamp(time)
            }
            13..19 => {
                let above = rng.bool();
                set(if above {
                    "AFTER_SEQUENCE_NUMBER"
                } else {
                    "AT_SEQUENCE_NUMBER"
                });
                let (number, text) = self.some_number(rng, name);
                body["StartingSequenceNumber"] = number.into();
                Position::Number { text, above }
            }
            _ => {
                let kinds = [
                    "AT_TIMESTAMP",
                    "AT_SEQUENCE_NUMBER",
                    "AFTER_SEQUENCE_NUMBER",
                ];
                set(rng.choice(kinds).unwrap());
                Position::Contradiction
            }
        };
        let expected = self.world.get_shard_iterator(name, &shard, &position);
        self.compare("GetShardIterator", &body, expected).await
    }

    async fn get_records(&mut self, rng: &mut Rng) -> Step {
        // Mostly the newest ones, so that readers get ahead; now and then one of another kind.
        let held = match rng.u32(0..40) {
            0 => some_held(rng, &self.pages),
            1 => None,
            _ => some_held(rng, &self.iterators),
        };
        let text = held.as_ref().map_or("AAAA", |held| &held.text);
        let mut body = json!({"ShardIterator": text});
        if rng.u32(0..60) == 0 {
            body["ShardIterator"] = format!("\"{text}\"").into();
        }
        let limit = match rng.u32(0..30) {
            0 => Some(0),
            1 => Some(10_001),
            2..14 => Some(rng.i64(1..6)),
            14 => Some(10_000),
            _ => None,
        };
        if let Some(limit) = limit {
            body["Limit"] = limit.into();
        }
        let named = (rng.u32(0..20) == 0).then(|| *rng.choice(&NAMES).unwrap());
        if let Some(named) = named {
            body["StreamARN"] = arn(named).into();
        }
        let token = held.as_ref().map(|held| &held.token);
        let expected = self.world.get_records(token, limit, named);
        self.compare("GetRecords", &body, expected).await
    }

    async fn list_shards(&mut self, rng: &mut Rng) -> Step {
        let (name, mut body) = address(rng);
        let max = some_max(rng, &mut body, "MaxResults");
        let start = (rng.u32(0..5) == 0).then(|| self.some_shard(rng, name));
        if let Some(start) = &start {
            body["ExclusiveStartShardId"] = start.as_str().into();
        }
        let filter = (rng.u32(0..4) != 0).then(|| {
            let (filter, shape) = self.some_filter(rng, name);
            body["ShardFilter"] = shape;
            filter
        });
        let expected = self
            .world
            .list_shards(name, filter.as_ref(), start.as_deref(), max);
        self.compare("ListShards", &body, expected).await
    }

    async fn list_more_shards(&mut self, rng: &mut Rng) -> Step {
        let held = if rng.u32(0..30) == 0 {
            some_held(rng, &self.iterators)
        } else {
            some_held(rng, &self.pages)
        };
        let mut body = json!({"NextToken": held.as_ref().map_or("AAAA", |held| &held.text)});
        let token = held.as_ref().map(|held| &held.token);
        if rng.u32(0..4) == 0 {
            let limit = some_max(rng, &mut body, "Limit");
            let expected = self.world.list_more_streams(token, limit);
            return self.compare("ListStreams", &body, expected).await;
        }
        let max = some_max(rng, &mut body, "MaxResults");
        if rng.u32(0..30) == 0 {
            body["StreamName"] = NAMES[0].into();
            let is_sound = max.is_none_or(|max| (1..=10_000).contains(&max));
            let expected = Err(if is_sound {
                "InvalidArgument"
            } else {
                "Validation"
            });
            return self.compare("ListShards", &body, expected).await;
        }
        let expected = self.world.list_more_shards(token, max);
        self.compare("ListShards", &body, expected).await
    }

    async fn change_consumers(&mut self, rng: &mut Rng) -> Step {
        let name = *rng.choice(&NAMES).unwrap();
        if rng.u32(0..3) == 0 {
            let (address, body) = self.some_consumer(rng, name);
            let expected = self.world.deregister(name, &address);
            return self
                .compare("DeregisterStreamConsumer", &body, expected)
                .await;
        }
        let consumer = format!("c-{}", rng.u32(0..30));
        let body = json!({"StreamARN": arn(name), "ConsumerName": consumer});
        let expected = self.world.register(name, &consumer);
        self.compare("RegisterStreamConsumer", &body, expected)
            .await
    }

    async fn look_at_consumers(&mut self, rng: &mut Rng) -> Step {
        let name = *rng.choice(&NAMES).unwrap();
        if rng.bool() {
            let (address, body) = self.some_consumer(rng, name);
            let expected = self.world.describe_consumer(name, &address);
            return self
                .compare("DescribeStreamConsumer", &body, expected)
                .await;
        }
        let mut body = json!({"StreamARN": arn(name)});
        let max = some_max(rng, &mut body, "MaxResults");
        let held = rng.bool().then(|| some_held(rng, &self.pages));
        if let Some(held) = &held {
            body["NextToken"] = held.as_ref().map_or("AAAA", |held| &held.text).into();
        }
        let token = held
            .as_ref()
            .map(|held| held.as_ref().map(|held| &held.token));
        let expected = self.world.list_consumers(name, token, max);
        self.compare("ListStreamConsumers", &body, expected).await
    }

    /// A consumer and the members that name it.
    fn some_consumer(&self, rng: &mut Rng, name: &str) -> (ConsumerAddress, Value) {
        let known = self.world.streams.get(name).and_then(|stream| {
            let consumer = rng.choice(&stream.consumers)?;
            Some((consumer.name.clone(), consumer.created / 1000))
        });
        let (consumer, created) = match known {
            Some(known) if rng.u32(0..10) > 0 => known,
            _ => (format!("c-{}", rng.u32(0..30)), self.world.now / 1000),
        };
        let stream = arn(name);
        if rng.bool() {
            let body = json!({"StreamARN": stream, "ConsumerName": consumer});
            return (ConsumerAddress::Name(consumer), body);
        }
        let mut body = json!({"ConsumerARN": format!("{stream}/consumer/{consumer}:{created}")});
        let beside = (rng.u32(0..4) == 0).then(|| format!("c-{}", rng.u32(0..30)));
        if let Some(beside) = &beside {
            body["ConsumerName"] = beside.as_str().into();
        }
        let name = consumer;
        let address = ConsumerAddress::Arn {
            name,
            created,
            beside,
        };
        (address, body)
    }

    async fn tag(&mut self, rng: &mut Rng) -> Step {
        let (name, mut body) = address(rng);
        match rng.u32(0..6) {
            0..3 => {
                let tags = some_tags(rng);
                body["Tags"] = tag_map(&tags);
                let expected = self.world.add_tags(name, &tags);
                self.compare("AddTagsToStream", &body, expected).await
            }
            3 => {
                let keys: Vec<String> = some_tags(rng).into_iter().map(|(key, _)| key).collect();
                let keys: Vec<String> = keys
                    .into_iter()
                    .filter(|key| key.starts_with('t'))
                    .collect();
                body["TagKeys"] = json!(keys);
                let expected = self.world.remove_tags(name, &keys);
                self.compare("RemoveTagsFromStream", &body, expected).await
            }
            4 => {
                let limit = rng.bool().then(|| rng.i64(0..53));
                if let Some(limit) = limit {
                    body["Limit"] = limit.into();
                }
                let after = rng.bool().then(|| format!("t-{}", rng.u32(0..60)));
                if let Some(after) = &after {
                    body["ExclusiveStartTagKey"] = after.as_str().into();
                }
                let expected = self.world.list_tags(name, after.as_deref(), limit);
                self.compare("ListTagsForStream", &body, expected).await
            }
            _ => {
                let body = json!({"ResourceARN": arn(name)});
                let expected = self.world.list_tags_for_resource(name);
                self.compare("ListTagsForResource", &body, expected).await
            }
        }
    }

    async fn describe(&mut self, rng: &mut Rng) -> Step {
        let (name, mut body) = address(rng);
        if rng.bool() {
            let expected = self.world.describe_stream_summary(name);
            return self.compare("DescribeStreamSummary", &body, expected).await;
        }
        let limit = some_max(rng, &mut body, "Limit");
        let start = (rng.u32(0..3) == 0).then(|| self.some_shard(rng, name));
        if let Some(start) = &start {
            body["ExclusiveStartShardId"] = start.as_str().into();
        }
        let expected = self.world.describe_stream(name, start.as_deref(), limit);
        self.compare("DescribeStream", &body, expected).await
    }

    async fn list_streams(&mut self, rng: &mut Rng) -> Step {
        let mut body = json!({});
        let limit = some_max(rng, &mut body, "Limit");
        let after = (rng.u32(0..3) == 0).then(|| *rng.choice(&NAMES).unwrap());
        if let Some(after) = after {
            body["ExclusiveStartStreamName"] = after.into();
        }
        let expected = self.world.list_streams(after, limit);
        self.compare("ListStreams", &body, expected).await
    }

    async fn split_shard(&mut self, rng: &mut Rng) -> Step {
        let (name, mut body) = address(rng);
        let shard = self.some_open_shard(rng, name);
        let (start, end) = self.range_of(name, &shard);
        let key = match rng.u32(0..8) {
            // Around both ends, where the service is stricter than it needs to be.
            0 => start.saturating_add(u128::from(rng.u32(0..4))),
            1 => end.saturating_sub(u128::from(rng.u32(0..4))),
            2 => rng.u128(..),
            _ => start + (end - start) / 2,
        };
        body["ShardToSplit"] = shard.as_str().into();
        body["NewStartingHashKey"] = key.to_string().into();
        let expected = self.world.split_shard(name, &shard, key);
        self.compare("SplitShard", &body, expected).await
    }

    async fn update_shard_count(&mut self, rng: &mut Rng) -> Step {
        let (name, mut body) = address(rng);
        let stream = self.world.streams.get(name);
        let open = stream.map_or(1, |stream| stream.open().count());
        // Where shards that are there only on the way could be too many is for other tests to say.
        if self.world.shards_in_use() + open * 2 > self.world.shard_limit {
            return Ok(());
        }
        let open = i64::try_from(open).unwrap();
        let target = rng.i64(open / 3..open * 2 + 2);
        body["TargetShardCount"] = target.into();
        body["ScalingType"] = "UNIFORM_SCALING".into();
        let expected = self.world.update_shard_count(name, target);
        self.compare("UpdateShardCount", &body, expected).await
    }

    async fn change_retention(&mut self, rng: &mut Rng) -> Step {
        let (name, mut body) = address(rng);
        let is_increase = rng.bool();
        let hours = match rng.u32(0..8) {
            0 => 23,
            1 => 8761,
            2 => 24,
            _ => rng.i64(24..80),
        };
        body["RetentionPeriodHours"] = hours.into();
        let expected = self.world.change_retention(name, hours, is_increase);
        let operation = if is_increase {
            "IncreaseStreamRetentionPeriod"
        } else {
            "DecreaseStreamRetentionPeriod"
        };
        self.compare(operation, &body, expected).await
    }

    async fn merge_shards(&mut self, rng: &mut Rng) -> Step {
        let (name, mut body) = address(rng);
        let lower = self.some_open_shard(rng, name);
        let (_, end) = self.range_of(name, &lower);
        let neighbour = self.world.streams.get(name).and_then(|stream| {
            let is_next = |shard: &&Shard| end < u128::MAX && shard.start == end + 1;
            stream
                .open()
                .find(is_next)
                .map(|shard| shard_id(shard.index))
        });
        let upper = match neighbour {
            Some(upper) if rng.u32(0..5) > 0 => upper,
            _ => self.some_shard(rng, name),
        };
        let (lower, upper) = if rng.u32(0..10) == 0 {
            (upper, lower)
        } else {
            (lower, upper)
        };
        body["ShardToMerge"] = lower.as_str().into();
        body["AdjacentShardToMerge"] = upper.as_str().into();
        let expected = self.world.merge_shards(name, &lower, &upper);
        self.compare("MergeShards", &body, expected).await
    }

    /// How far the clock moves: mostly little, sometimes exactly to where something happens.
    fn some_time(&self, rng: &mut Rng) -> u64 {
        match rng.u32(0..40) {
            0..14 => rng.u64(1..6),
            14..26 => rng.u64(100..3_000),
            26..36 => self.time_to_an_event(rng),
            36..39 => rng.u64(1..8) * MINUTE,
            _ => rng.u64(1..30) * HOUR,
        }
    }

    /// The way to one millisecond before, at, or after an event that is to come.
    fn time_to_an_event(&self, rng: &mut Rng) -> u64 {
        let mut events = Vec::new();
        for stream in self.world.streams.values() {
            match stream.status {
                Status::Creating { until, .. }
                | Status::Splitting { until, .. }
                | Status::Merging { until, .. }
                | Status::Resizing { until, .. }
                | Status::Retaining { until, .. }
                | Status::Deleting { until } => events.push(until),
                Status::Active => {}
            }
            for shard in stream.listed() {
                let ends = shard.closed.as_ref().map(|closed| closed.at);
                let oldest = shard
                    .records
                    .get(shard.trimmed)
                    .map(|record| record.arrival);
                events.extend(
                    ends.into_iter()
                        .chain(oldest)
                        .map(|at| at + stream.retention),
                );
            }
        }
        let held = self.iterators.iter().chain(&self.pages);
        // Several times, as there are fewer of them and they are nearer.
        let lives: Vec<u64> = held.map(|held| held.token.issued() + TOKEN_LIFE).collect();
        events.extend(lives);
        events.sort_unstable();
        let now = self.world.now;
        events.retain(|event| *event >= now);
        events.dedup();
        // The far ones would end all that is near.
        events.truncate(12);
        let event = rng.choice(events).unwrap_or(now);
        (event + rng.u64(0..3)).saturating_sub(now + 1)
    }

    fn some_record(&self, rng: &mut Rng) -> Asked {
        let key = match rng.u32(0..150) {
            0 => String::new(),
            1 => "é".repeat(257),
            2 => "é".repeat(256),
            3 => "\"\\\n\u{1}".to_owned(),
            _ => format!("key-{}", rng.u32(0..50)),
        };
        let hash = match rng.u32(0..40) {
            0 => Some("01".to_owned()),
            1 => Some("340282366920938463463374607431768211456".to_owned()),
            2 => Some(u128::MAX.to_string()),
            3 => Some("0".to_owned()),
            4..14 => Some(rng.u128(..).to_string()),
            _ => None,
        };
        // Something that tells each record from all others, of many lengths.
        let mut data = format!("{}-{}", self.step, rng.u32(..)).into_bytes();
        match rng.u32(0..30) {
            0 => data.clear(),
            1 => data.resize(rng.usize(0..3000), 7),
            _ => {}
        }
        Asked { key, data, hash }
    }

    /// The id of a shard: mostly of one that is there.
    fn some_shard(&self, rng: &mut Rng, name: &str) -> String {
        let count = self
            .world
            .streams
            .get(name)
            .map_or(0, |stream| stream.shards.len());
        match rng.u32(0..40) {
            0 => "shardId-".to_owned(),
            1 => "x".to_owned(),
            2 => "2147483648".to_owned(),
            3 => rng.u32(0..5).to_string(),
            _ => shard_id(rng.u32(0..u32::try_from(count).unwrap() + 1)),
        }
    }

    fn some_open_shard(&self, rng: &mut Rng, name: &str) -> String {
        let open: Vec<u32> = match self.world.streams.get(name) {
            Some(stream) => stream.open().map(|shard| shard.index).collect(),
            None => Vec::new(),
        };
        match rng.choice(open) {
            Some(index) if rng.u32(0..12) > 0 => shard_id(index),
            _ => self.some_shard(rng, name),
        }
    }

    fn range_of(&self, name: &str, shard: &str) -> (u128, u128) {
        let stream = self.world.streams.get(name);
        let shard = stream.and_then(|stream| {
            let mut shards = stream.shards.iter();
            shards.find(|known| shard_id(known.index) == shard)
        });
        shard.map_or((0, u128::MAX), |shard| (shard.start, shard.end))
    }

    /// A sequence number: of a record, of an end of a shard, of another stream, or of nothing.
    fn some_number(&self, rng: &mut Rng, name: &str) -> (String, NumberText) {
        let garbage = [
            "0",
            "1",
            "123",
            "49590338271490256608559692538361571095921575989136588899",
        ];
        let name = match rng.u32(0..15) {
            0 => NAMES[rng.usize(0..NAMES.len())],
            1 => {
                let text = *rng.choice(&garbage).unwrap();
                return (text.to_owned(), NumberText::Garbage);
            }
            _ => name,
        };
        let stream = self.world.streams.get(name);
        let shard = stream.and_then(|stream| rng.choice(&stream.shards));
        let Some(shard) = shard else {
            let foreign = Number {
                created: 1_600_000_000,
                shard: 0,
                index: rng.u64(0..5),
                second: 1_600_000_000,
            };
            return (foreign.text(), NumberText::Sound(foreign));
        };
        let number = number_of(rng, shard);
        (number.text(), NumberText::Sound(number))
    }

    /// An instant near something that happened.
    fn some_instant(&self, rng: &mut Rng, name: &str) -> u64 {
        let mut instants = vec![self.world.now];
        if let Some(stream) = self.world.streams.get(name) {
            instants.push(stream.created);
            instants.push(stream.horizon(self.world.now));
            for shard in &stream.shards {
                instants.extend(shard.closed.as_ref().map(|closed| closed.at));
                instants.extend(rng.choice(&shard.records).map(|record| record.arrival));
            }
        }
        rng.choice(instants).unwrap() + rng.u64(0..4) - 2
    }

    fn some_filter(&self, rng: &mut Rng, name: &str) -> (AskedFilter, Value) {
        let at = |time: u64| json!(time as f64 / 1000.0);
        match rng.u32(0..14) {
            0..2 => (
                AskedFilter::FromTrimHorizon,
                json!({"Type": "FROM_TRIM_HORIZON"}),
            ),
            2..5 => (
                AskedFilter::AtTrimHorizon,
                json!({"Type": "AT_TRIM_HORIZON"}),
            ),
            5..7 => (AskedFilter::AtLatest, json!({"Type": "AT_LATEST"})),
            7..9 => {
                let time = self.some_instant(rng, name);
                let shape = json!({"Type": "AT_TIMESTAMP", "Timestamp": at(time)});
                (AskedFilter::AtTimestamp(time), shape)
            }
            9..11 => {
                let time = self.some_instant(rng, name);
                let shape = json!({"Type": "FROM_TIMESTAMP", "Timestamp": at(time)});
                (AskedFilter::FromTimestamp(time), shape)
            }
            11..13 => {
                let id = self.some_shard(rng, name);
                let shape = json!({"Type": "AFTER_SHARD_ID", "ShardId": id});
                (AskedFilter::AfterShard(id), shape)
            }
            _ => {
                let shapes = [
                    json!({"Type": "AT_TIMESTAMP"}),
                    json!({"Type": "AFTER_SHARD_ID"}),
                    json!({"Type": "AT_LATEST", "ShardId": "0"}),
                    json!({"Type": "AT_TRIM_HORIZON", "Timestamp": 5}),
                ];
                (AskedFilter::Contradiction, rng.choice(shapes).unwrap())
            }
        }
    }
}

/// A number of a shard: of a record, its start, its end, or between two records.
fn number_of(rng: &mut Rng, shard: &Shard) -> Number {
    match (rng.u32(0..10), rng.choice(&shard.records)) {
        (0..2, _) | (_, None) => shard.starting(),
        (2, Some(_)) if shard.closed.is_some() => shard.ending().unwrap(),
        (3, Some(record)) => {
            let number = shard.number(record);
            // The same counter with another second: no record has it, but it is a position.
            let second = number.second + rng.u64(0..3) - 1;
            Number { second, ..number }
        }
        (4, Some(_)) => {
            // The last record's counter, and beyond.
            let last = shard.records.last().map_or(0, |record| record.index);
            shard.numbered(last + rng.u64(10..13), 0)
        }
        (_, Some(record)) => shard.number(record),
    }
}

/// A stream and the members that name it.
fn address(rng: &mut Rng) -> (&'static str, Value) {
    let name = *rng.choice(&NAMES).unwrap();
    let body = match rng.u32(0..6) {
        0 => json!({"StreamARN": arn(name)}),
        1 => json!({"StreamARN": arn(name), "StreamName": name}),
        _ => json!({"StreamName": name}),
    };
    (name, body)
}

fn arn(name: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}")
}

fn write_record(body: &mut Value, asked: &Asked) {
    body["Data"] = STANDARD.encode_to_string(&asked.data).into();
    body["PartitionKey"] = asked.key.as_str().into();
    if let Some(hash) = &asked.hash {
        body["ExplicitHashKey"] = hash.as_str().into();
    }
}

/// Tags of distinct keys; rarely one that cannot be.
fn some_tags(rng: &mut Rng) -> Vec<(String, String)> {
    let first = rng.u32(0..60);
    let count = rng.u32(0..20);
    let mut tags: Vec<_> = (first..first + count)
        .map(|number| (format!("t-{number}"), format!("v {}", rng.u32(0..5))))
        .collect();
    match rng.u32(0..20) {
        0 => tags.push(("aws:t".to_owned(), String::new())),
        1 => tags.push(("bad".to_owned(), "50 %".to_owned())),
        2 => tags.push(("k".repeat(129), String::new())),
        _ => {}
    }
    tags
}

fn tag_map(tags: &[(String, String)]) -> Value {
    let tags = tags
        .iter()
        .map(|(key, value)| (key.clone(), value.as_str().into()));
    Value::Object(tags.collect())
}

fn some_max(rng: &mut Rng, body: &mut Value, member: &str) -> Option<i64> {
    let max = match rng.u32(0..20) {
        0 => Some(0),
        1 => Some(10_001),
        2..10 => Some(rng.i64(1..5)),
        _ => None,
    };
    if let Some(max) = max {
        body[member] = max.into();
    }
    max
}

/// One of the tokens, the newest ones more often.
fn some_held(rng: &mut Rng, tokens: &VecDeque<Held>) -> Option<Held> {
    let back = rng
        .usize(0..tokens.len().max(1))
        .min(rng.usize(0..tokens.len().max(1)));
    tokens.iter().rev().nth(back).cloned()
}
