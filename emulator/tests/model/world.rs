//! The reference: what the service is, in the plainest form that can be right. Vectors that are only
//! ever looked through, every event carried out when its time comes, no cleverness. Written from the
//! service's published behaviour, not from the engine.
//!
//! This file has the state and how time changes it; `reads` and `changes` have what the
//! operations do, and `belongings` what hangs on a stream. All of them answer the reply, or the type of the error.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::belongings::{Consumer, ConsumersPage};
use crate::numbers::{END, Number};

/// The name of an error type, without its `Exception`.
pub(crate) type Refused = &'static str;
pub(crate) type Outcome = Result<Expected, Refused>;

pub(crate) const RETENTION: u64 = 24 * 3_600_000;
/// Iterators and paging tokens.
pub(crate) const TOKEN_LIFE: u64 = 300_000;

/// A reply. What is opaque in it is said apart.
#[derive(Debug)]
pub(crate) struct Expected {
    /// Members that are null here must be absent.
    pub(crate) reply: Value,
    /// The member that holds a token, and what the token stands for.
    pub(crate) token: Option<(&'static str, Token)>,
}

impl Expected {
    pub(crate) fn plain(reply: Value) -> Self {
        Self { reply, token: None }
    }
}

/// What the service hands out to be brought back.
#[derive(Clone, Debug)]
pub(crate) enum Token {
    Iterator(Cursor),
    Shards(ShardsPage),
    Consumers(ConsumersPage),
    Streams { issued: u64, after: String },
}

impl Token {
    pub(crate) fn issued(&self) -> u64 {
        match self {
            Self::Iterator(cursor) => cursor.issued,
            Self::Shards(page) => page.issued,
            Self::Consumers(page) => page.issued,
            Self::Streams { issued, .. } => *issued,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    pub(crate) issued: u64,
    pub(crate) stream: String,
    pub(crate) birth: u64,
    pub(crate) shard: u32,
    pub(crate) place: Place,
}

/// Where a read starts.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// At the n-th record that the shard ever had.
    Nth(usize),
    /// At the first record whose number is at least, or above, this one.
    Number { number: Number, above: bool },
}

#[derive(Clone, Debug)]
pub(crate) struct ShardsPage {
    pub(crate) issued: u64,
    pub(crate) stream: String,
    pub(crate) birth: u64,
    pub(crate) filter: Filter,
    pub(crate) after: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Filter {
    All,
    Open,
    At(u64),
    From(u64),
}

/// Milliseconds that changes take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delays {
    pub(crate) create: u64,
    pub(crate) delete: u64,
    pub(crate) reshard: u64,
    pub(crate) register: u64,
    pub(crate) deregister: u64,
    pub(crate) update: u64,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) delays: Delays,
    pub(crate) shard_limit: usize,
    pub(crate) streams: BTreeMap<String, Stream>,
    pub(crate) births: u64,
    /// The last second in the numbers of streams that are gone, by name: those of a new one are above.
    pub(crate) graves: BTreeMap<String, u64>,
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: String,
    /// Tells it from others of its name.
    pub(crate) birth: u64,
    pub(crate) created: u64,
    pub(crate) is_on_demand: bool,
    pub(crate) retention: u64,
    /// Nothing older can be read, though the retention be longer: it was shorter once.
    pub(crate) trimmed_to: u64,
    pub(crate) status: Status,
    /// The second in its first shards' numbers.
    pub(crate) first_second: u64,
    /// When its shards were counted anew.
    pub(crate) resizes: Vec<u64>,
    /// Shards were counted anew, and the service is to be asked what has become of them.
    pub(crate) resized: Option<(u64, usize)>,
    /// All there ever were, by index.
    pub(crate) shards: Vec<Shard>,
    /// By name.
    pub(crate) consumers: Vec<Consumer>,
    /// By key.
    pub(crate) tags: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Creating {
        until: u64,
        shards: u32,
    },
    Active,
    Splitting {
        until: u64,
        shard: u32,
        key: u128,
    },
    Merging {
        until: u64,
        lower: u32,
        upper: u32,
    },
    /// To as many shards. What has become of them the service says, and is checked.
    Resizing {
        until: u64,
        target: usize,
    },
    /// To a retention in milliseconds.
    Retaining {
        until: u64,
        retention: u64,
    },
    Deleting {
        until: u64,
    },
}

#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) index: u32,
    pub(crate) start: u128,
    pub(crate) end: u128,
    /// The second in its numbers.
    pub(crate) created: u64,
    pub(crate) opened: u64,
    pub(crate) parents: Vec<u32>,
    pub(crate) closed: Option<Closed>,
    pub(crate) is_expired: bool,
    /// All there ever were.
    pub(crate) records: Vec<Record>,
    /// How many of them are trimmed.
    pub(crate) trimmed: usize,
}

#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) at: u64,
    pub(crate) second: u64,
    pub(crate) children: Vec<u32>,
}

#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) index: u64,
    pub(crate) arrival: u64,
    pub(crate) key: String,
    pub(crate) data: Vec<u8>,
}

pub(crate) fn shard_id(index: u32) -> String {
    format!("shardId-{index:012}")
}

/// What a shard's id names: the digits after the last hyphen count.
pub(crate) fn shard_index(id: &str) -> Option<u32> {
    let digits = id.rsplit('-').next()?;
    let is_number = !digits.is_empty() && digits.chars().all(|char| char.is_ascii_digit());
    let index = digits.parse::<u32>().ok().filter(|_| is_number)?;
    (index <= 0x7fff_ffff).then_some(index)
}

pub(crate) fn seconds(millis: u64) -> Value {
    json!(millis as f64 / 1000.0)
}

impl World {
    pub(crate) fn new(now: u64, delays: Delays, shard_limit: usize) -> Self {
        Self {
            now,
            delays,
            shard_limit,
            streams: BTreeMap::new(),
            births: 0,
            graves: BTreeMap::new(),
        }
    }

    pub(crate) fn advance(&mut self, by: u64) {
        self.now += by;
        self.settle();
    }

    /// Carries out what is due.
    pub(crate) fn settle(&mut self) {
        let now = self.now;
        for stream in self.streams.values_mut() {
            stream.settle(now);
        }
        let graves = &mut self.graves;
        self.streams.retain(|name, stream| {
            let is_gone = matches!(stream.status, Status::Deleting { until } if until <= now);
            if is_gone {
                let last = stream.shards.iter().map(|shard| shard.created).max();
                let grave = graves.entry(name.clone()).or_default();
                *grave = last.unwrap_or(0).max(*grave);
            }
            !is_gone
        });
    }

    pub(crate) fn stream(&self, name: &str) -> Result<&Stream, Refused> {
        self.streams.get(name).ok_or("ResourceNotFound")
    }

    /// Open shards of all provisioned streams, and those that are about to be made.
    pub(crate) fn shards_in_use(&self) -> usize {
        let count = |stream: &Stream| match stream.status {
            Status::Creating { shards, .. } => usize::try_from(shards).unwrap(),
            _ => stream.open().count(),
        };
        let counted = self.streams.values().filter(|stream| !stream.is_on_demand);
        counted.map(count).sum()
    }
}

impl Stream {
    pub(crate) fn open(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(|shard| shard.closed.is_none())
    }

    pub(crate) fn listed(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(|shard| !shard.is_expired)
    }

    /// A shard that is listed.
    pub(crate) fn shard(&self, index: u32) -> Result<&Shard, Refused> {
        let found = self.listed().find(|shard| shard.index == index);
        found.ok_or("ResourceNotFound")
    }

    /// The oldest instant that anything readable can be from.
    pub(crate) fn horizon(&self, now: u64) -> u64 {
        self.trimmed_to.max(now.saturating_sub(self.retention))
    }

    pub(crate) fn arn(&self) -> String {
        format!(
            "arn:aws:kinesis:us-east-1:000000000000:stream/{}",
            self.name
        )
    }

    pub(crate) fn settle(&mut self, now: u64) {
        self.consumers
            .retain(|consumer| consumer.gone_at.is_none_or(|gone| gone > now));
        match self.status {
            Status::Creating { until, shards } if until <= now => {
                self.status = Status::Active;
                self.open_first(shards);
            }
            Status::Splitting { until, shard, key } if until <= now => {
                self.status = Status::Active;
                let parent = &self.shards[usize::try_from(shard).unwrap()];
                let ranges = [(parent.start, key - 1), (key, parent.end)];
                self.replace(until, &[shard], &ranges);
            }
            Status::Merging {
                until,
                lower,
                upper,
            } if until <= now => {
                self.status = Status::Active;
                let [first, second] =
                    [lower, upper].map(|index| &self.shards[usize::try_from(index).unwrap()]);
                let ranges = [(first.start, second.end)];
                self.replace(until, &[lower, upper], &ranges);
            }
            Status::Resizing { until, target } if until <= now => {
                self.status = Status::Active;
                self.resized = Some((until, target));
            }
            Status::Retaining { until, retention } if until <= now => {
                self.status = Status::Active;
                // Neither brings the longer one back what the shorter one had let go.
                self.trim(until);
                self.trimmed_to = self.horizon(until);
                self.retention = retention;
                self.trim(until);
                self.trimmed_to = self.horizon(until);
            }
            _ => {}
        }
        self.trim(now);
    }

    /// Forgets what is past the retention.
    fn trim(&mut self, now: u64) {
        let retention = self.retention;
        for shard in &mut self.shards {
            let is_old = |record: &&Record| record.arrival + retention < now;
            let rest = &shard.records[shard.trimmed..];
            shard.trimmed += rest.iter().take_while(is_old).count();
            if let Some(closed) = &shard.closed {
                shard.is_expired |= closed.at + retention < now;
            }
        }
    }

    fn open_first(&mut self, count: u32) {
        let count = u128::from(count);
        // 2^128 / count, without 2^128: it is one more than (2^128 - count) / count.
        let width = ((u128::MAX - count + 1) / count).wrapping_add(1);
        for place in 0..count {
            let start = width.wrapping_mul(place);
            let end = if place + 1 == count {
                u128::MAX
            } else {
                start + (width - 1)
            };
            self.open_shard((start, end), self.first_second, self.created, Vec::new());
        }
    }

    fn open_shard(&mut self, range: (u128, u128), created: u64, opened: u64, parents: Vec<u32>) {
        self.shards.push(Shard {
            index: u32::try_from(self.shards.len()).unwrap(),
            start: range.0,
            end: range.1,
            created,
            opened,
            parents,
            closed: None,
            is_expired: false,
            records: Vec::new(),
            trimmed: 0,
        });
    }

    /// Closes the parents and opens children that cover `ranges`.
    pub(crate) fn replace(&mut self, at: u64, parents: &[u32], ranges: &[(u128, u128)]) {
        let place = |index: &u32| usize::try_from(*index).unwrap();
        let created = parents
            .iter()
            .map(|parent| self.shards[place(parent)].created);
        let second = created.max().unwrap().max(at / 1000);
        let first = u32::try_from(self.shards.len()).unwrap();
        let children: Vec<u32> = (first..).take(ranges.len()).collect();
        for parent in parents {
            self.shards[place(parent)].closed = Some(Closed {
                at,
                second,
                children: children.clone(),
            });
        }
        for range in ranges {
            self.open_shard(*range, second + 1, at, parents.to_vec());
        }
    }
}

impl Shard {
    pub(crate) fn number(&self, record: &Record) -> Number {
        self.numbered(record.index, (record.arrival / 1000).max(self.created))
    }

    pub(crate) fn starting(&self) -> Number {
        self.numbered(0, self.created)
    }

    pub(crate) fn ending(&self) -> Option<Number> {
        let closed = self.closed.as_ref()?;
        Some(self.numbered(END, closed.second))
    }

    pub(crate) fn numbered(&self, index: u64, second: u64) -> Number {
        Number {
            created: self.created,
            shard: self.index,
            index,
            second,
        }
    }

    pub(crate) fn hash_range(&self) -> Value {
        json!({
            "StartingHashKey": self.start.to_string(),
            "EndingHashKey": self.end.to_string(),
        })
    }
}
