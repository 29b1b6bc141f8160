//! What a request is about, in the words of the protocol: which write to which kind of row, or which read.
//!
//! Taken from the request as it goes over the wire, by the documented attribute names, so it knows nothing of
//! how the library makes it.

use std::fmt;

use serde_json::Value;

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The first row of a life.
    Join,
    /// The proof of life.
    Renew,
    /// The end of a life, by its own process.
    Leave,
    /// The end of a life, by another.
    Evict,
    /// The row of a shard, made.
    Make,
    /// A lease, taken.
    Take,
    /// A checkpoint.
    Commit,
    /// The end of a shard.
    Finish,
    /// A lease, given back.
    Release,
    /// The row of a shard, removed.
    Remove,
    /// The row of the watch: claimed, kept or rung.
    Watch,
    /// The row that says where shards start.
    Start,
    /// One row, read.
    Row,
    /// All rows, read.
    Scan,
    /// The shards, listed.
    Shards,
    /// A place in a shard.
    Iterator,
    /// Records.
    Records,
    /// A subscription to a shard.
    Subscribe,
    /// The registered consumer, looked at or registered.
    Consumer,
    /// The table, looked at.
    Table,
    /// The table, made.
    MakeTable,
    /// Something else.
    Other,
}

impl Subject {
    /// All that faults must have struck.
    pub const ALL: [Self; 21] = [
        Self::Join,
        Self::Renew,
        Self::Leave,
        Self::Evict,
        Self::Make,
        Self::Take,
        Self::Commit,
        Self::Finish,
        Self::Release,
        Self::Remove,
        Self::Watch,
        Self::Start,
        Self::Row,
        Self::Scan,
        Self::Shards,
        Self::Iterator,
        Self::Records,
        Self::Subscribe,
        Self::Consumer,
        Self::Table,
        Self::MakeTable,
    ];

    /// Whether there are few such requests in a run, so that the network must not spare them.
    #[must_use]
    pub const fn is_rare(self) -> bool {
        matches!(self, Self::Remove | Self::MakeTable)
    }

    /// Of a call with this body, and what the body says if it is a write.
    #[must_use]
    pub fn of(operation: &str, body: &[u8]) -> (Self, Value) {
        let subject = match operation {
            "GetRecords" => Self::Records,
            "GetShardIterator" => Self::Iterator,
            "ListShards" => Self::Shards,
            "SubscribeToShard" => Self::Subscribe,
            "DescribeStreamConsumer" | "RegisterStreamConsumer" | "DescribeStreamSummary" => {
                Self::Consumer
            }
            "Scan" => Self::Scan,
            "GetItem" => Self::Row,
            "DescribeTable" => Self::Table,
            "CreateTable" => Self::MakeTable,
            "PutItem" | "UpdateItem" | "DeleteItem" => {
                let body = serde_json::from_slice(body).unwrap_or_default();
                return (Self::of_write(operation, &body), body);
            }
            _ => Self::Other,
        };
        (subject, Value::Null)
    }

    fn of_write(operation: &str, body: &Value) -> Self {
        let place = if operation == "PutItem" {
            "Item"
        } else {
            "Key"
        };
        let key = body[place]["leaseKey"]["S"].as_str().unwrap_or_default();
        if key.starts_with("watch/") {
            return Self::Watch;
        }
        if key.starts_with("start/") {
            return Self::Start;
        }
        if key.starts_with("streams/") {
            return Self::Other;
        }
        if key.starts_with("worker/") {
            return match operation {
                "PutItem" => Self::Join,
                "UpdateItem" => Self::Renew,
                _ if body["ConditionExpression"].is_null() => Self::Leave,
                _ => Self::Evict,
            };
        }
        match operation {
            "PutItem" => return Self::Make,
            "DeleteItem" => return Self::Remove,
            _ => {}
        }
        let change = body["UpdateExpression"].as_str().unwrap_or_default();
        let (sets, removes) = change.split_once("REMOVE").unwrap_or((change, ""));
        if sets.contains("#leaseOwner ") {
            Self::Take
        } else if sets.contains("#checkpoint ") {
            if removes.contains("#leaseOwner") {
                Self::Finish
            } else {
                Self::Commit
            }
        } else if removes.contains("#leaseOwner") {
            Self::Release
        } else {
            Self::Other
        }
    }

    /// Whether it changes a row.
    #[must_use]
    pub const fn is_write(self) -> bool {
        match self {
            Self::Join
            | Self::Renew
            | Self::Leave
            | Self::Evict
            | Self::Make
            | Self::Take
            | Self::Commit
            | Self::Finish
            | Self::Release
            | Self::Remove
            | Self::Watch
            | Self::Start => true,
            Self::Row
            | Self::Scan
            | Self::Shards
            | Self::Iterator
            | Self::Records
            | Self::Subscribe
            | Self::Consumer
            | Self::Table
            | Self::MakeTable
            | Self::Other => false,
        }
    }

    /// Whether only those ask for it who read by fan-out.
    #[must_use]
    pub const fn is_of_fan_out(self) -> bool {
        matches!(self, Self::Subscribe | Self::Consumer)
    }

    /// Whether it matters that it is under way: it changes a row, or reads all of them.
    #[must_use]
    pub const fn is_followed(self) -> bool {
        self.is_write() || matches!(self, Self::Scan)
    }

    /// Its name in histories and counts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Renew => "renew",
            Self::Leave => "leave",
            Self::Evict => "evict",
            Self::Make => "make",
            Self::Take => "take",
            Self::Commit => "commit",
            Self::Finish => "finish",
            Self::Release => "release",
            Self::Remove => "remove",
            Self::Watch => "watch",
            Self::Start => "start",
            Self::Row => "row",
            Self::Scan => "scan",
            Self::Shards => "shards",
            Self::Iterator => "iterator",
            Self::Records => "records",
            Self::Subscribe => "subscribe",
            Self::Consumer => "consumer",
            Self::Table => "table",
            Self::MakeTable => "make table",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
