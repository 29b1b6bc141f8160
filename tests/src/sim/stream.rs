//! What happens to the stream of a run, or to both: it is made, fed, split and merged.

use std::time::Duration;

use base64_simd::STANDARD;
use fastrand::Rng;
use kcl_core::model::{SequenceNumber, ShardId, StreamName};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::control::Control;
use super::history::{Event, History, RecordId};
use super::scenario::Heavy;

/// No more open shards than this: the point is reshards of reshards, not many shards.
const OPEN_MAX: usize = 7;

/// How a shard is known: by its name, and where there are two streams by its stream as well.
///
/// # Panics
/// If that is no name of a stream.
#[must_use]
pub fn shard_of(stream: Option<&str>, name: &str) -> ShardId {
    match stream {
        None => ShardId::new(name),
        Some(stream) => {
            let stream = StreamName::new(stream).expect("the name of a stream");
            ShardId::of(stream, name)
        }
    }
}

/// The stream of a run.
#[derive(Clone, Debug)]
pub struct Stream {
    control: Control,
    history: History,
    name: String,
    heavy: Option<Heavy>,
    /// Whether it is one of two.
    is_of_two: bool,
    /// The other one.
    second: Option<Box<Self>>,
    /// Keys of two streams have nothing to do with each other.
    first_key: u32,
}

impl Stream {
    /// A stream of this name; it is not made yet.
    #[must_use]
    pub fn new(control: Control, history: History, name: &str, heavy: Option<Heavy>) -> Self {
        Self {
            heavy,
            control,
            history,
            name: name.to_owned(),
            is_of_two: false,
            second: None,
            first_key: 0,
        }
    }

    /// With another one beside it.
    #[must_use]
    pub fn with_second(mut self, name: &str) -> Self {
        self.is_of_two = true;
        self.second = Some(Box::new(Self {
            name: name.to_owned(),
            first_key: 1_000,
            ..self.clone()
        }));
        self
    }

    /// The other one, if there is one and it is its turn.
    fn at_turn(&self, is_its_turn: bool) -> &Self {
        let second = self.second.as_deref().filter(|_| is_its_turn);
        second.unwrap_or(self)
    }

    /// The second one, if there is one.
    #[must_use]
    pub fn second(&self) -> Option<&Self> {
        self.second.as_deref()
    }

    /// How its shards are known.
    fn shard(&self, name: &str) -> ShardId {
        shard_of(self.is_of_two.then_some(self.name.as_str()), name)
    }

    /// Makes it, and waits until it can be used.
    ///
    /// # Errors
    /// The service's answer, if it refuses.
    pub async fn make(&self, shards: u8) -> Result<(), String> {
        let input = json!({ "StreamName": self.name, "ShardCount": shards });
        self.control.call("CreateStream", &input).await?;
        self.settle().await
    }

    /// Waits until no reshard is under way.
    ///
    /// # Errors
    /// The service's answer, if it refuses.
    pub async fn settle(&self) -> Result<(), String> {
        loop {
            let input = json!({ "StreamName": self.name });
            let answer = self.control.call("DescribeStreamSummary", &input).await?;
            if answer["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE" {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until no reshard of it is under way, nor of the second one.
    ///
    /// # Errors
    /// The service's answer, if it refuses.
    pub async fn settle_all(&self) -> Result<(), String> {
        self.settle().await?;
        match self.second() {
            Some(second) => second.settle().await,
            None => Ok(()),
        }
    }

    /// Puts records in until then: one call each `every`, with pauses and bursts.
    ///
    /// # Errors
    /// The service's answer, if it refuses.
    pub async fn feed(
        &self,
        mut rng: Rng,
        every: Duration,
        keys: u32,
        until: Instant,
    ) -> Result<(), String> {
        let mut next: RecordId = 0;
        while Instant::now() < until {
            let is_steady = self.heavy.is_some();
            let count = match rng.u8(..100) {
                0 if !is_steady => rng.u32(100..300),
                _ => rng.u32(1..6),
            };
            let key = |id| match is_steady {
                true => id % keys,
                false => rng.u32(..keys),
            };
            let keys: Vec<u32> = (next..next + count).map(key).collect();
            let stream = self.at_turn(next % 2 == 1);
            next = stream.put(next, &keys, &mut rng).await?;
            let is_pause = rng.u8(..200) == 0 && !is_steady;
            let pause = if is_pause { 20_000 } else { 0 };
            let wait = every.mul_f64(0.5 + rng.f64()) + Duration::from_millis(pause);
            sleep_until(until.min(Instant::now() + wait)).await;
        }
        Ok(())
    }

    /// Puts one record for each key, and returns the number after the last one.
    async fn put(&self, first: RecordId, keys: &[u32], rng: &mut Rng) -> Result<RecordId, String> {
        let record = |(id, key): (RecordId, &u32)| {
            let mut data = id.to_le_bytes().to_vec();
            let bytes = rng.usize(..60);
            let bytes = self.heavy.map_or(bytes, |heavy| heavy.bytes(*key));
            data.resize(4 + bytes, b'.');
            json!({ "Data": STANDARD.encode_to_string(data), "PartitionKey": format!("key-{key}") })
        };
        let records: Vec<Value> = (first..).zip(keys).map(record).collect();
        let passed = self.history.read(|oracle| oracle.ledger().passed);
        let arrival = (self.history.now() + passed).as_millis();
        let arrival = u64::try_from(arrival).expect("days");
        let input = json!({ "StreamName": self.name, "Records": records });
        let answer = self.control.call("PutRecords", &input).await?;
        let entries = answer["Records"].as_array().ok_or("no Records")?;
        for ((record, key), entry) in (first..).zip(keys).zip(entries) {
            let field = |name: &str| entry[name].as_str().ok_or(format!("refused: {entry}"));
            let sequence = SequenceNumber::new(field("SequenceNumber")?);
            self.history.add(Event::Produced {
                record,
                shard: self.shard(field("ShardId")?),
                sequence: sequence.map_err(|error| error.to_string())?,
                key: self.first_key + *key,
                arrival,
            });
        }
        Ok(first + RecordId::try_from(keys.len()).expect("a few"))
    }

    /// Splits the open shard at this place, modulo; false if it is not the time for it.
    pub async fn split(&self, place: u8) -> bool {
        let this = self.at_turn(place >= 128);
        let open = this.open().await;
        if open.is_empty() || open.len() >= OPEN_MAX {
            return false;
        }
        let (start, end, id) = &open[usize::from(place) % open.len()];
        if end - start < 16 {
            return false;
        }
        // Not always in the middle, so that shares of the keys differ.
        let middle = start + (end - start) / (2 + u128::from(place % 3));
        let input = json!({
            "StreamName": this.name,
            "ShardToSplit": id,
            "NewStartingHashKey": middle.to_string(),
        });
        self.control.call("SplitShard", &input).await.is_ok() && this.settle().await.is_ok()
    }

    /// Merges the open shard at this place, modulo, with the next one; false if it is not the time.
    pub async fn merge(&self, place: u8) -> bool {
        let this = self.at_turn(place >= 128);
        let open = this.open().await;
        if open.len() < 2 {
            return false;
        }
        let place = usize::from(place) % (open.len() - 1);
        let input = json!({
            "StreamName": this.name,
            "ShardToMerge": open[place].2,
            "AdjacentShardToMerge": open[place + 1].2,
        });
        self.control.call("MergeShards", &input).await.is_ok() && this.settle().await.is_ok()
    }

    /// Reads everything that it has, and that the second one has, and tells the history.
    ///
    /// # Errors
    /// The service's answer, if it refuses.
    pub async fn reread(&self) -> Result<(), String> {
        self.reread_this().await?;
        match self.second() {
            Some(second) => second.reread_this().await,
            None => Ok(()),
        }
    }

    async fn reread_this(&self) -> Result<(), String> {
        let input = json!({ "StreamName": self.name });
        let listed = self.control.call("ListShards", &input).await?;
        let shards = listed["Shards"].as_array().into_iter().flatten();
        for shard in shards.filter_map(|shard| shard["ShardId"].as_str()) {
            let records = self.read_all(shard).await?;
            let shard = self.shard(shard);
            self.history.add(Event::Reread { shard, records });
        }
        Ok(())
    }

    async fn read_all(&self, shard: &str) -> Result<Vec<(RecordId, SequenceNumber)>, String> {
        let input = json!({
            "StreamName": self.name,
            "ShardId": shard,
            "ShardIteratorType": "TRIM_HORIZON",
        });
        let answer = self.control.call("GetShardIterator", &input).await?;
        let mut next = answer["ShardIterator"].as_str().map(str::to_owned);
        let mut records = Vec::new();
        while let Some(iterator) = next {
            let input = json!({ "ShardIterator": iterator });
            let page = self.control.call("GetRecords", &input).await?;
            let entries = page["Records"].as_array().ok_or("no Records")?;
            for entry in entries {
                records.push(record(entry).ok_or_else(|| format!("no record: {entry}"))?);
            }
            let is_at_tip = entries.is_empty() && page["MillisBehindLatest"] == 0;
            next = page["NextShardIterator"].as_str().map(str::to_owned);
            next = next.filter(|_| !is_at_tip);
        }
        Ok(records)
    }

    /// The open shards: first and last hash key, and name, in the order of the keys.
    async fn open(&self) -> Vec<(u128, u128, String)> {
        let input = json!({ "StreamName": self.name });
        let Ok(answer) = self.control.call("ListShards", &input).await else {
            return Vec::new();
        };
        let open = |shard: &Value| {
            if shard["SequenceNumberRange"]["EndingSequenceNumber"].is_string() {
                return None;
            }
            let number = |name: &str| shard["HashKeyRange"][name].as_str()?.parse().ok();
            let id = shard["ShardId"].as_str()?.to_owned();
            Some((number("StartingHashKey")?, number("EndingHashKey")?, id))
        };
        let shards = answer["Shards"].as_array().into_iter().flatten();
        let mut open: Vec<_> = shards.filter_map(open).collect();
        open.sort();
        open
    }
}

/// The number that the producer put into a record, and its sequence number.
fn record(entry: &Value) -> Option<(RecordId, SequenceNumber)> {
    let data = STANDARD.decode_to_vec(entry["Data"].as_str()?).ok()?;
    let id = RecordId::from_le_bytes(*data.first_chunk::<4>()?);
    let sequence = SequenceNumber::new(entry["SequenceNumber"].as_str()?).ok()?;
    Some((id, sequence))
}
