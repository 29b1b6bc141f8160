//! Row to item and back. The attribute names are the KCL's where it has one.
//!
//! A row that makes no sense is an error that names the row and the attribute: whoever wrote it,
//! guessing would mean to skip or repeat records.

mod key;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::error::{Error, ErrorKind};
use kcl_core::model::{
    Checkpoint, HashKeyRange, PendingCheckpoint, SequenceNumber, ShardId, StreamName, WorkerId,
};

pub(crate) use self::key::{lease_key, start_key};
use self::key::{parse_lease_key, parse_start_key};
use crate::row::{
    Capacity, InReturn, Incarnation, LeaseRow, Moved, Owner, Row, StartRow, StreamSet,
    StreamSetKey, WatchRow, WorkerKey, WorkerRow,
};

/// The key of every row.
pub(crate) const KEY: &str = "leaseKey";
pub(crate) const OWNER: &str = "leaseOwner";
pub(crate) const INCARNATION: &str = "leaseOwnerIncarnation";
pub(crate) const COUNTER: &str = "leaseCounter";
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const SUBSEQUENCE: &str = "checkpointSubSequenceNumber";
/// Milliseconds since 1970; only beside the checkpoint `AT_TIMESTAMP`, and in the start row.
pub(crate) const TIMESTAMP: &str = "checkpointTimestamp";
/// A checkpoint that is announced and not made; missing where there is none.
pub(crate) const PENDING: &str = "pendingCheckpoint";
pub(crate) const PENDING_SUBSEQUENCE: &str = "pendingCheckpointSubSequenceNumber";
/// What the processor wants its successor to know of it.
pub(crate) const PENDING_STATE: &str = "pendingCheckpointState";
pub(crate) const SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
const PARENTS: &str = "parentShardId";
pub(crate) const CHILDREN: &str = "childShardIds";
const RANGE_START: &str = "startingHashKey";
const RANGE_END: &str = "endingHashKey";
pub(crate) const ENTITY: &str = "entityType";
pub(crate) const LOOKS: &str = "looks";
pub(crate) const BELL: &str = "bell";
pub(crate) const MARK: &str = "mark";
pub(crate) const LEAVING: &str = "leaving";
/// What is read of a shard or by a worker, in KiB per second with decimals: the KCL's name and unit.
pub(crate) const LOAD: &str = "throughputKBps";
const MOVED_FROM: &str = "movedFrom";
const MOVED_TO: &str = "movedTo";
const MOVED_IN_RETURN: &str = "movedInReturn";
const MOVED_IN_RETURN_FROM: &str = "movedInReturnFrom";
const CAPACITY: &str = "capacityThousandths";
const LEASE_TIME: &str = "leaseTimeMillis";
const LEASES_MAX: &str = "leasesMax";
/// Of a worker: the key of its set of streams. Of a set: the names in it.
pub(crate) const SERVES: &str = "streams";

const ENTITY_LEASE: &str = "LEASE";
pub(crate) const ENTITY_WORKER: &str = "WORKER";
const ENTITY_START: &str = "START";
pub(crate) const ENTITY_WATCH: &str = "WATCH";
const ENTITY_STREAMS: &str = "STREAMS";
/// The key of the one row of the watch.
pub(crate) const WATCH_KEY: &str = "watch/";

/// No counter that this library wrote comes near: one change a millisecond for 35,000 years.
const COUNTER_MAX: u64 = 1 << 50;
/// 31 December 9999.
const MILLIS_MAX: u64 = 253_402_300_799_999;
/// The longest lease time that is believed.
const LEASE_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// No load is larger: a tebibyte per second.
const LOAD_MAX: u64 = 1 << 40;
/// Parents or children of one shard: two each by the service, with room for what it may do later.
const RELATIVES_MAX: usize = 16;

/// An item as the SDK has it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A number value.
pub(crate) fn number(value: impl Into<u128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

/// A text value.
pub(crate) fn text(value: impl AsRef<str>) -> AttributeValue {
    AttributeValue::S(value.as_ref().to_owned())
}

/// A binary value.
pub(crate) fn bytes(value: impl AsRef<[u8]>) -> AttributeValue {
    AttributeValue::B(Blob::new(value.as_ref()))
}

/// A set of shards, by their names: they are of the stream of the row they are in. DynamoDB knows no empty
/// set.
pub(crate) fn shard_ids(ids: &BTreeSet<ShardId>) -> Option<AttributeValue> {
    (!ids.is_empty())
        .then(|| AttributeValue::Ss(ids.iter().map(|id| id.name().to_owned()).collect()))
}

/// The text and the subsequence number of a checkpoint, as two attributes.
pub(crate) fn checkpoint_parts(checkpoint: &Checkpoint) -> (AttributeValue, u64) {
    match checkpoint {
        Checkpoint::Sequence {
            sequence,
            subsequence,
        } => (text(sequence.as_str()), *subsequence),
        Checkpoint::TrimHorizon
        | Checkpoint::Latest
        | Checkpoint::AtTimestamp(_)
        | Checkpoint::ShardEnd => (text(checkpoint.to_string()), 0),
    }
}

/// Milliseconds since 1970.
pub(crate) fn millis(time: SystemTime) -> AttributeValue {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    number(since.as_millis().min(u128::from(MILLIS_MAX)))
}

/// A load of so many bytes per second.
pub(crate) fn load(bytes: u64) -> AttributeValue {
    let bytes = bytes.min(LOAD_MAX);
    // Six decimals of a thousand-and-twenty-fourth tell each byte apart.
    let micros = u128::from(bytes % 1024) * 1_000_000 / 1024;
    AttributeValue::N(format!("{}.{micros:06}", bytes / 1024))
}

/// The attributes that say where a lease moved, each with its value or none.
pub(crate) fn moved_parts(moved: Option<&Moved>) -> [(&'static str, Option<AttributeValue>); 4] {
    let in_return = moved.and_then(|moved| moved.in_return.as_ref());
    [
        (MOVED_FROM, moved.map(|moved| text(moved.from.row_key()))),
        (MOVED_TO, moved.map(|moved| text(moved.to.row_key()))),
        (
            MOVED_IN_RETURN,
            in_return.map(|back| text(lease_key(&back.shard))),
        ),
        (
            MOVED_IN_RETURN_FROM,
            in_return.map(|back| text(back.from.row_key())),
        ),
    ]
}

/// The item of a lease row.
pub(crate) fn lease_item(row: &LeaseRow) -> Item {
    let (checkpoint, subsequence) = checkpoint_parts(&row.checkpoint);
    let mut item = Item::from([
        (KEY.to_owned(), text(lease_key(&row.shard))),
        (COUNTER.to_owned(), number(row.counter)),
        (CHECKPOINT.to_owned(), checkpoint),
        (SUBSEQUENCE.to_owned(), number(subsequence)),
        (SWITCHES.to_owned(), number(row.switches)),
        (ENTITY.to_owned(), text(ENTITY_LEASE)),
    ]);
    let mut put = |name: &str, value: Option<AttributeValue>| {
        if let Some(value) = value {
            item.insert(name.to_owned(), value);
        }
    };
    if let Checkpoint::AtTimestamp(time) = row.checkpoint {
        put(TIMESTAMP, Some(millis(time)));
    }
    if let Some(pending) = &row.pending {
        let (value, subsequence) = checkpoint_parts(&pending.checkpoint);
        put(PENDING, Some(value));
        put(PENDING_SUBSEQUENCE, Some(number(subsequence)));
        put(PENDING_STATE, pending.state.as_ref().map(bytes));
    }
    if let Some(owner) = &row.owner {
        put(OWNER, Some(text(&owner.worker)));
        put(
            INCARNATION,
            owner.incarnation.as_ref().map(|name| text(name.as_str())),
        );
    }
    put(PARENTS, shard_ids(&row.parents));
    put(CHILDREN, shard_ids(&row.children));
    put(
        RANGE_START,
        row.range.map(|range| text(range.start.to_string())),
    );
    put(
        RANGE_END,
        row.range.map(|range| text(range.end.to_string())),
    );
    put(LOAD, row.load.map(load));
    for (name, value) in moved_parts(row.moved.as_deref()) {
        put(name, value);
    }
    item
}

/// The item of a worker row.
pub(crate) fn worker_item(row: &WorkerRow) -> Item {
    let mut item = Item::from([
        (KEY.to_owned(), text(row.key.row_key())),
        (COUNTER.to_owned(), number(row.counter)),
        (LEAVING.to_owned(), AttributeValue::Bool(row.leaving)),
        (LEASE_TIME.to_owned(), number(row.lease_time.as_millis())),
        (ENTITY.to_owned(), text(ENTITY_WORKER)),
    ]);
    if let Some(leases_max) = row.leases_max {
        item.insert(LEASES_MAX.to_owned(), number(leases_max));
    }
    if let Some(capacity) = row.capacity {
        item.insert(CAPACITY.to_owned(), number(capacity.thousandths()));
    }
    if let Some(bytes) = row.load {
        item.insert(LOAD.to_owned(), load(bytes));
    }
    if let Some(serves) = &row.serves {
        item.insert(SERVES.to_owned(), text(serves.as_str()));
    }
    item
}

/// The item of a start row.
pub(crate) fn start_item(row: &StartRow) -> Item {
    Item::from([
        (KEY.to_owned(), text(start_key(row.stream.as_ref()))),
        (TIMESTAMP.to_owned(), millis(row.time)),
        (ENTITY.to_owned(), text(ENTITY_START)),
    ])
}

/// The item of a set of streams. DynamoDB knows no empty set.
pub(crate) fn streams_item(set: &StreamSet) -> Item {
    let mut item = Item::from([
        (KEY.to_owned(), text(set.key().row_key())),
        (ENTITY.to_owned(), text(ENTITY_STREAMS)),
    ]);
    let names: Vec<_> = set.streams().iter().map(ToString::to_string).collect();
    if !names.is_empty() {
        item.insert(SERVES.to_owned(), AttributeValue::Ss(names));
    }
    item
}

/// Reads any row. Nothing for a row of a kind that is not ours: other libraries keep some in the
/// same table, and they are left alone.
pub(crate) fn row(item: &Item) -> Result<Option<Row>, Error> {
    let reader = Reader::new(item)?;
    let kind = reader.text(ENTITY)?;
    match kind {
        Some(ENTITY_WORKER) => reader.worker().map(Row::Worker).map(Some),
        Some(ENTITY_START) => reader.start().map(Row::Start).map(Some),
        Some(ENTITY_STREAMS) => reader.streams().map(Row::Streams).map(Some),
        Some(ENTITY_WATCH) => reader.watch().map(Row::Watch).map(Some),
        // The first versions of the KCL write no kind.
        Some(ENTITY_LEASE) | None => reader.lease().map(Row::Lease).map(Some),
        Some(_) => Ok(None),
    }
}

/// Reads a lease row.
pub(crate) fn lease(item: &Item) -> Result<LeaseRow, Error> {
    match row(item)? {
        Some(Row::Lease(row)) => Ok(row),
        other => Err(unexpected_kind(item, "a lease", other.as_ref())),
    }
}

/// Reads a worker row.
pub(crate) fn worker(item: &Item) -> Result<WorkerRow, Error> {
    match row(item)? {
        Some(Row::Worker(row)) => Ok(row),
        other => Err(unexpected_kind(item, "a worker", other.as_ref())),
    }
}

/// Reads a set of streams.
pub(crate) fn streams(item: &Item) -> Result<StreamSet, Error> {
    match row(item)? {
        Some(Row::Streams(set)) => Ok(set),
        other => Err(unexpected_kind(item, "a set of streams", other.as_ref())),
    }
}

/// Reads a start row.
pub(crate) fn start(item: &Item) -> Result<StartRow, Error> {
    match row(item)? {
        Some(Row::Start(row)) => Ok(row),
        other => Err(unexpected_kind(item, "the start", other.as_ref())),
    }
}

/// Reads the row of the watch.
pub(crate) fn watch(item: &Item) -> Result<WatchRow, Error> {
    match row(item)? {
        Some(Row::Watch(row)) => Ok(row),
        other => Err(unexpected_kind(item, "the watch", other.as_ref())),
    }
}

fn unexpected_kind(item: &Item, wanted: &str, found: Option<&Row>) -> Error {
    let found = match found {
        Some(Row::Lease(_)) => "a lease",
        Some(Row::Worker(_)) => "a worker",
        Some(Row::Start(_)) => "the start",
        Some(Row::Streams(_)) => "a set of streams",
        Some(Row::Watch(_)) => "the watch",
        None => "another kind",
    };
    match Reader::new(item) {
        Ok(reader) => reader.bad(ENTITY, format!("it should be {wanted} and is {found}")),
        Err(error) => error,
    }
}

/// Reads the attributes of one item and blames them by name.
struct Reader<'a> {
    item: &'a Item,
    key: &'a str,
}

impl<'a> Reader<'a> {
    fn new(item: &'a Item) -> Result<Self, Error> {
        match item.get(KEY) {
            Some(AttributeValue::S(key)) => Ok(Self { item, key }),
            Some(_) | None => Err(Error::new(
                ErrorKind::Data,
                format!("a row of the lease table has no {KEY} that is a text"),
            )),
        }
    }

    fn lease(&self) -> Result<LeaseRow, Error> {
        let shard = parse_lease_key(self.key)
            .ok_or_else(|| self.bad(KEY, "it is not the name of a shard"))?;
        Ok(LeaseRow {
            owner: self.owner()?,
            counter: self.counter()?,
            checkpoint: self.required(CHECKPOINT, self.checkpoint(CHECKPOINT, SUBSEQUENCE)?)?,
            pending: self.pending()?,
            switches: self.number(SWITCHES, u64::MAX)?.unwrap_or(0),
            parents: self.shard_ids(PARENTS, &shard)?,
            children: self.shard_ids(CHILDREN, &shard)?,
            range: self.range()?,
            load: self.load(),
            moved: self.moved().map(Box::new),
            shard,
        })
    }

    fn worker(&self) -> Result<WorkerRow, Error> {
        let key = WorkerKey::parse(self.key)
            .ok_or_else(|| self.bad(KEY, "it is not the key of a worker row"))?;
        let leaving = match self.item.get(LEAVING) {
            Some(AttributeValue::Bool(leaving)) => *leaving,
            Some(_) => return Err(self.bad(LEAVING, "it is not true or false")),
            None => false,
        };
        let longest = u64::try_from(LEASE_TIME_MAX.as_millis()).unwrap_or(u64::MAX);
        let lease_time = self.required(LEASE_TIME, self.number(LEASE_TIME, longest)?)?;
        Ok(WorkerRow {
            key,
            counter: self.counter()?,
            leaving,
            lease_time: Duration::from_millis(lease_time),
            leases_max: match self.number(LEASES_MAX, u64::from(u32::MAX))? {
                Some(max) => u32::try_from(max).ok(),
                None => None,
            },
            capacity: match self.number(CAPACITY, u64::from(u32::MAX))? {
                Some(thousandths) => u32::try_from(thousandths)
                    .ok()
                    .and_then(Capacity::from_thousandths),
                None => None,
            },
            load: self.load(),
            serves: match self.text(SERVES)? {
                Some(key) => Some(
                    StreamSetKey::parse(key)
                        .ok_or_else(|| self.bad(SERVES, "it is not the key of a set of streams"))?,
                ),
                None => None,
            },
        })
    }

    fn start(&self) -> Result<StartRow, Error> {
        let stream = parse_start_key(self.key)
            .ok_or_else(|| self.bad(KEY, "it is not the key of a start row"))?;
        let time = self.required(TIMESTAMP, self.time()?)?;
        Ok(StartRow { stream, time })
    }

    fn streams(&self) -> Result<StreamSet, Error> {
        let names = match self.item.get(SERVES) {
            None => &[],
            Some(AttributeValue::Ss(names)) => names.as_slice(),
            Some(_) => return Err(self.bad(SERVES, "it is not a set of texts")),
        };
        let names = names.iter().map(StreamName::new);
        let names: Vec<_> = names.collect::<Result<_, _>>().map_err(|cause| {
            self.bad(SERVES, "it has what is no name of a stream")
                .with_source(cause)
        })?;
        let set = StreamSet::new(names);
        if set.key().row_key() == self.key {
            Ok(set)
        } else {
            Err(self.bad(SERVES, "they are not the streams that the key stands for"))
        }
    }

    fn watch(&self) -> Result<WatchRow, Error> {
        let owner = self.owner()?.and_then(|owner| owner.key());
        let count = |name| Ok::<_, Error>(self.number(name, COUNTER_MAX)?.unwrap_or(0));
        Ok(WatchRow {
            owner: self.required(OWNER, owner)?,
            term: self.counter()?,
            looks: count(LOOKS)?,
            bell: count(BELL)?,
            mark: self.number(MARK, LOAD_MAX)?,
        })
    }

    /// A hint, which the KCL writes as well: what cannot be read is not known.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is within 0 and 2^40"
    )]
    fn load(&self) -> Option<u64> {
        let Some(AttributeValue::N(text)) = self.item.get(LOAD) else {
            return None;
        };
        let bytes = text.parse::<f64>().ok()? * 1024.0;
        let is_sensible = (0.0..=1_099_511_627_776.0).contains(&bytes);
        is_sensible.then(|| bytes.round() as u64)
    }

    /// A hint as well: a lease that moved nowhere in particular is shared like any other.
    fn moved(&self) -> Option<Moved> {
        let key = |name| match self.item.get(name) {
            Some(AttributeValue::S(text)) => WorkerKey::parse(text),
            Some(_) | None => None,
        };
        let back = match self.item.get(MOVED_IN_RETURN) {
            Some(AttributeValue::S(text)) => parse_lease_key(text),
            Some(_) | None => None,
        };
        let in_return = back.zip(key(MOVED_IN_RETURN_FROM));
        let in_return = in_return.map(|(shard, from)| InReturn { shard, from });
        Some(Moved {
            from: key(MOVED_FROM)?,
            to: key(MOVED_TO)?,
            in_return,
        })
    }

    fn owner(&self) -> Result<Option<Owner>, Error> {
        let incarnation = match self.text(INCARNATION)? {
            None => None,
            Some(name) => Some(
                Incarnation::parse(name)
                    .ok_or_else(|| self.bad(INCARNATION, format!("{name:?} is not one")))?,
            ),
        };
        match self.text(OWNER)? {
            Some(name) => {
                let worker = WorkerId::new(name)
                    .map_err(|cause| self.bad(OWNER, "it is not a worker id").with_source(cause))?;
                Ok(Some(Owner {
                    worker,
                    incarnation,
                }))
            }
            None if incarnation.is_some() => {
                Err(self.bad(OWNER, format!("it is missing beside {INCARNATION}")))
            }
            None => Ok(None),
        }
    }

    fn counter(&self) -> Result<u64, Error> {
        self.required(COUNTER, self.number(COUNTER, COUNTER_MAX)?)
    }

    fn checkpoint(
        &self,
        name: &'static str,
        subsequence: &'static str,
    ) -> Result<Option<Checkpoint>, Error> {
        let Some(value) = self.text(name)? else {
            return Ok(None);
        };
        Ok(Some(match value {
            "TRIM_HORIZON" => Checkpoint::TrimHorizon,
            "LATEST" => Checkpoint::Latest,
            "SHARD_END" => Checkpoint::ShardEnd,
            "AT_TIMESTAMP" => Checkpoint::AtTimestamp(self.required(TIMESTAMP, self.time()?)?),
            number => Checkpoint::Sequence {
                sequence: SequenceNumber::new(number).map_err(|cause| {
                    self.bad(name, "it is neither a sequence number nor a starting point")
                        .with_source(cause)
                })?,
                subsequence: self.number(subsequence, u64::MAX)?.unwrap_or(0),
            },
        }))
    }

    fn pending(&self) -> Result<Option<PendingCheckpoint>, Error> {
        // The KCL reads an empty one as none.
        if self.text(PENDING)? == Some("") {
            return Ok(None);
        }
        let Some(checkpoint) = self.checkpoint(PENDING, PENDING_SUBSEQUENCE)? else {
            return Ok(None);
        };
        let state = match self.item.get(PENDING_STATE) {
            Some(AttributeValue::B(state)) => Some(state.as_ref().to_vec().into()),
            Some(_) => return Err(self.bad(PENDING_STATE, "it is not binary")),
            None => None,
        };
        Ok(Some(PendingCheckpoint { checkpoint, state }))
    }

    fn time(&self) -> Result<Option<SystemTime>, Error> {
        let millis = self.number(TIMESTAMP, MILLIS_MAX)?;
        Ok(millis.map(|millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis)))
    }

    fn range(&self) -> Result<Option<HashKeyRange>, Error> {
        match (self.text(RANGE_START)?, self.text(RANGE_END)?) {
            (Some(start), Some(end)) => {
                HashKeyRange::parse(start, end).map(Some).map_err(|cause| {
                    self.bad(RANGE_START, "the hash range cannot be read")
                        .with_source(cause)
                })
            }
            (None, None) => Ok(None),
            (Some(_), None) => Err(self.missing(RANGE_END)),
            (None, Some(_)) => Err(self.missing(RANGE_START)),
        }
    }

    fn text(&self, name: &'static str) -> Result<Option<&'a str>, Error> {
        match self.item.get(name) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(self.bad(name, "it is not a text")),
        }
    }

    fn number(&self, name: &'static str, max: u64) -> Result<Option<u64>, Error> {
        let text = match self.item.get(name) {
            None => return Ok(None),
            Some(AttributeValue::N(text)) => text,
            Some(_) => return Err(self.bad(name, "it is not a number")),
        };
        match text.parse() {
            Ok(number) if number <= max => Ok(Some(number)),
            Ok(_) | Err(_) => Err(self.bad(
                name,
                format!("{text:?} is not a whole number from 0 to {max}"),
            )),
        }
    }

    /// Shards by their names, of the stream of this one.
    fn shard_ids(&self, name: &'static str, of: &ShardId) -> Result<BTreeSet<ShardId>, Error> {
        match self.item.get(name) {
            None => Ok(BTreeSet::new()),
            Some(AttributeValue::Ss(ids)) if ids.len() <= RELATIVES_MAX => {
                Ok(ids.iter().map(|id| of.sibling(id)).collect())
            }
            Some(_) => Err(self.bad(
                name,
                format!("it is not a set of at most {RELATIVES_MAX} shard ids"),
            )),
        }
    }

    fn required<T>(&self, name: &'static str, value: Option<T>) -> Result<T, Error> {
        value.ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &'static str) -> Error {
        self.bad(name, "it is missing")
    }

    fn bad(&self, name: &'static str, why: impl AsRef<str>) -> Error {
        let why = why.as_ref();
        // A key may be two kilobytes of anything.
        let key: String = self.key.chars().take(128).collect();
        Error::new(
            ErrorKind::Data,
            format!("row {key:?} of the lease table has a bad attribute {name}: {why}"),
        )
        .with_hint("correct or delete the row; it was not written by this library as it stands")
    }
}

#[cfg(test)]
mod tests;
