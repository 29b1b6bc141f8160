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
    /// The table: made, or looked at.
    Table,
    /// Something else.
    Other,
}

impl Subject {
    /// All that faults must have struck.
    pub const ALL: [Self; 18] = [
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
        Self::Table,
    ];

    /// Of a call with this body.
    #[must_use]
    pub fn of(operation: &str, body: &[u8]) -> Self {
        match operation {
            "GetRecords" => Self::Records,
            "GetShardIterator" => Self::Iterator,
            "ListShards" => Self::Shards,
            "Scan" => Self::Scan,
            "GetItem" => Self::Row,
            "CreateTable" | "DescribeTable" => Self::Table,
            "PutItem" | "UpdateItem" | "DeleteItem" => {
                let body = serde_json::from_slice(body).unwrap_or_default();
                Self::of_write(operation, &body)
            }
            _ => Self::Other,
        }
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
            | Self::Table
            | Self::Other => false,
        }
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
            Self::Table => "table",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
